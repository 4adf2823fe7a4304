# ruff: noqa: E501  # tables of pieces, a piece a line
"""Changes that files of strangers have suffered: to bytes, to text and to JSON values; no command."""

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
"""At the edges of what fields of files hold."""

_SIGNS = ("\0", '"', "'", ",", ";", "\t", "\r", "\n", "\r\n", "\ufeff", "\u200e", "\u202e", "\u00a0", "\u0301", "\ud83d\ude00",
          "\uff21", "\u0660", "ا", "\\", "/", "../", "C:\\", "%00", "{", "}", "[", "]", "&a", "*a", "!!", "=", "#", ":", "- ",
          "<", "&lt;", "nan", "1e999", "-0", "33019.0", "1_000", "٣", "²", "9" * 400, " " * 3, "\x1b[31m", "\x85", "\u2028")  # fmt: skip
"""That mean something to some reader of text."""


def _place(data: bytes, rng: random.Random) -> int:
    """Somewhere in the data; half of the time in the first kilobyte, where headers are."""
    return rng.randrange(min(len(data), 1024) if rng.random() < 0.5 else len(data)) if data else 0


def _flip(data: bytes, rng: random.Random, donors: Sequence[bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if changed:
            changed[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _overwrite(data: bytes, rng: random.Random, donors: Sequence[bytes]) -> bytes:
    at, order, size = _place(data, rng), rng.choice("<>"), rng.choice("BHI")
    packed = struct.pack(order + size, rng.choice(_NUMBERS) % (1 << (8 * struct.calcsize(size))))
    return data[:at] + packed + data[at + len(packed) :]


def _drop(data: bytes, rng: random.Random, donors: Sequence[bytes]) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + rng.choice((1, 2, 7, 64, 1024)) :]


def _repeat(data: bytes, rng: random.Random, donors: Sequence[bytes]) -> bytes:
    at, size = _place(data, rng), rng.choice((1, 4, 64, 1024))
    return data[:at] + data[at : at + size] * rng.choice((2, 3, 20)) + data[at + size :]


def _insert(data: bytes, rng: random.Random, donors: Sequence[bytes]) -> bytes:
    at = _place(data, rng)
    return data[:at] + rng.randbytes(rng.choice((1, 2, 16, 256))) + data[at:]


def _constant(data: bytes, rng: random.Random, donors: Sequence[bytes]) -> bytes:
    at, size = _place(data, rng), rng.choice((4, 64, 1024))
    return data[:at] + bytes([rng.choice((0, 255, 128))]) * min(size, len(data) - at) + data[at + size :]


def _cut(data: bytes, rng: random.Random, donors: Sequence[bytes]) -> bytes:
    return data[: _place(data, rng)]


def _splice(data: bytes, rng: random.Random, donors: Sequence[bytes]) -> bytes:
    donor = rng.choice(donors) if donors else data
    return data[: _place(data, rng)] + donor[_place(donor, rng) :]


BYTES: tuple[Bytes, ...] = (_flip, _overwrite, _drop, _repeat, _insert, _constant, _cut, _splice)


def changed_bytes(data: bytes, rng: random.Random, donors: Sequence[bytes] = ()) -> bytes:
    """``data`` after one to three changes; ``others`` are files that one may go on with."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        data = rng.choice(BYTES)(data, rng, donors)
    return data


def with_right_sums(png: bytes) -> bytes:
    """The same PNG with checksums that fit, so that a decoder looks behind them."""
    chunks, at = png[:8], 8
    while at + 12 <= len(png):
        end = at + 8 + int.from_bytes(png[at : at + 4], "big")
        if end + 4 > len(png):
            break
        chunks += png[at:end] + zlib.crc32(png[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return chunks + png[at:]


# --- text ----------------------------------------------------------------------------------------------------------


def _signs(text: str, rng: random.Random) -> str:
    for _ in range(rng.choice((1, 1, 3, 10))):
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(_SIGNS) + text[at + rng.choice((0, 0, 1)) :]
    return text


def _lines(text: str, rng: random.Random) -> str:
    lines = text.splitlines(keepends=True) or [""]
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.randrange(5)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(at, lines[other] * rng.choice((1, 5)))
    elif kind == 2:
        lines[at], lines[other] = lines[other], lines[at]
    elif kind == 3:
        lines[at] = lines[at].rstrip("\n")
    else:
        lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)] + lines[other]
    return "".join(lines)


def _delimiters(text: str, rng: random.Random) -> str:
    separators = [sign for sign in ',;\t|: "\n' if sign in text]
    return text.replace(rng.choice(separators), rng.choice(',;\t| "\n'), rng.choice((1, 3, -1))) if separators else text


def _words(text: str, rng: random.Random) -> str:
    words = text.split()
    return text.replace(rng.choice(words), rng.choice(words), rng.choice((1, -1))) if words else text


def _nested(text: str, rng: random.Random) -> str:
    opening, closing = rng.choice(("[]", "{}", ('{"a":', "}"), ("- ", ""), ("(", ")"), ("<a>", "</a>")))
    deep = rng.choice((3, 30, 3000, 30000))
    at = rng.randrange(len(text) + 1)
    return text[:at] + opening * deep + rng.choice(("1", '"A"', "")) + closing * deep + text[at:]


def _long(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice((" ", "\t", '"', "\\", "0", "A", ",", "\n", ".png ", "(", "a_")) * 30_000 + text[at:]


def _half(text: str, rng: random.Random) -> str:
    return text[: rng.randrange(len(text) + 1)]


_TEXT = (_signs, _signs, _signs, _lines, _lines, _lines, _delimiters, _words, _nested, _long, _half)


def changed_text(text: str, rng: random.Random) -> str:
    """A text after one to three changes."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        text = rng.choice(_TEXT)(text, rng)
    return text


def changed_encoding(text: str, rng: random.Random) -> bytes:
    """A text's bytes, now and then in an encoding that nobody expects."""
    code = rng.choice(["utf-8"] * 12 + ["utf-8-sig", "utf-16", "utf-32", "latin-1", "gb18030"])
    return text.encode(code, "surrogatepass" if code.startswith("utf") else "replace")


# --- JSON ----------------------------------------------------------------------------------------------------------

_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 10**9, 1e308, 10**30, float("nan"), float("inf"), "", "A", "0", "x" * 500, [], {}, [[]], [None], {"": ""},
    {"text": "AB12"}, ["a.png"], [{}], "\u0000", "\ud800", {"id": {}}, '{"text": "A"}',
)  # fmt: skip


def changed_json(text: str, rng: random.Random) -> str:
    """A JSON text with values of other kinds in some places; keys are dropped and renamed, too."""
    try:
        value = json.loads(text)
    except ValueError:
        return changed_text(text, rng)
    return json.dumps(changed_value(value, rng), ensure_ascii=rng.random() < 0.5)


def changed_value(value: Any, rng: random.Random) -> Any:
    """A value of lists and dictionaries, with others in some places; it is changed itself."""
    holder = [value]
    for _ in range(rng.choice((1, 2, 4))):
        _change_one(holder, rng)
    return holder[0]


def _change_one(holder: list[Any], rng: random.Random) -> None:
    place: Any = holder
    key: Any = 0
    while isinstance(place[key], (dict, list)) and place[key] and rng.random() < 0.8:
        place = place[key]
        key = rng.choice([*place]) if isinstance(place, dict) else rng.randrange(len(place))
    kind = rng.random()
    if kind < 0.6 or place is holder:
        place[key] = deepcopy(rng.choice(_VALUES))
    elif kind < 0.8:
        del place[key]
    elif isinstance(place, dict):
        place[rng.choice(("text", "image", "id", "", str(key).upper(), "a" * 300))] = place.pop(key)
    else:
        place.insert(key, deepcopy(rng.choice(_VALUES)))
