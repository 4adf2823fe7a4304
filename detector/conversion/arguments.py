"""The arguments that a set was converted with, kept in it so that it can be converted again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detector.conversion.set_folder import WORK
from detector.data.atomic import atomic_write
from detector.data.labels.sources import absolute_labels

ARGUMENTS = "arguments.json"

_OF_ONE_RUN = ("out", "overwrite", "review", "progress")  # a review's decisions are in the set's own from then on


def keep_arguments(path: Path, arguments: Mapping[str, Any]) -> None:
    """Write the arguments of :func:`detector.convert` to a file of the set's work folder, paths made absolute."""
    stored = {name: value for name, value in arguments.items() if name not in _OF_ONE_RUN}
    stored["source"] = str(Path(stored["source"]).absolute())
    stored["labels"] = absolute_labels(stored["labels"])
    with atomic_write(path) as part:
        part.write_text(json.dumps(stored, indent=1) + "\n", encoding="ascii")


def stored_arguments(root: Path) -> dict[str, Any] | None:
    """Return the arguments that a set was converted with; None without its work folder."""
    try:
        stored = json.loads((root / WORK / ARGUMENTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stored if isinstance(stored, dict) and isinstance(stored.get("source"), str) else None
