"""Whether weights may run code when they are opened: not unless the user says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_TRUSTED = ContextVar("trusted", default=False)

SWITCH = "--trust (in Python trust=True)"
"""What messages call the switch."""


@contextmanager
def trusting(trust: bool) -> Iterator[None]:
    """In the block, weights that this thread opens may run code, if ``trust``."""
    before = _TRUSTED.set(trust)
    try:
        yield
    finally:
        _TRUSTED.reset(before)


def trusted() -> bool:
    """Whether weights may run code here and now."""
    return _TRUSTED.get()
