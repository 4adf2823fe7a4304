"""Bodies of requests: what is taken out of them, and what is refused in which words."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.serving.bodies import BodyError, pictures_in
from tests.serving.running import multipart

A, B = b"\x89PNG one", b"\xff\xd8 two\r\n--b0undar"  # bytes that look like the beginning of a boundary
MULTIPART = "multipart/form-data; boundary=b0undary"


def in_json(*pictures: Any, **members: Any) -> bytes:
    return json.dumps({"pictures": list(pictures), **members}).encode()


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def named(name: str) -> tuple[bytes, str]:
    """A body of one part whose file name is written as RFC 2231 has it, and its Content-Type."""
    head = f"--b0undary\r\nContent-Disposition: form-data; name=f; filename*={name}"
    return head.encode() + b"\r\n\r\nxy\r\n--b0undary--", MULTIPART


TAKEN: dict[str, tuple[bytes, str, list[str], list[bytes], str | None]] = {
    "one as it is": (A, "image/png", ["picture-1"], [A], None),
    "without a type": (A, "", ["picture-1"], [A], None),
    "as bytes": (A, "application/octet-stream", ["picture-1"], [A], None),
    "parts": (*multipart(("f", "a.png", A), ("f", "b.jpg", B)), ["a.png", "b.jpg"], [A, B], None),
    "a part with a model": (*multipart(("model", None, b"plates"), ("f", "a.png", A)), ["a.png"], [A], "plates"),
    "a part without a name, of an image's type": (
        b'--b0undary\r\nContent-Disposition: form-data; name="f"\r\nContent-Type: image/png\r\n\r\nxy\r\n--b0undary--',
        MULTIPART, ["picture-1"], [b"xy"], None,
    ),
    "names beyond ASCII": (*multipart(("f", "Ж 車.png", A)), ["Ж 車.png"], [A], None),
    "a name by RFC 2231": (*named("utf-8''%C3%BC.png"), ["ü.png"], [b"xy"], None),
    "a name in an unknown charset": (*named("klingon''x"), ["x"], [b"xy"], None),
    "a boundary by RFC 2231": (named("utf-8''x")[0], "multipart/form-data; boundary*=utf-8''b0undary", ["x"], [b"xy"],
                               None),
    "a name with many signs": (*multipart(("f", "a;" * 90 + ".png", A)), ["a;" * 90 + ".png"], [A], None),
    "an empty part": (*multipart(("f", "a.png", b"")), ["a.png"], [b""], None),
    "base64": (in_json(in_base64(A), in_base64(B)), "application/json", ["picture-1", "picture-2"], [A, B], None),
    "base64 with names": (
        in_json({"image": "a.png", "data": in_base64(A)}, model="m"), "application/json; charset=utf-8", ["a.png"],
        [A], "m",
    ),
    "as a canvas gives it": (in_json("data:image/png;base64," + in_base64(A)), "application/json", ["picture-1"], [A],
                             None),
}  # fmt: skip


@pytest.mark.parametrize(("body", "kind", "names", "pictures", "model"), TAKEN.values(), ids=TAKEN.keys())
def test_pictures_are_taken_out(
    body: bytes, kind: str, names: list[str], pictures: list[bytes], model: str | None
) -> None:
    taken = pictures_in(body, kind, 2)
    assert (taken.names, taken.pictures, taken.model) == (names, pictures, model)


REFUSED: dict[str, tuple[bytes, str, int, str]] = {
    "a form": (b"a=b", "application/x-www-form-urlencoded", 415, "'application/x-www-form-urlencoded' is not"),
    "a text": (b"hello", "text/plain", 415, "not understood: send one picture as image/png"),
    "nothing": (b"", "image/png", 400, "no picture in the body"),
    "no pictures": (in_json(), "application/json", 400, "no picture in the body"),
    "too many": (in_json("", "", ""), "application/json", 413, "more than 2 pictures"),
    "too many parts": (*multipart(*[("f", "a", b"")] * 3), 413, "more than 2 pictures"),
    "no JSON": (b"{", "application/json", 400, "no JSON"),
    "deep JSON": (b"[" * 2900, "application/json", 400, "no JSON"),
    "many values": (b'{"pictures": ["AAAA"], "x": [' + b"[]," * 3000 + b"0]}", "application/json", 413, "more values"),
    "not UTF-8": (b'{"pictures": ["\xff"]}', "application/json", 400, "no JSON"),
    "a list": (b"[]", "application/json", 400, 'must be {"pictures"'),
    "pictures that are no list": (b'{"pictures": {}}', "application/json", 400, 'must be {"pictures"'),
    "a number for a picture": (in_json(A.decode("latin-1"), 3), "application/json", 400, "picture 1 is no base64"),
    "no base64": (in_json("AAAA", 3), "application/json", 400, "picture 2 must be base64"),
    "a name that is none": (in_json({"image": 3, "data": "AAAA"}), "application/json", 400, "picture 1 must be"),
    "a model that is none": (in_json("AAAA", model=3), "application/json", 400, "model '3' is no name"),
    "no boundary": (b"--b0undary--", "multipart/form-data", 400, "without a boundary"),
    "another boundary": (multipart(("f", "a", A), boundary="other")[0], MULTIPART, 400, "cannot be taken apart"),
    "half a body": (multipart(("f", "a.png", A))[0][:-20], MULTIPART, 400, "ends before its last boundary"),
    "a field": (*multipart(("note", None, b"hello")), 400, "the part 'note' is no picture"),
    "two models": (*multipart(("model", None, b"a"), ("model", None, b"b"), ("f", "a", A)), 400, "more than one part"),
    # The standard library takes seconds for a header of 60 KB of these, in which nobody is answered.
    "a header of parameters": (A, 'multipart/form-data; x="' + ";" * 60_000, 400, "too long to be taken apart"),
    "a header that is a book": (A, "multipart/form-data; x*" + "1" * 5000 + "*=y", 400, "too long to be taken apart"),
    "a part with such a header": (*multipart(("f", ";" * 2000, A)), 400, "too long to be taken apart"),
    "a name in two ways": (*named("utf-8''x; filename*0=y"), 400, "the parameters of content-disposition"),
    "a name in a charset that is none": (*named("undefined''x"), 400, "undefined''x\" cannot be taken apart"),
    "a name in a charset that has no such bytes": (*named("idna''x"), 400, 'send each of them once, as NAME="TEXT"'),
    "a charset with a zero": (*named("a%00b''x"), 400, "cannot be taken apart: send"),
    "a boundary in two ways": (A, MULTIPART + "; boundary*=utf-8''x; boundary*0=y", 400, "parameters of content-type"),
    "a boundary that is a book": (A, "multipart/form-data; boundary=" + "b" * 300, 400, "cannot be taken apart"),
    "empty parts": (b"", MULTIPART, 400, "ends before its last boundary"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "kind", "status", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_none_is_refused_in_words(body: bytes, kind: str, status: int, said: str) -> None:
    with pytest.raises(BodyError) as refused:
        pictures_in(body, kind, 2)
    assert refused.value.status == status
    assert said in str(refused.value)


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5))
def test_what_goes_in_comes_out(pictures: list[bytes]) -> None:
    body, kind = multipart(*[("f", f"{i}.png", data) for i, data in enumerate(pictures)], boundary="q" * 40)
    assert pictures_in(body, kind, 5).pictures == pictures
    body = in_json(*map(in_base64, pictures))
    assert pictures_in(body, "application/json", 5).pictures == pictures


PIECES = ["*", "0", "*1", "*0*", "=", "''", '"', ";", "%", "x", "utf-8", "hex", "a/b", "\0", "é", "filename"]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_any_header_is_taken_or_refused(parameters: str) -> None:
    for body, kind in (named(parameters), (named("x")[0], "multipart/form-data; boundary" + parameters)):
        try:
            assert pictures_in(body, kind, 5).pictures
        except BodyError as refused:
            assert str(refused)


@given(st.binary(max_size=300), st.sampled_from([MULTIPART, "application/json", "image/png", "text/x; boundary=b"]))
def test_any_bytes_are_taken_or_refused(body: bytes, kind: str) -> None:
    try:
        assert pictures_in(body, kind, 5).pictures
    except BodyError as refused:
        assert str(refused)
