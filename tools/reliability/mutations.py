# ruff: noqa: E501  # tables of pieces, a piece a line
"""Random changes to bytes, to text and to JSON values; no command."""

from __future__ import annotations

import json
import random
import struct
import zlib
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

Bytes = Callable[[bytes, random.Random, Sequence[bytes]], bytes]

_NUMBERS = (0, 1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
"""Limits of fields in files."""

_SIGNS = ("\0", '"', "'", ",", ";", "\t", "\r", "\n", "\r\n", "\ufeff", "\u200e", "\u202e", "\u00a0", "\u0301", "\ud83d\ude00",
          "\uff21", "\u0660", "ا", "\\", "/", "../", "C:\\", "%00", "{", "}", "[", "]", "&a", "*a", "!!", "=", "#", ":", "- ",
          "<", "&lt;", "nan", "1e999", "-0", "33019.0", "1_000", "٣", "²", "9" * 400, " " * 3, "\x1b[31m", "\x85", "\u2028")  # fmt: skip
"""Characters and strings with a special meaning to some reader of text."""


def _offset(data: bytes, rng: random.Random) -> int:
    """Return a random offset in the data; half of the time in the first kilobyte, where headers are."""
    return rng.randrange(min(len(data), 1024) if rng.random() < 0.5 else len(data)) if data else 0


def _flip(data: bytes, rng: random.Random, donors: Sequence[bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if changed:
            changed[_offset(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _overwrite(data: bytes, rng: random.Random, donors: Sequence[bytes]) -> bytes:
    start, order, size = _offset(data, rng), rng.choice("<>"), rng.choice("BHI")
    packed = struct.pack(order + size, rng.choice(_NUMBERS) % (1 << (8 * struct.calcsize(size))))
    return data[:start] + packed + data[start + len(packed) :]


def _drop(data: bytes, rng: random.Random, donors: Sequence[bytes]) -> bytes:
    start = _offset(data, rng)
    return data[:start] + data[start + rng.choice((1, 2, 7, 64, 1024)) :]


def _repeat(data: bytes, rng: random.Random, donors: Sequence[bytes]) -> bytes:
    start, size = _offset(data, rng), rng.choice((1, 4, 64, 1024))
    return data[:start] + data[start : start + size] * rng.choice((2, 3, 20)) + data[start + size :]


def _insert(data: bytes, rng: random.Random, donors: Sequence[bytes]) -> bytes:
    start = _offset(data, rng)
    return data[:start] + rng.randbytes(rng.choice((1, 2, 16, 256))) + data[start:]


def _constant(data: bytes, rng: random.Random, donors: Sequence[bytes]) -> bytes:
    start, size = _offset(data, rng), rng.choice((4, 64, 1024))
    return data[:start] + bytes([rng.choice((0, 255, 128))]) * min(size, len(data) - start) + data[start + size :]


def _cut(data: bytes, rng: random.Random, donors: Sequence[bytes]) -> bytes:
    return data[: _offset(data, rng)]


def _splice(data: bytes, rng: random.Random, donors: Sequence[bytes]) -> bytes:
    donor = rng.choice(donors) if donors else data
    return data[: _offset(data, rng)] + donor[_offset(donor, rng) :]


BYTES: tuple[Bytes, ...] = (_flip, _overwrite, _drop, _repeat, _insert, _constant, _cut, _splice)


def changed_bytes(data: bytes, rng: random.Random, donors: Sequence[bytes] = ()) -> bytes:
    """Change bytes one to three times; a change may append the end of one of ``donors``."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        data = rng.choice(BYTES)(data, rng, donors)
    return data


def with_valid_checksums(png: bytes) -> bytes:
    """Return a PNG with valid checksums, so that a decoder reads the chunks."""
    chunks, start = png[:8], 8
    while start + 12 <= len(png):
        end = start + 8 + int.from_bytes(png[start : start + 4], "big")
        if end + 4 > len(png):
            break
        chunks += png[start:end] + zlib.crc32(png[start + 4 : end]).to_bytes(4, "big")
        start = end + 4
    return chunks + png[start:]


# --- text ----------------------------------------------------------------------------------------------------------


def _signs(text: str, rng: random.Random) -> str:
    for _ in range(rng.choice((1, 1, 3, 10))):
        start = rng.randrange(len(text) + 1)
        text = text[:start] + rng.choice(_SIGNS) + text[start + rng.choice((0, 0, 1)) :]
    return text


def _lines(text: str, rng: random.Random) -> str:
    lines = text.splitlines(keepends=True) or [""]
    index, other_index = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.randrange(5)
    if kind == 0:
        del lines[index]
    elif kind == 1:
        lines.insert(index, lines[other_index] * rng.choice((1, 5)))
    elif kind == 2:
        lines[index], lines[other_index] = lines[other_index], lines[index]
    elif kind == 3:
        lines[index] = lines[index].rstrip("\n")
    else:
        lines[index] = lines[index][: rng.randrange(len(lines[index]) + 1)] + lines[other_index]
    return "".join(lines)


def _delimiters(text: str, rng: random.Random) -> str:
    separators = [sign for sign in ',;\t|: "\n' if sign in text]
    return text.replace(rng.choice(separators), rng.choice(',;\t| "\n'), rng.choice((1, 3, -1))) if separators else text


def _words(text: str, rng: random.Random) -> str:
    words = text.split()
    return text.replace(rng.choice(words), rng.choice(words), rng.choice((1, -1))) if words else text


def _nested(text: str, rng: random.Random) -> str:
    opening, closing = rng.choice(("[]", "{}", ('{"a":', "}"), ("- ", ""), ("(", ")"), ("<a>", "</a>")))
    depth = rng.choice((3, 30, 3000, 30000))
    start = rng.randrange(len(text) + 1)
    return text[:start] + opening * depth + rng.choice(("1", '"A"', "")) + closing * depth + text[start:]


def _long(text: str, rng: random.Random) -> str:
    start = rng.randrange(len(text) + 1)
    return (
        text[:start]
        + rng.choice((" ", "\t", '"', "\\", "0", "A", ",", "\n", ".png ", "(", "a_")) * 30_000
        + text[start:]
    )


def _half(text: str, rng: random.Random) -> str:
    return text[: rng.randrange(len(text) + 1)]


_TEXT = (_signs, _signs, _signs, _lines, _lines, _lines, _delimiters, _words, _nested, _long, _half)


def changed_text(text: str, rng: random.Random) -> str:
    """Change a text one to three times."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        text = rng.choice(_TEXT)(text, rng)
    return text


def changed_encoding(text: str, rng: random.Random) -> bytes:
    """Return a text's bytes, sometimes in an unusual encoding."""
    encoding = rng.choice(["utf-8"] * 12 + ["utf-8-sig", "utf-16", "utf-32", "latin-1", "gb18030"])
    return text.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace")


# --- JSON ----------------------------------------------------------------------------------------------------------

_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 10**9, 1e308, 10**30, float("nan"), float("inf"), "", "A", "0", "x" * 500, [], {}, [[]], [None], {"": ""},
    {"text": "AB12"}, ["a.png"], [{}], "\u0000", "\ud800", {"id": {}}, '{"text": "A"}',
)  # fmt: skip


def changed_json(text: str, rng: random.Random) -> str:
    """Replace values of a JSON text by others of any type; drop and rename keys, too."""
    try:
        value = json.loads(text)
    except ValueError:
        return changed_text(text, rng)
    return json.dumps(changed_value(value, rng), ensure_ascii=rng.random() < 0.5)


def changed_value(value: Any, rng: random.Random) -> Any:
    """Replace parts of a nested value of lists and dictionaries, in place; return it."""
    root = [value]
    for _ in range(rng.choice((1, 2, 4))):
        _change_node(root, rng)
    return root[0]


def _change_node(root: list[Any], rng: random.Random) -> None:
    """Replace, delete, rename or insert a random node below ``root``."""
    parent: Any = root
    key: Any = 0
    while isinstance(parent[key], (dict, list)) and parent[key] and rng.random() < 0.8:
        parent = parent[key]
        key = rng.choice([*parent]) if isinstance(parent, dict) else rng.randrange(len(parent))
    kind = rng.random()
    if kind < 0.6 or parent is root:
        parent[key] = deepcopy(rng.choice(_VALUES))
    elif kind < 0.8:
        del parent[key]
    elif isinstance(parent, dict):
        parent[rng.choice(("text", "image", "id", "", str(key).upper(), "a" * 300))] = parent.pop(key)
    else:
        parent.insert(key, deepcopy(rng.choice(_VALUES)))
