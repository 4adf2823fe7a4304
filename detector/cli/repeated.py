"""The command line of a command that runs, to be shown for another go."""

from __future__ import annotations

import shlex
from typing import Any

import typer


def repeated(context: typer.Context, *more: str, **changed: Any) -> str:
    """The command as a line to copy: what is no default, with ``changed`` options and ``more`` arguments at the end."""
    words = ["detector", str(context.info_name)]
    options: list[str] = []
    for parameter in context.command.params:
        value = changed.get(str(parameter.name), context.params.get(str(parameter.name)))
        if parameter.param_type_name == "argument":
            words += [str(one) for one in (value if isinstance(value, (list, tuple)) else [value]) if one is not None]
        elif value != parameter.default and value is not None:
            options += [parameter.opts[0]] if value is True else [parameter.opts[0], str(value)]
    return shlex.join([*words, *more, *options])
