"""The folder of a converted set: what in it may be replaced, and how the whole set takes its place.

OUT.part is where a set is made, OUT.replaced where the earlier one lies for a moment; nothing that no conversion wrote
is replaced or deleted in any of them.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from detector.conversion.review import REVIEW, own_columns
from detector.data.folders.owned import LIST, OwnedFiles
from detector.data.sets.packed import FOLDER as PACKED
from detector.data.sets.yolo_dataset import MANIFEST, ManifestRow
from detector.errors import DatasetError, abridged, argument

log = logging.getLogger("detector")

WORK = "work"
"""Folder in a set, and in one that is being made, for what the next run takes up."""

INNER_LISTS = (f"{WORK}/{LIST}", f"{PACKED}/{LIST}")
"""Lists of the folders that :mod:`detector.data.folders.resume_folder` and :mod:`detector.data.sets.packed` write."""

WAIT = 2.0
"""Seconds to wait for another process that writes a decision, before that is an error."""

_MAX_SHOWN = 5  # files that a message names
_MAX_HOLDER = 1024  # bytes that filelock writes at most
_HOLDER = re.compile(
    rb"|[0-9]+\n[^\n]+\n([0-9]+\n)?"  # process, machine and when it began
    rb"|filelock/[a-z]+\n([0-9]+\n)?"  # given back, or being taken from one that is dead
)


def part_of(target: Path) -> Path:
    """Return the folder in which a set is written until it is complete."""
    return target.with_name(target.name + ".part")


def _replaced(target: Path) -> Path:
    return target.with_name(target.name + ".replaced")


def target_of(out: str | os.PathLike[str]) -> Path:
    """Return the folder to write; a link is resolved.

    Raises:
        DatasetError: if it is the root of a file system.
    """
    target = Path(out)
    if target.is_symlink() or target.name in ("", ".."):
        target = target.resolve()
    if not target.name:
        raise DatasetError(f"{out} cannot be replaced by a converted set: choose a folder in it.")
    return target


def recover(target: Path) -> None:
    """Undo or finish a replacement that was killed half-way."""
    replaced = _replaced(target)
    if not OwnedFiles(replaced).exists:
        return
    if not target.exists():
        replaced.rename(target)
    elif not _foreign_files(replaced):
        _discard(replaced)


def begin(target: Path) -> None:
    """Create the folder where the set is written, with its list of files."""
    OwnedFiles(part_of(target)).add(*INNER_LISTS)


def discard_part(target: Path) -> None:
    """Delete the unfinished set with all its intermediate results."""
    _discard(part_of(target))


def _foreign_files(folder: Path) -> list[str]:
    """List what lies in the folder of a set, finished or not, that no conversion wrote or that was edited since.

    Decisions of a person in ``review.csv`` are taken up: it is listed only if a column that is not ours would be lost.
    """
    if folder.is_symlink() or not folder.is_dir():
        return [folder.name]
    return [path for path in OwnedFiles(folder).others() if path != REVIEW] + [
        f"{REVIEW} (its columns {', '.join(columns)})" for columns in [own_columns(folder / REVIEW)] if columns
    ]


def _discard(folder: Path) -> None:
    """Delete a set; foreign files stay, and the log names them."""
    OwnedFiles(folder).delete()
    if folder.exists():
        log.warning("%s stays: it holds what no conversion wrote", folder)


def check_target(target: Path, source: Path, overwrite: bool) -> None:
    """Refuse to replace anything but an earlier conversion, and the pictures themselves above all."""
    if target.exists() and not overwrite:
        raise DatasetError(f"{target} exists: choose another folder, or say {argument('overwrite')} to replace it.")
    check_pictures(target, [source])
    check_replaceable(target)
    part, replaced = part_of(target), _replaced(target)
    for folder, purpose in ((part, "for what is not finished"), (replaced, f"while {target} is replaced")):
        if (folder.exists() or folder.is_symlink()) and (foreign := _foreign_files(folder)):
            raise DatasetError(
                f"{folder} is needed {purpose}, and holds something else ({abridged(foreign, _MAX_SHOWN)}): move it "
                "away."
            )


def check_replaceable(target: Path) -> None:
    """Refuse to replace a folder with anything in it that no conversion wrote, or that was edited since.

    Raises:
        DatasetError: naming what it is.
    """
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    owned = OwnedFiles(target)
    if MANIFEST not in owned.rows:
        if _has_manifest(target):
            raise DatasetError(
                f"{target} has no {LIST}, the list of what a conversion wrote there: an earlier version made it, and "
                "nobody can tell what is yours in it. Move it away or choose another folder; with "
                f"{argument('review', target / REVIEW)} the decisions in it are taken up, wherever it lies then."
            )
        raise DatasetError(f"{target} is no converted set ({LIST} lists none), and is not replaced: choose another "
                           "folder.")  # fmt: skip
    if foreign := _foreign_files(target):
        raise DatasetError(
            f"{target} also holds {abridged(foreign, _MAX_SHOWN)}, which no conversion wrote or which was changed "
            f"since, and {argument('overwrite')} would delete: move it elsewhere, or choose another folder."
        )


def _has_manifest(folder: Path) -> bool:
    """Test for the table that only a converted set has, by its columns."""
    if not (folder / MANIFEST).is_file():
        return False
    with (folder / MANIFEST).open(encoding="utf-8", errors="replace") as file:
        return file.readline().startswith(",".join(ManifestRow._fields[:4]))


def check_pictures(target: Path, inputs: Iterable[Path]) -> None:
    """Refuse to write into a folder that inputs lie in, since its content is replaced."""
    outputs = {path.resolve(): path for path in (target, part_of(target), _replaced(target)) if path.exists()}
    for path in inputs if outputs else ():
        resolved = path.resolve()
        for folder in (resolved, *resolved.parents):
            if folder in outputs:
                raise DatasetError(
                    f"{outputs[folder]} holds the pictures of {path}: choose another folder to write to."
                )


def check_outside(target: Path, searched: Path) -> None:
    """Refuse to write into a folder that is searched for pictures: the set's own would be inputs next time."""
    if searched.resolve() in target.resolve().parents:
        raise DatasetError(
            f"{target} lies inside {searched}, whose pictures it would be counted among: choose a folder outside it."
        )


def put_in_place(target: Path, earlier_review: bytes | None) -> None:
    """Replace ``target`` by the finished set; at any moment one of them is complete.

    Args:
        target: the folder.
        earlier_review: the decisions in it that are taken up; if they were edited since, the set gets the edited file.
    """
    replaced = _replaced(target)
    if target.exists():
        check_replaceable(target)  # again: the run may have taken hours
        target.rename(replaced)
        try:
            _keep_edits(target, earlier_review)
        except BaseException:
            replaced.rename(target)
            raise
    part_of(target).rename(target)
    if replaced.exists():
        _discard(replaced)


def _keep_edits(target: Path, earlier_review: bytes | None) -> None:
    """Keep what was decided while the set was made; under its name it can be edited until it is renamed."""
    edited_review = bytes_of(_replaced(target) / REVIEW)
    if edited_review is not None and edited_review != earlier_review:
        (part_of(target) / REVIEW).write_bytes(edited_review)
        log.warning("%s was edited while this ran, and stays as it is: convert again to take it up", target / REVIEW)


def bytes_of(path: Path) -> bytes | None:
    """Return the content of a file; None if there is none."""
    return path.read_bytes() if path.is_file() else None


@contextmanager
def alone(target: Path, wait: float = 0.0) -> Iterator[None]:
    """Hold a lock on ``target``, so that no other process writes it; wait up to ``wait`` seconds for it.

    Raises:
        DatasetError: if another one is at it.
    """
    part = part_of(target)
    part.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(part.with_name(part.name + ".lock"))
    _check_lock(Path(lock.lock_file))
    try:
        lock.acquire(timeout=wait, poll_interval=0.01)
    except Timeout:
        if not os.access(part.parent, os.W_OK):
            raise DatasetError(f"{part.parent} cannot be written to: choose another folder.") from None
        raise DatasetError(f"Another run is writing {target}: wait for it, or choose another folder.") from None
    except (OSError, NotImplementedError):  # a file system without locks
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):  # Windows keeps what is open, and takes it away when it is released
            Path(lock.lock_file).unlink()
        lock.release()


def _check_lock(file: Path) -> None:
    """Refuse a lock file with a content, which would be lost, but for filelock's own.

    Where a disk has no locks filelock writes down which process holds one; whether it lives is filelock's to tell.

    Raises:
        DatasetError: naming the file.
    """
    try:
        if not file.stat().st_size:
            return
        with file.open("rb") as opened:
            content = opened.read(_MAX_HOLDER + 1)
    except FileNotFoundError:  # another process may take its own away at any moment
        return
    except OSError as error:
        raise DatasetError(
            f"{file} is needed as a lock, and cannot be read ({error.strerror}): choose another folder."
        ) from error
    if not _HOLDER.fullmatch(content):
        raise DatasetError(f"{file} is needed as a lock, and holds something else: move it away.")
