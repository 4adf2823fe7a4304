"""Commands as lines to copy: that of the command that runs, and others."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from typing import Any

import typer


def command_line(*words: object) -> str:
    """Quote a command and its arguments for a shell."""
    return shlex.join(map(str, words))


def given(context: typer.Context, names: Collection[str], **changed: Any) -> list[str]:
    """Return the options of these names that are no default, with ``changed`` ones, as words of a command."""
    options: list[str] = []
    for parameter in context.command.params:
        value = changed.get(str(parameter.name), context.params.get(str(parameter.name)))
        if parameter.name in names and value != parameter.default and value is not None:
            if isinstance(value, bool):  # --two-pass or --no-two-pass
                options += (parameter.opts if value else parameter.secondary_opts)[:1]
            else:
                options += [parameter.opts[0], str(value)]
    return options


def repeated(context: typer.Context, *extra: str, **changed: Any) -> str:
    """Return the command as a line to copy: non-default options, ``changed`` ones and ``extra`` arguments."""
    words = ["detector", str(context.info_name)]
    arguments = [str(p.name) for p in context.command.params if p.param_type_name == "argument"]
    for name in arguments:
        value = changed.get(name, context.params.get(name))
        words += [str(item) for item in (value if isinstance(value, (list, tuple)) else [value]) if item is not None]
    options = [str(p.name) for p in context.command.params if p.name not in arguments]
    return command_line(*words, *extra, *given(context, options, **changed))
