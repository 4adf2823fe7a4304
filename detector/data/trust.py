"""What a file of a stranger may do: weights run no code by default, and YAML is plain values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import yaml

_TRUSTED = ContextVar("trusted", default=False)

SWITCH = "--trust (in Python trust=True)"
"""Name of the switch in messages."""

MAX_CHARACTERS = 1_000_000
"""Of a file that is parsed: an alphabet of ten thousand symbols takes a fifth of it."""


@contextmanager
def trusting(trust: bool) -> Iterator[None]:
    """Within the block, weights that this thread opens may run code if ``trust``."""
    before = _TRUSTED.set(trust)
    try:
        yield
    finally:
        _TRUSTED.reset(before)


def trusted() -> bool:
    """Test whether weights may currently run code."""
    return _TRUSTED.get()


class _PlainLoader(yaml.SafeLoader):
    """Without aliases, of which a few lines may stand for more values than memory holds, and numbers of base 60."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "an alias (*), which is not followed", event.start_mark)
        return super().compose_node(parent, index)


def _number(loader: _PlainLoader, node: yaml.ScalarNode) -> Any:
    """Construct a number; ``1:30``, to YAML 1.1 one of base 60 whose cost is the square of its length, is a text."""
    text = loader.construct_scalar(node)
    if ":" in text:
        return text
    return loader.construct_yaml_int(node) if node.tag.endswith(":int") else loader.construct_yaml_float(node)


for _kind in ("int", "float"):
    _PlainLoader.add_constructor(f"tag:yaml.org,2002:{_kind}", _number)


def parse_yaml(text: str) -> Any:
    """Parse YAML of dictionaries, lists, strings, numbers and dates; ``1:30`` is a string, as in YAML 1.2.

    Raises:
        ValueError: if it is none, in words for a user.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"{len(text)} characters, and at most {MAX_CHARACTERS} are parsed")
    try:
        return yaml.load(text, _PlainLoader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:  # of a number or date
        raise ValueError(f"a value is none of its kind ({error})") from None
