"""A fit's folder, and its state: which steps are finished, so that the same call can continue.

OUT/
  NAME.pt            the weights to read with; NAME is the folder's name
  evaluation.html    their evaluation on pictures that were not trained on
  fit.json           the state: finished steps with their requests, and the figures, see :class:`FitFolder`
  set/               the converted set
  runs/NAME/         the training run
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from detector.conversion.review import REVIEW
from detector.data.atomic import atomic_write
from detector.data.folders.owned import LIST
from detector.data.labels.prelabels import read_prelabels
from detector.data.labels.sources import SPELLING, Source
from detector.data.packs.shard_rows import shard_of
from detector.data.sets.yolo_dataset import BOXES, INNER_SET, MANIFEST
from detector.errors import DetectorError, argument, arguments_as_options, relative_path

STATE, PAGE = "fit.json", "evaluation.html"
FITS = Path("readers")
"""Default parent folder of fits."""


class Request(NamedTuple):
    """What a fit was asked for, in plain values; paths are absolute.

    ``held_out`` is "" where there is none; ``training`` and ``conversion`` are options that are no defaults.
    """

    source: str
    held_out: str
    training: dict[str, Any]
    conversion: dict[str, Any]


def pictures_of(source: Source) -> Path:
    """Return the folder that all pictures of a source are in, or its parent if it is called ``images``."""
    return _folder_of({(shard_of(item.path) or item.path).parent for item in source.items} or {source.root})


def _folder_of(folders: Iterable[Path]) -> Path:
    """Return the folder that all of these are in, see :func:`pictures_of`."""
    folder = Path(os.path.commonpath([folder.resolve() for folder in folders]))
    return folder.parent if folder.name.lower() == "images" else folder


def _is_of_same(earlier: Path, pictures: Path) -> bool:
    """Test whether a fit to the pictures of a folder may be gone on with by those of another: one is in the other."""
    return earlier == pictures or earlier in pictures.parents or pictures in earlier.parents


def fit_files(name: str) -> list[str]:
    """List all files that a fit of this name writes, but those of the set, which has a list of its own."""
    from detector.training.publish import MEANS  # imports torch, which opening a fit does not need
    from detector.training.run_folder import FILES as RUN_FILES

    run = (f"runs/{name}/{file}" for file in (*RUN_FILES, *MEANS))
    of_set = (f"{INNER_SET}/{LIST}", f"{INNER_SET}.part/{LIST}", f"{INNER_SET}.part.lock")
    return [STATE, PAGE, f"{name}.pt", *run, *of_set]


class FitFolder:
    """The folder of a fit, which need not exist, and its state.

    Args:
        root: path of the folder.
        pictures: folder of the source's pictures; a fit to pictures of another folder is never replaced.

    Raises:
        DetectorError: if the folder holds something else.
    """

    def __init__(self, root: Path, pictures: Path) -> None:
        self.root = Path(os.path.abspath(root))
        self.state = _read_state(self.root / STATE)
        if not self.state and self.root.exists() and (not self.root.is_dir() or any(self.root.iterdir())):
            raise DetectorError(f"{root} holds something else than an earlier fit: choose another folder.")
        earlier = Path(self.state.setdefault("pictures", str(pictures)))
        if not _is_of_same(earlier, pictures):
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
        return self.root / INNER_SET

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
        """Return the stored result of a step if it finished with the same request; None if it must be done.

        Args:
            step: its name.
            key: hash of its request.
        """
        entry = self.state.get(step, {})
        result: dict[str, Any] | None = entry.get("result") if entry.get("key") == key else None
        return result

    def is_begun(self, step: str, key: str) -> bool:
        """Test whether a step was begun, or finished, with the same request."""
        return bool(self.state.get(step, {}).get("key") == key)

    def keep(self, step: str, key: str, result: Mapping[str, Any] | None) -> None:
        """Record the result of a step, or, with None, that it begins.

        Args:
            step: its name.
            key: hash of its request.
            result: plain values.
        """
        self.state[step] = {"key": key, "result": result}
        self.root.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.root / STATE) as part:
            part.write_text(json.dumps(self.state, indent=1, default=str) + "\n", encoding="ascii")

    def keep_request(self, request: Request) -> None:
        """Record what is asked for; the next step is written with it."""
        self.state["request"] = request._asdict()

    def decisions(self) -> str:
        """Hash the decisions of a person on the set."""
        return files_hash(self.set_folder / REVIEW)

    def set_hash(self) -> str:
        """Hash the files of the set that determine training."""
        return files_hash(*(self.set_folder / name for name in ("data.yaml", MANIFEST, BOXES)))


def fit_command(root: Path | None, prelabels: Path | None = None, space: str | None = None) -> str:
    """Return the command that made a fit, as one types it in the working folder, or the one that adds pre-labels to it.

    Args:
        root: the fit's folder; None, or a folder that is none, for a new one of the pre-labels.
        prelabels: a table to take in place of the source, whose labels are in it.
        space: the stand-in for a space in that table; None takes the fit's, if texts of the table have it.

    Returns:
        The command; "" if there is none to tell.
    """
    request = None if root is None else _request(root)
    if root is None or request is None:
        return "" if prelabels is None else _command(prelabels, {"space": space} if space else {})
    options = dict(request.conversion)
    if prelabels is not None:
        space = space or _stand_in(options.get("space"), prelabels)
        options = {name: value for name, value in options.items() if name not in ("labels", *SPELLING)}
        options |= {"space": space} if space else {}
    if request.held_out:
        options["held_out"] = relative_path(Path(request.held_out))
    if prelabels is not None or root.resolve() != (FITS / Path(_read_state(root / STATE)["pictures"]).name).resolve():
        options["out"] = relative_path(root)
    return _command(prelabels or Path(request.source), options, request.training)


def _command(source: Path, options: Mapping[str, Any], training: Mapping[str, Any] = MappingProxyType({})) -> str:
    """Spell a fit of a source as a command."""
    words = ["detector", "fit", str(relative_path(source)), *(f"{name}={value}" for name, value in training.items())]
    with arguments_as_options():
        return " ".join([shlex.join(words), *(argument(name, value) for name, value in options.items())])


def _stand_in(space: str | None, prelabels: Path) -> str | None:
    """Return the stand-in for a space if texts of a table have it, as those that are labelled with one do."""
    if not space or not prelabels.is_file() or not any(space in row.text for row in read_prelabels(prelabels)):
        return None
    return space


def _request(root: Path) -> Request | None:
    """Return what a fit was asked for; None if the folder holds none, or one of an earlier version."""
    try:
        return Request(**_read_state(root / STATE)["request"])
    except (KeyError, TypeError):
        return None


def conversion_of(root: Path) -> dict[str, Any] | None:
    """Return the options of the conversion that a fit was asked for, but defaults; None as :func:`_request`."""
    request = _request(root)
    return None if request is None else dict(request.conversion)


def takes(root: Path, pictures: Iterable[Path]) -> bool:
    """Test whether the fit in a folder, if there is one, would take a source with these pictures, and no others."""
    folders = {picture.parent for picture in pictures}
    earlier = _read_state(root / STATE).get("pictures")
    return not folders or earlier is None or _is_of_same(Path(earlier), _folder_of(folders))


def fit_of(pictures: Iterable[Path]) -> Path | None:
    """Return the one fit below :data:`FITS` whose pictures' folder holds any of these; None if none or several do."""
    folders = {folder for picture in pictures for folder in picture.parents}
    fits = [
        state.parent
        for state in sorted(FITS.glob(f"*/{STATE}"))
        if Path(_read_state(state).get("pictures", "")) in folders
    ]
    return fits[0] if len(fits) == 1 else None


def files_hash(*paths: Path) -> str:
    """Hash the contents of files; a missing one differs from an empty one."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b"none")
    return digest.hexdigest()


def request_hash(**request: Any) -> str:
    """Hash a request as JSON; values that JSON cannot hold count by their text."""
    return hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).hexdigest()


def _read_state(path: Path) -> dict[str, Any]:
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}
