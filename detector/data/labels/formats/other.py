"""Files that labels are often kept in and that are not read: what they are, and what to do."""

from __future__ import annotations

from pathlib import Path

from detector.data.labels.formats.drawn import NO_TEXTS

_KINDS = (
    (b"PK\x03\x04", ".zip", "an archive: unpack it, and give the folder"),
    (b"PK\x03\x04", "", "a spreadsheet or another archive: save it as CSV"),
    (b"Rar!", "", "an archive: unpack it, and give the folder"),
    (b"7z\xbc\xaf", "", "an archive: unpack it, and give the folder"),
    (b"\x1f\x8b", "", "a compressed file: unpack it, and give the folder"),
    (b"\xd0\xcf\x11\xe0", "", "an old spreadsheet: save it as CSV"),
    (b"PAR1", "", "a Parquet file among pictures: shards lie in a folder of their own, and `detector pack` makes them"),
    (b"\x89HDF", "", "an HDF5 file: write its texts to a CSV"),
    (b"MATLAB", "", "a MATLAB file: write its texts to a CSV"),
    (b"SQLite format 3", "", "a database: write its texts to a CSV"),
)
"""How a file begins, the endings that this holds for ("" is any), and what it is."""

_STATES = ("filestate.txt", "cache.cach")

SPREADSHEETS = (".xlsx", ".xlsm", ".ods", ".xls")
SUFFIXES = (*SPREADSHEETS, *".zip .rar .7z .tar .gz .tgz .parquet .h5 .hdf5 .mat .db .sqlite .mdb".split())
"""Endings of such files."""


def description_of(file: Path) -> str:
    """Describe a file of an unsupported format, and what to do; "" if it is none, or cannot be read."""
    if file.name.lower() in _STATES:
        return f"PPOCRLabel's record of what was looked at, and has {NO_TEXTS}"
    if not file.is_file():  # a pipe would be waited for
        return ""
    try:
        with open(file, "rb") as stream:
            head = stream.read(512)
    except OSError:
        return ""
    for begins, suffixes, description in _KINDS:
        if head.startswith(begins) and (not suffixes or file.suffix.lower() in suffixes.split()):
            return description
    if head[257:262] == b"ustar":
        return "a tar file: unpack it, and give the folder, or give the shards that `detector pack` makes of it"
    return "a database of LMDB: write its pictures to files, and their texts to a CSV" if file.suffix == ".mdb" else ""
