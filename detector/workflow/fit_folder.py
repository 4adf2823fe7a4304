"""A fit's folder: what is finished in it, so that the same call goes on where it was.

OUT/
  NAME.pt            the weights to read with; NAME is the folder's
  evaluation.html    how they read what they have not learnt
  fit.json           what is finished, of which request, and the figures: :class:`FitFolder`
  set/               the converted set
  runs/NAME/         the run of training
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detector.conversion.review import REVIEW
from detector.data.atomic import atomic_write
from detector.data.folders.owned import LIST
from detector.data.labels.sources import Source
from detector.data.packs.shard_rows import shard_of
from detector.data.yolo_dataset import BOXES, MANIFEST
from detector.errors import DetectorError, argument

STATE, PAGE = "fit.json", "evaluation.html"
FITS = Path("readers")
"""Where folders of fits are, by the names of their sources."""


def pictures_of(source: Source) -> Path:
    """Return the folder that all pictures of a source are in; for one called images its parent."""
    files = [shard_of(item.path) or item.path for item in source.items]
    folder = Path(os.path.commonpath([file.parent.resolve() for file in files] or [source.root.resolve()]))
    return folder.parent if folder.name.lower() == "images" else folder


def fit_files(name: str) -> list[str]:
    """List all files that a fit of this name writes, but those of the set, which has a list of its own."""
    from detector.training.publish import MEANS  # torch, which whoever opens a fit does without
    from detector.training.run_folder import FILES as RUN_FILES

    run = (f"runs/{name}/{file}" for file in (*RUN_FILES, *MEANS))
    return [STATE, PAGE, f"{name}.pt", *run, f"set/{LIST}", f"set.part/{LIST}", "set.part.lock"]


class FitFolder:
    """The folder, which need not be there, and what is finished in it.

    Args:
        root: the folder.
        pictures: folder of the source's; what was fitted to those of another one is not replaced.

    Raises:
        DetectorError: if it holds something else.
    """

    def __init__(self, root: Path, pictures: Path) -> None:
        self.root = Path(os.path.abspath(root))
        self.state = _read(self.root / STATE)
        if not self.state and self.root.exists() and (not self.root.is_dir() or any(self.root.iterdir())):
            raise DetectorError(f"{root} holds something else than an earlier fit: choose another folder.")
        earlier = Path(self.state.setdefault("pictures", str(pictures)))
        if earlier != pictures and earlier not in pictures.parents and pictures not in earlier.parents:
            raise DetectorError(
                f"{root} is the reader of {earlier}: choose another folder for {pictures}, {argument('out', 'FOLDER')}."
            )

    @property
    def name(self) -> str:
        """Name of the run and of the weights."""
        return self.root.name

    @property
    def set_folder(self) -> Path:
        """Folder of the converted set."""
        return self.root / "set"

    @property
    def run_folder(self) -> Path:
        """Folder of the training run."""
        return self.root / "runs" / self.name

    @property
    def weights(self) -> Path:
        """Path of the weights to read with."""
        return self.root / f"{self.name}.pt"

    @property
    def page(self) -> Path:
        """Path of the evaluation's page."""
        return self.root / PAGE

    def finished(self, step: str, key: str) -> dict[str, Any] | None:
        """Return what a step stored, if it finished with the same request; None if it is to be done."""
        entry = self.state.get(step, {})
        result: dict[str, Any] | None = entry.get("result") if entry.get("key") == key else None
        return result

    def began(self, step: str, key: str) -> bool:
        """Test whether the step was begun with the same request."""
        return bool(self.state.get(step, {}).get("key") == key)

    def keep(self, step: str, key: str, result: Mapping[str, Any] | None) -> None:
        """Record that a step begins, with None, or its result."""
        self.state[step] = {"key": key, "result": result}
        self.root.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.root / STATE) as part:
            part.write_text(json.dumps(self.state, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    def decisions(self) -> str:
        """Hash a person's decisions in the set."""
        return files_hash(self.set_folder / REVIEW)

    def set_hash(self) -> str:
        """Hash what training learns from the set."""
        return files_hash(*(self.set_folder / name for name in ("data.yaml", MANIFEST, BOXES)))


def files_hash(*paths: Path) -> str:
    """Hash the bytes of files; a missing file counts as such."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b"none")
    return digest.hexdigest()


def request_hash(**request: Any) -> str:
    """Hash a request as plain values; what JSON does not know counts by its text."""
    return hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).hexdigest()


def _read(path: Path) -> dict[str, Any]:
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}
