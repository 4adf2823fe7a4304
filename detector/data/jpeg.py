"""What a JPEG file says before it is decoded, and whether its data end before its picture does.

Decoders fill up what is missing with grey and only warn, and neither Pillow nor OpenCV hands their warnings on. So
where a decoded picture ends in exactly that grey, :func:`cut` looks whether the data say so. ITU-T T.81 is the format.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from detector.errors import ImageError

_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")  # in a scan: FF00 is a byte of it, D0 to D7 are restarts
_PROGRESSIVE = 0xC2
_PADDING = 8  # bits at most that fill up the last byte


class Component(NamedTuple):
    """Blocks of a component in a unit of the picture: across, and down."""

    across: int
    down: int


class Scan(NamedTuple):
    """Its components with their tables for DC and AC, first and last coefficient, the lowest bit that it tells, and
    whether it tells more of what earlier scans told."""

    tables: dict[int, tuple[int, int]]
    first: int
    last: int
    low_bit: int
    again: bool


@dataclass
class Jpeg:
    """What the segments of a file say.

    Attributes:
        kind: the marker of its frame: 0xC0 and 0xC1 are sequential, 0xC2 is progressive, others are rare.
        size_wh: of the picture, before it is turned; (0, 0) where the file does not say it.
        components: by their id.
        scans: in order; the data of the last one lie in ``data``.
    """

    kind: int = 0
    size_wh: tuple[int, int] = (0, 0)
    components: dict[int, Component] = field(default_factory=dict)
    code_segments: list[bytes] = field(default_factory=list)
    scans: list[Scan] = field(default_factory=list)
    data: bytes = b""

    @property
    def unit_wh(self) -> tuple[int, int]:
        """Pixels of the unit in which a picture is coded."""
        sampled = self.components.values()
        return 8 * max((c.across for c in sampled), default=1), 8 * max((c.down for c in sampled), default=1)


def read_header(data: bytes) -> Jpeg:
    """What stands before the first scan, whose thumbnail may have an end marker of its own.

    Raises:
        ImageError: if the file ends within its header, or has no end marker after it. After that anything may follow
            (annex B; cameras append).
    """
    found, at = Jpeg(), 2
    at = _segments(found, data, at)
    if not found.scans and at + 4 > len(data):
        raise ImageError("truncated (the JPEG ends within its header)")
    if found.scans and data.rfind(b"\xff\xd9", at) < 0:
        raise ImageError("truncated (the JPEG ends before its end marker)")
    return found


def cut(data: bytes, header: Jpeg, grey_units: int) -> bool:
    """Whether the data of a file end before its picture does.

    Args:
        data: the file.
        header: what :func:`read_header` found.
        grey_units: how many units of the decoded picture, the last ones, are flat mid-grey as the one before them.

    Returns:
        True where the data do not say so many flat units at their end, or a progressive file, which is not grey where
        it is cut but dull, lacks scans.
    """
    if not grey_units and header.kind != _PROGRESSIVE:
        return False
    found, at = Jpeg(), 2
    while at < len(data):
        at = _segments(found, data, at)
        end = _MARKER.search(data, at)
        found.data = data[at : end.start() if end else len(data)]
        at = end.start() if end else len(data)
        if end is None or end[1] == b"\xd9":
            break
    if found.kind not in (0xC0, 0xC1, _PROGRESSIVE) or not found.scans:
        return False
    parts = [part for scan in found.scans if scan.first == 0 and not scan.again for part in scan.tables]
    if sorted(parts) != sorted(found.components):
        return True  # a component without any data, or damage that looks as the start of another scan
    if found.kind == _PROGRESSIVE:  # cut in its first scans: what makes them sharp is missing
        return not all(_is_whole(found, part) for part in found.components)
    wanted, bits = _flat_unit(found) * grey_units, "".join(f"{byte:08b}" for byte in _last_bytes(found.data))
    return not any(
        bits[len(bits) - pad :].count("0") == 0 and bits[: len(bits) - pad].endswith(wanted) for pad in range(_PADDING)
    )


def _is_whole(found: Jpeg, part: int) -> bool:
    """Whether the last bits of all coefficients of a component are told in some scan."""
    told = [scan for scan in found.scans if part in scan.tables and scan.low_bit == 0]
    return {*range(64)} == {place for scan in told for place in range(scan.first, scan.last + 1)}


def _segments(found: Jpeg, data: bytes, at: int) -> int:
    """Take what segments say up to the end of the next scan's header, or of the file; where that is."""
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        held = data[at + 4 : at + 2 + size]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and len(held) >= 6:
            found.kind = marker
            found.size_wh = int.from_bytes(held[3:5], "big"), int.from_bytes(held[1:3], "big")
            parts = (held[i : i + 3] for i in range(6, 6 + 3 * held[5], 3))
            found.components = {part[0]: Component(part[1] >> 4, part[1] & 15) for part in parts if len(part) == 3}
        elif marker == 0xC4:
            found.code_segments.append(held)
        elif marker == 0xDA:
            found.scans.append(_scan(held))
            return at + 2 + size
        at += 2 + size
    return at


def _scan(held: bytes) -> Scan:
    count = held[0] if held else 0
    if len(held) < 4 + 2 * count:
        return Scan({}, 0, 63, 0, False)
    tables = {held[i]: (held[i + 1] >> 4, held[i + 1] & 15) for i in range(1, 1 + 2 * count, 2)}
    first, last, bits = held[1 + 2 * count : 4 + 2 * count]
    return Scan(tables, first, last, bits & 15, bits > 15)


def _codes(segments: list[bytes]) -> dict[tuple[int, int], dict[int, str]]:
    """Codes of Huffman tables: by (0 for DC or 1 for AC, number), of each value (annex C)."""
    found = {}
    for held in segments:
        while len(held) >= 17:
            kind, counts, held = divmod(held[0], 16), held[1:17], held[17:]
            code, at, codes = 0, 0, dict[int, str]()
            for bits, count in enumerate(counts, 1):
                for value in held[at : at + count]:
                    codes[value] = f"{code:0{bits}b}"
                    code += 1
                at, code = at + count, code << 1
            found[kind] = codes
            held = held[at:]
    return found


def _flat_unit(found: Jpeg) -> str:
    """The bits of a unit that looks as the one before it, and is flat: no change of DC, no AC."""
    scan, codes, bits = found.scans[-1], _codes(found.code_segments), ""
    for part, (dc, ac) in scan.tables.items():
        sampled = found.components.get(part, Component(1, 1))
        blocks = sampled.across * sampled.down if len(scan.tables) > 1 else 1
        bits += blocks * (codes.get((0, dc), {}).get(0, "") + codes.get((1, ac), {}).get(0, ""))
    return bits


def _last_bytes(data: bytes) -> bytes:
    """The last ones of a scan, as they were coded."""
    return data[-128:].replace(b"\xff\x00", b"\xff")
