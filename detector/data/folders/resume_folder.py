"""A folder of intermediate results, so that a killed run resumes where it was.

The folder holds ``request.json``, which describes the request, one file for each finished piece, and the list of these
(:mod:`detector.data.folders.owned`). Results of another request are never used: they are deleted, and the log says so.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from detector.data.atomic import atomic_write
from detector.data.folders.owned import OwnedFiles, tree_hash

log = logging.getLogger("detector")

REQUEST = "request.json"
"""Name of the file that describes the request."""

PACKAGE = Path(__file__).parents[2]
"""Folder of this package."""


@cache
def package_hash(package: Path = PACKAGE) -> str:
    """Hash this package's code and weights, so that results of different versions are not mixed."""
    return tree_hash(package, (path for path in package.rglob("*") if path.suffix in (".py", ".pt", ".onnx", ".yaml")))


class ResumeFolder:
    """A folder with the finished pieces of one request; created by :meth:`open`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._owned = folder, OwnedFiles(folder)

    @classmethod
    def open(
        cls, folder: Path, request: Mapping[str, Any], earlier: Path | None = None,
        lesser: Mapping[str, Any] | None = None,
    ) -> ResumeFolder:  # fmt: skip
        """Open the pieces of ``request`` in ``folder``; none if there is nothing yet.

        Args:
            folder: created if missing; pieces of another request in it are deleted.
            request: everything that the pieces depend on, as JSON values.
            earlier: folder of a finished run, whose pieces are copied if they are of the same request.
            lesser: another request whose pieces are valid for this one too, as far as they go.
        """
        plain_request = json.loads(json.dumps(request))
        accepted = [plain_request] if lesser is None else [plain_request, json.loads(json.dumps(lesser))]
        opened, present = cls(folder), request_of(folder)
        if present in accepted:
            if present != plain_request:
                opened._write_request(plain_request)
            return opened
        if present is not None:
            _log_difference(folder, present, plain_request)
        opened.discard()
        folder.mkdir(parents=True, exist_ok=True)
        earlier_request = request_of(earlier) if earlier is not None else None
        if earlier is not None and earlier_request in accepted:
            for name in sorted(name for name in OwnedFiles(earlier).rows if name != REQUEST):
                if (earlier / name).is_file():
                    with atomic_write(opened.path(name)) as part:
                        shutil.copyfile(earlier / name, part)
        elif earlier is not None and earlier_request is not None:
            _log_difference(earlier, earlier_request, plain_request)
        opened._write_request(plain_request)  # last: the folder is valid from here on
        return opened

    def _write_request(self, request: Mapping[str, Any]) -> None:
        with atomic_write(self.path(REQUEST)) as part:
            part.write_text(json.dumps(request, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    def path(self, name: str) -> Path:
        """Path of a piece, existing or not; what is there or will be is on the folder's list from now on."""
        self._owned.add(name)
        return self.folder / name

    def pieces(self, kind: str) -> list[Path]:
        """Paths of the finished pieces of a numbered kind, in order."""
        return sorted(self.folder.glob(f"{kind}-*"))

    def next_piece(self, kind: str, suffix: str) -> Path:
        """Path for the next piece of a numbered kind."""
        latest = self.pieces(kind)[-1:]
        number = int(latest[0].stem.rpartition("-")[2]) + 1 if latest else 0
        return self.path(f"{kind}-{number:06d}{suffix}")

    def drop(self, piece: Path, error: Exception) -> None:
        """Delete a piece that cannot be read."""
        log.warning("%s is damaged (%s): its content is computed again", piece, error)
        piece.unlink()

    def discard(self) -> None:
        """Delete all pieces; what else is in the folder stays."""
        if self._owned.exists:
            (self.folder / REQUEST).unlink(missing_ok=True)  # first: some of the pieces must not pass for all of them
            self._owned.delete(keep_root=True)


def request_of(folder: Path) -> dict[str, Any] | None:
    """Return the request that the pieces in a folder are of; None where there is none."""
    try:
        request: dict[str, Any] = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return request if isinstance(request, dict) else None


def _log_difference(folder: Path, present: Mapping[str, Any], request: Mapping[str, Any]) -> None:
    differing = ", ".join(sorted(key for key in {*present, *request} if present.get(key) != request.get(key)))
    log.info("%s is of another request (%s differs): starting anew", folder, differing)
