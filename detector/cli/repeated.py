"""Commands as lines to copy: that of the command that runs, and others."""

from __future__ import annotations

import shlex
from typing import Any

import typer


def command_line(*words: object) -> str:
    """A command and its arguments, quoted for a shell."""
    return shlex.join(map(str, words))


def repeated(context: typer.Context, *extra: str, **changed: Any) -> str:
    """The command as a line to copy: what is no default, with ``changed`` options and ``extra`` arguments."""
    words = ["detector", str(context.info_name)]
    options: list[str] = []
    for parameter in context.command.params:
        value = changed.get(str(parameter.name), context.params.get(str(parameter.name)))
        if parameter.param_type_name == "argument":
            words += [
                str(item) for item in (value if isinstance(value, (list, tuple)) else [value]) if item is not None
            ]
        elif value != parameter.default and value is not None:
            options += [parameter.opts[0]] if value is True else [parameter.opts[0], str(value)]
    return command_line(*words, *extra, *options)
