"""Parse JPEG headers, and detect truncated data.

Decoders fill missing data with grey and only warn, and neither Pillow nor OpenCV passes the warning on. So where a
decoded picture ends in exactly that grey, :func:`cut` checks whether the data contain it. The format is ITU-T T.81.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from detector.errors import ImageError

_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")  # in a scan: FF00 is a byte of it, D0 to D7 are restarts
_RESTART = re.compile(rb"\xff+([\xd0-\xd7])")
_PROGRESSIVE = 0xC2
_MAX_SCANS = 100  # encoders write a dozen
_DECODED_KINDS = (0xC0, 0xC1, _PROGRESSIVE)  # kinds of frames
_PADDING = 8  # at most so many bits pad the last byte


class Component(NamedTuple):
    """Blocks of a component in a coding unit: across and down."""

    across: int
    down: int


class Scan(NamedTuple):
    """Components with their tables for DC and AC, first and last coefficient, lowest bit, and whether it refines
    earlier scans."""

    tables: dict[int, tuple[int, int]]
    first: int
    last: int
    low_bit: int
    refines: bool


@dataclass
class Jpeg:
    """Contents of the segments of a file.

    Attributes:
        kind: the frame marker: 0xC0 and 0xC1 are sequential, 0xC2 is progressive, others are rare.
        size_wh: of the picture before EXIF rotation; (0, 0) if unknown.
        components: by id.
        code_segments: of Huffman tables, as they are.
        scans: in order.
        restart_interval: units from one restart marker to the next; 0 if there are none.
        data_at: where the data of the first scan begin.
    """

    kind: int = 0
    size_wh: tuple[int, int] = (0, 0)
    components: dict[int, Component] = field(default_factory=dict)
    code_segments: list[bytes] = field(default_factory=list)
    scans: list[Scan] = field(default_factory=list)
    restart_interval: int = 0
    data_at: int = 0

    @property
    def unit_wh(self) -> tuple[int, int]:
        """Width and height of a coding unit in pixels."""
        sampled = self.components.values()
        return 8 * max((c.across for c in sampled), default=1), 8 * max((c.down for c in sampled), default=1)


def read_header(data: bytes) -> Jpeg:
    """Parse everything before the first scan.

    Raises:
        ImageError: if the file ends within its header, or has no end marker after it (a thumbnail in the header may
            have one of its own), or has so many scans that decoding takes minutes. Anything may follow the end marker
            (annex B; cameras append data).
    """
    header = Jpeg()
    at = _segments(header, data, 2)
    if not header.scans and at + 4 > len(data):
        raise ImageError("truncated (the JPEG ends within its header)")
    if header.scans and data.rfind(b"\xff\xd9", at) < 0:
        raise ImageError("truncated (the JPEG ends before its end marker)")
    header.data_at = at
    if data.count(b"\xff\xda") > _MAX_SCANS and (scans := _scan_count(data)) > _MAX_SCANS:
        raise ImageError(
            f"{scans} scans, and a JPEG of at most {_MAX_SCANS} is decoded: each takes as long as a picture"
        )
    return header


def _scan_count(data: bytes) -> int:
    """Return how many scans a decoder goes through: it passes over anything between segments."""
    count, at = 0, 2
    while (marker := _MARKER.search(data, at)) and marker[1] != b"\xd9":
        count += marker[1] == b"\xda"
        at = marker.end()
        if marker[1] != b"\x01":  # a marker that stands alone
            at += int.from_bytes(data[at : at + 2], "big")
    return count


def lacks_restarts(data: bytes, header: Jpeg) -> bool:
    """Test whether restart markers are missing or out of order: with each, a part of the picture is.

    Args:
        data: the file.
        header: result of :func:`read_header`.
    """
    if not header.restart_interval and _RESTART.search(data, header.data_at) is None:
        return False
    parsed, at, scans = Jpeg(), 2, 0
    while True:
        at = _segments(parsed, data, at)
        if len(parsed.scans) == scans:  # damage, or the end of the file
            return False
        scans += 1
        end = _MARKER.search(data, at)
        stop = end.start() if end else len(data)
        numbers = [marker[1][0] & 7 for marker in _RESTART.finditer(data, at, stop)]
        expected = _restarts(parsed)
        if expected is None:
            return False
        if len(numbers) < expected or any(number != i % 8 for i, number in enumerate(numbers[:expected])):
            return True
        if not parsed.restart_interval and numbers:
            return True
        if end is None or end[1] == b"\xd9":
            return False
        at = stop


def _restarts(parsed: Jpeg) -> int | None:
    """Return how many restart markers the last scan needs (A.2, B.2.4.4); None if that cannot be told.

    One more at the end, which some encoders write, does no harm.
    """
    (width, height), parts = parsed.size_wh, parsed.scans[-1].tables
    if (
        parsed.kind not in _DECODED_KINDS
        or not (width and height)
        or not parts
        or not parts.keys() <= parsed.components.keys()
    ):
        return None
    if not parsed.restart_interval:
        return 0
    across, down = parsed.unit_wh
    if len(parts) == 1:  # a scan of one component has its blocks for units
        part = parsed.components[next(iter(parts))]
        if not (part.across and part.down):
            return None
        width, height = -(-width * part.across * 8 // across), -(-height * part.down * 8 // down)
        across = down = 8
    if not (across and down):
        return None
    units = -(-width // across) * -(-height // down)
    return (units - 1) // parsed.restart_interval


def cut(data: bytes, header: Jpeg, grey_units: int) -> bool:
    """Test whether the data of a file are truncated.

    Args:
        data: the file.
        header: result of :func:`read_header`.
        grey_units: how many of the last units of the decoded picture are flat mid-grey, like the one before them.

    Returns:
        True if the data do not encode so many flat units at their end, or if a progressive file, which is blurred
        rather than grey where it is cut, lacks scans.
    """
    if not grey_units and header.kind != _PROGRESSIVE:
        return False
    parsed, at, last_scan = Jpeg(), 2, b""
    while at < len(data):
        at = _segments(parsed, data, at)
        end = _MARKER.search(data, at)
        stop = end.start() if end else len(data)
        last_scan, at = data[at:stop], stop
        if end is None or end[1] == b"\xd9":
            break
    if parsed.kind not in _DECODED_KINDS or not parsed.scans:
        return False
    parts = [part for scan in parsed.scans if scan.first == 0 and not scan.refines for part in scan.tables]
    if sorted(parts) != sorted(parsed.components):
        return True  # a component without data, or damage that looks like the start of another scan
    if parsed.kind == _PROGRESSIVE:  # cut in its first scans: refinements are missing
        return not all(_is_complete(parsed, part) for part in parsed.components)
    flat_bits, bits = _flat_unit(parsed) * grey_units, "".join(f"{byte:08b}" for byte in _last_bytes(last_scan))
    return not any(
        bits[len(bits) - pad :].count("0") == 0 and bits[: len(bits) - pad].endswith(flat_bits)
        for pad in range(_PADDING)
    )


def _is_complete(parsed: Jpeg, part: int) -> bool:
    """Test whether scans have the last bits of all coefficients of a component."""
    final = [scan for scan in parsed.scans if part in scan.tables and scan.low_bit == 0]
    return {*range(64)} == {place for scan in final for place in range(scan.first, scan.last + 1)}


def _segments(parsed: Jpeg, data: bytes, at: int) -> int:
    """Parse segments up to the end of the next scan header or of the file; return that position."""
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        content = data[at + 4 : at + 2 + size]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and len(content) >= 6:
            parsed.kind = marker
            parsed.size_wh = int.from_bytes(content[3:5], "big"), int.from_bytes(content[1:3], "big")
            parts = (content[i : i + 3] for i in range(6, 6 + 3 * content[5], 3))
            parsed.components = {part[0]: Component(part[1] >> 4, part[1] & 15) for part in parts if len(part) == 3}
        elif marker == 0xDD:
            parsed.restart_interval = int.from_bytes(data[at + 4 : at + 6], "big")
        elif marker == 0xC4:
            parsed.code_segments.append(content)
        elif marker == 0xDA:
            parsed.scans.append(_scan(content))
            return at + 2 + size
        at += 2 + size
    return at


def _scan(content: bytes) -> Scan:
    count = content[0] if content else 0
    if len(content) < 4 + 2 * count:
        return Scan({}, 0, 63, 0, False)
    tables = {content[i]: (content[i + 1] >> 4, content[i + 1] & 15) for i in range(1, 1 + 2 * count, 2)}
    first, last, bits = content[1 + 2 * count : 4 + 2 * count]
    return Scan(tables, first, last, bits & 15, bits > 15)


def _codes(segments: list[bytes]) -> dict[tuple[int, int], dict[int, str]]:
    """Huffman codes of each value, by table: (0 for DC or 1 for AC, number); annex C."""
    tables = {}
    for content in segments:
        while len(content) >= 17:
            table, counts, content = divmod(content[0], 16), content[1:17], content[17:]
            code, at, codes = 0, 0, dict[int, str]()
            for bits, count in enumerate(counts, 1):
                for value in content[at : at + count]:
                    codes[value] = f"{code:0{bits}b}"
                    code += 1
                at, code = at + count, code << 1
            tables[table] = codes
            content = content[at:]
    return tables


def _flat_unit(parsed: Jpeg) -> str:
    """Bits of a flat unit like the one before it: no change of DC, no AC."""
    scan, codes, bits = parsed.scans[-1], _codes(parsed.code_segments), ""
    for part, (dc, ac) in scan.tables.items():
        sampled = parsed.components.get(part, Component(1, 1))
        blocks = sampled.across * sampled.down if len(scan.tables) > 1 else 1
        bits += blocks * (codes.get((0, dc), {}).get(0, "") + codes.get((1, ac), {}).get(0, ""))
    return bits


def _last_bytes(data: bytes) -> bytes:
    """Last bytes of a scan without byte stuffing."""
    return data[-128:].replace(b"\xff\x00", b"\xff")
