"""What a run has found out so far, kept in a folder: a run that was killed goes on where it was.

The folder holds ``request.json``, which says what the work is of, and one file for each piece that is done. Files
appear whole or not at all. Work of another request is never used: it is thrown away, and the log says so.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

log = logging.getLogger("detector")

_REQUEST = "request.json"


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Where to write what shall appear at ``path`` at once; on disk before it does, and nothing if the block raises."""
    part = path.with_name(path.name + ".part")
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def clear(folder: Path, keep: str | None = None) -> None:
    """Remove all that a folder holds but ``keep``; the folder stays."""
    for path in folder.iterdir():
        if path.name != keep:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@cache
def package_hash() -> str:
    """Of this package's code and weights: what another version found out is not to be mixed in."""
    root, digest = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.suffix in (".py", ".pt")):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


class Work:
    """A folder of finished pieces of one request; made by :meth:`open`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def open(
        cls, folder: Path, request: Mapping[str, Any], earlier: Path | None = None,
        lesser: Mapping[str, Any] | None = None,
    ) -> Work:  # fmt: skip
        """The work of ``request`` in ``folder``, empty if there is none.

        Args:
            folder: made if it is missing; work of another request in it is thrown away.
            request: what the work depends on, as JSON has it.
            earlier: folder of a finished run, whose work is taken over if it is of the same request.
            lesser: another request whose work is good for this one, too, as far as it goes.
        """
        wanted = json.loads(json.dumps(request))
        good = [wanted] if lesser is None else [wanted, json.loads(json.dumps(lesser))]
        work, held = cls(folder), _request_of(folder)
        if held in good:
            if held != wanted:
                work._is_of(wanted)
            return work
        if held is not None:
            _say_why(folder, held, wanted)
        work.discard()
        folder.mkdir(parents=True, exist_ok=True)
        before = _request_of(earlier) if earlier is not None else None
        if earlier is not None and before in good:
            for path in sorted(p for p in earlier.iterdir() if p.is_file() and p.name != _REQUEST):
                with atomic_write(folder / path.name) as part:
                    shutil.copyfile(path, part)
        elif earlier is not None and before is not None:
            _say_why(earlier, before, wanted)
        work._is_of(wanted)  # last: the folder counts from here on
        return work

    def _is_of(self, request: Mapping[str, Any]) -> None:
        with atomic_write(self.folder / _REQUEST) as part:
            part.write_text(json.dumps(request, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    def path(self, name: str) -> Path:
        """Where a piece lies or shall lie."""
        return self.folder / name

    def pieces(self, kind: str) -> list[Path]:
        """Finished pieces of a numbered kind, in order."""
        return sorted(p for p in self.folder.glob(f"{kind}-*") if p.suffix != ".part")

    def next_piece(self, kind: str, suffix: str) -> Path:
        """Where the next piece of a numbered kind shall lie."""
        last = self.pieces(kind)[-1:]
        number = int(last[0].stem.rpartition("-")[2]) + 1 if last else 0
        return self.folder / f"{kind}-{number:06d}{suffix}"

    def drop(self, piece: Path, error: Exception) -> None:
        """Throw one piece away that cannot be read."""
        log.warning("%s is damaged (%s): what it held is sought again", piece, error)
        piece.unlink()

    def discard(self) -> None:
        """Throw the work away."""
        (self.folder / _REQUEST).unlink(missing_ok=True)  # first: half of the work must not be taken for all of it
        if self.folder.is_dir():  # it stays: it says whose this is
            clear(self.folder)


def _request_of(folder: Path) -> dict[str, Any] | None:
    try:
        held: dict[str, Any] = json.loads((folder / _REQUEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return held if isinstance(held, dict) else None


def _say_why(folder: Path, held: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    other = ", ".join(sorted(key for key in {*held, *wanted} if held.get(key) != wanted.get(key)))
    log.info("%s is of another request, for what is other is its %s: begun anew", folder, other)
