"""Parse JPEG headers, and detect truncated data.

Decoders fill missing data with grey and only warn, and neither Pillow nor OpenCV passes the warning on. But what they
miss, they take from what follows: :func:`with_more_data`. The format is ITU-T T.81.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from typing import NamedTuple

from detector.errors import ImageError

_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")  # in a scan: FF00 is a byte of it, D0 to D7 are restarts
_RESTART = re.compile(rb"\xff+([\xd0-\xd7])")
PROGRESSIVE = 0xC2
_MAX_SCANS = 100  # encoders write a dozen
_DECODED_KINDS = (0xC0, 0xC1, PROGRESSIVE)  # kinds of frames


class Component(NamedTuple):
    """Blocks of a component in a coding unit: across and down."""

    across: int
    down: int


class Scan(NamedTuple):
    """Components by id, first and last coefficient, lowest bit, and whether it refines earlier scans."""

    parts: tuple[int, ...]
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
        scans: in order.
        restart_interval: units from one restart marker to the next; 0 if there are none.
        data_at: where the data of the first scan begin.
    """

    kind: int = 0
    size_wh: tuple[int, int] = (0, 0)
    components: dict[int, Component] = field(default_factory=dict)
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
    (width, height), parts = parsed.size_wh, parsed.scans[-1].parts
    if (
        parsed.kind not in _DECODED_KINDS
        or not (width and height)
        or not parts
        or not parsed.components.keys() >= {*parts}
    ):
        return None
    if not parsed.restart_interval:
        return 0
    across, down = parsed.unit_wh
    if len(parts) == 1:  # a scan of one component has its blocks for units
        part = parsed.components[parts[0]]
        if not (part.across and part.down):
            return None
        width, height = -(-width * part.across * 8 // across), -(-height * part.down * 8 // down)
        across = down = 8
    if not (across and down):
        return None
    units = -(-width // across) * -(-height // down)
    return (units - 1) // parsed.restart_interval


def lacks_scans(data: bytes) -> bool:
    """Test whether a component has no data, or in a progressive file, which is blurred where it is cut, not all."""
    parsed, _ = _walk(data)
    if parsed.kind not in _DECODED_KINDS or not parsed.scans:
        return False
    parts = [part for scan in parsed.scans if scan.first == 0 and not scan.refines for part in scan.parts]
    if sorted(parts) != sorted(parsed.components):
        return True  # a component without data, or damage that looks like the start of another scan
    return parsed.kind == PROGRESSIVE and not all(_is_complete(parsed, part) for part in parsed.components)


def with_more_data(data: bytes, seed: int) -> bytes:
    """Return a file with bytes at random behind the data of its last scan.

    Decoders pass over them where the data are whole, and where data are missing take them for these: then other bytes
    are another picture.
    """
    _, end = _walk(data)
    return data[:end] + random.Random(seed).randbytes(256).replace(b"\xff", b"") + b"\xff\xd9"


def _walk(data: bytes) -> tuple[Jpeg, int]:
    """Parse all segments; return them, and where the data of the last scan end."""
    parsed, at = Jpeg(), 2
    while True:
        scans = len(parsed.scans)
        at = _segments(parsed, data, at)
        end = _MARKER.search(data, at)
        at = end.start() if end else len(data)
        if end is None or end[1] == b"\xd9" or len(parsed.scans) == scans:
            return parsed, at


def _is_complete(parsed: Jpeg, part: int) -> bool:
    """Test whether scans have the last bits of all coefficients of a component."""
    final = [scan for scan in parsed.scans if part in scan.parts and scan.low_bit == 0]
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
        elif marker == 0xDA:
            parsed.scans.append(_scan(content))
            return at + 2 + size
        at += 2 + size
    return at


def _scan(content: bytes) -> Scan:
    count = content[0] if content else 0
    if len(content) < 4 + 2 * count:
        return Scan((), 0, 63, 0, False)
    first, last, bits = content[1 + 2 * count : 4 + 2 * count]
    return Scan(tuple(content[1 : 1 + 2 * count : 2]), first, last, bits & 15, bits > 15)
