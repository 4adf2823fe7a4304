"""Options that have another name now: taken under the old one, with a warning."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from detector.cli.terminal import say

_RENAMED = {"--blank": "--space", "--blanks": "--spaces"}
"""Deprecated since 0.1.0, and what they are called since."""


class RenamedOptions(TyperCommand):
    """A command that takes the old names of its options, too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse arguments, old names replaced before a ``--``."""
        end = args.index("--") if "--" in args else len(args)
        option_names = {option for parameter in self.params for option in parameter.opts}
        return super().parse_args(ctx, [*(_renamed(argument, option_names) for argument in args[:end]), *args[end:]])


def _renamed(argument: str, option_names: set[str]) -> str:
    name, equals, value = argument.partition("=")
    if (renamed := _RENAMED.get(name)) not in option_names:
        return argument
    say(f"{name} is deprecated: it is called {renamed} now.", always=True)
    return f"{renamed}{equals}{value}"
