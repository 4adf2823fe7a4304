"""Every type that a public call gives or raises is public: who writes annotations or `except` needs its name."""

from __future__ import annotations

import builtins
import functools
import inspect
import re
import typing
from collections.abc import Iterator
from typing import Any

import pytest

import detector

CALLED_BY_SIGNS = ("__call__", "__getitem__", "__iter__", "__add__")


def types_in(hint: Any) -> Iterator[type]:
    """The classes that an annotation names, in whatever containers."""
    arguments = typing.get_args(hint)
    for part in (typing.get_origin(hint), *arguments) if arguments else (hint,):
        if isinstance(part, type) and not typing.get_args(part):
            yield part
        elif part is not None and part is not hint:
            yield from types_in(part)


def calls_of(public: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties."""
    for name, member in vars(public).items():
        if name.startswith("_") and name not in CALLED_BY_SIGNS:
            continue
        function = getattr(member, "__func__", getattr(member, "fget", getattr(member, "func", member)))
        if inspect.isfunction(function):
            yield name, function


def gives(public: Any) -> Iterator[tuple[str, type]]:
    """(where, type) of all that a public class or function hands out."""
    if inspect.isfunction(public):
        hints = {"()": typing.get_type_hints(public)["return"]}
    else:
        hints = {f".{name}": hint for name, hint in typing.get_type_hints(public).items() if not name.startswith("_")}
        hints |= {f".{name}()": typing.get_type_hints(call)["return"] for name, call in calls_of(public)}
    for where, hint in hints.items():
        yield from ((where, kind) for kind in types_in(hint))


@pytest.mark.parametrize("name", detector.__all__)
def test_what_a_public_call_gives_is_public(name: str) -> None:
    for where, kind in gives(getattr(detector, name)):
        if kind.__module__.partition(".")[0] == "detector":
            assert getattr(detector, kind.__name__, None) is kind, f"{name}{where} gives {kind.__name__}"


@pytest.mark.parametrize("name", detector.__all__)
def test_what_a_public_call_raises_is_public(name: str) -> None:
    public = getattr(detector, name)
    calls = [public, *(call for _, call in calls_of(public))] if inspect.isclass(public) else [public]
    for call in calls:
        raised = (inspect.getdoc(call) or "").partition("Raises:\n")[2]
        for error in re.findall(r"^    (\w+):", raised, re.MULTILINE):
            assert error in detector.__all__ or hasattr(builtins, error), f"{call.__qualname__} raises {error}"


def test_the_walk_sees_through_containers() -> None:
    class Hidden:
        parts: dict[str, tuple[detector.Reading | None, ...]]

        @functools.cached_property
        def score(self) -> list[detector.TextScore]:
            return []

    found = {where: kind for where, kind in gives(Hidden) if kind.__module__.startswith("detector")}
    assert found == {".parts": detector.Reading, ".score()": detector.TextScore}
