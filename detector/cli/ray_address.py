"""``--ray`` with or without an address after it."""

from __future__ import annotations

import re
from typing import Any

from detector.cli.renamed import RenamedOptions

_OPTION = "--ray"
_ADDRESS = re.compile(r"auto|local|ray://.+|[^/\s]+:\d+")


class RayAddress(RenamedOptions):
    """A command whose ``--ray`` may stand alone: what follows is its value where it is an address."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse arguments, a ``--ray`` that stands alone before a ``--`` spelt as one with an empty value."""
        end = args.index("--") if "--" in args else len(args)
        after = [*args[:end], ""][1:]
        before = [
            f"{_OPTION}=" if argument == _OPTION and not _ADDRESS.fullmatch(following) else argument
            for argument, following in zip(args[:end], after, strict=True)
        ]
        return super().parse_args(ctx, [*before, *args[end:]])
