"""The arguments that a set was converted with, kept in it so that it can be converted again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detector.conversion.set_folder import WORK
from detector.data.atomic import atomic_write

ARGUMENTS = "arguments.json"

_OF_ONE_RUN = ("out", "overwrite", "review", "progress")  # a review's decisions are in the set's own from then on


def keep_arguments(path: Path, given: Mapping[str, Any]) -> None:
    """Write the arguments of :func:`detector.convert` into this file of a set's kept work; paths become absolute."""
    kept = {name: value for name, value in given.items() if name not in _OF_ONE_RUN}
    kept["source"] = str(Path(kept["source"]).absolute())
    if isinstance(kept["labels"], Path) or Path(kept["labels"]).is_file():
        kept["labels"] = str(Path(kept["labels"]).absolute())
    with atomic_write(path) as part:
        part.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def kept_arguments(root: Path) -> dict[str, Any] | None:
    """What a set was converted with; None if it does not know, as without its work folder."""
    try:
        kept = json.loads((root / WORK / ARGUMENTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return kept if isinstance(kept, dict) and isinstance(kept.get("source"), str) else None
