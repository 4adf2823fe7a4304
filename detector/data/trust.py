"""Whether weights may run code when they are opened; not by default."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_TRUSTED = ContextVar("trusted", default=False)

SWITCH = "--trust (in Python trust=True)"
"""Name of the switch in messages."""


@contextmanager
def trusting(trust: bool) -> Iterator[None]:
    """Within the block, weights that this thread opens may run code if ``trust``."""
    before = _TRUSTED.set(trust)
    try:
        yield
    finally:
        _TRUSTED.reset(before)


def trusted() -> bool:
    """Whether weights may currently run code."""
    return _TRUSTED.get()
