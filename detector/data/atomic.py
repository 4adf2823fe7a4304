"""Atomic writes: a file appears whole or not at all.

What is being made lies hidden beside its place, as ``.NAME.TOKEN.part``, and the token says which process makes it:
``NAME.part`` or whatever else is there is the user's. What a kill leaves is deleted by the next process that makes
something in that folder: at once on the machine of the process, after a day elsewhere. No locks: network file systems
have them by halves.
"""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

from detector.errors import DetectorError, DiskFullError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_LOCK = "detector.lock"
_PART = re.compile(r"\.(.+)\.([0-9a-f]{12})-([0-9]+)-[0-9a-f]{8}\.part", re.DOTALL)
_STRAY_SECONDS = 86_400.0  # after which what a process on another machine makes is no longer made
_CLEAN: set[tuple[int, str]] = set()  # process (a fork is another) and folder where nobody else was making anything
_LONGEST = 200  # bytes of a name that its part keeps: file systems have at most 255


@contextmanager
def atomic_write(path: Path, through_link: bool = False) -> Iterator[Path]:
    """Atomically write ``path``: write to the file that is yielded; it is renamed unless the block raises.

    A link is replaced; with ``through_link`` it stays one, and the file that it leads to is written. That is for paths
    that the user named: links in a stranger's folder may lead anywhere.

    Raises:
        DetectorError: if there is a device, a pipe or a socket.
    """
    _check_no_device(path)
    place = Path(os.path.realpath(path)) if through_link else path
    with writing(path), part_beside(place) as part:
        yield part
        _synchronise(part)
        part.replace(place)


def _check_no_device(path: Path) -> None:
    """Refuse to put a file in the place of a device, a pipe or a socket."""
    mode = stat.S_IFREG
    with suppress(OSError):  # nothing yet, or a link to itself
        mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # a folder is told by the system
        raise DetectorError(
            f"{path} is a device, a pipe or a socket, and a file would take its place: choose another path."
        )


@contextmanager
def atomic_create(path: Path) -> Iterator[Path]:
    """Atomically write ``path`` as :func:`atomic_write` does, and replace nothing.

    Raises:
        FileExistsError: if something is there, also if it came while the block ran.
    """
    with writing(path), part_beside(path) as part:
        yield part
        _synchronise(part)
        try:
            os.link(part, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without links: of two that come in the same instant the later one stays
            if os.path.lexists(path):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
            part.replace(path)


def _synchronise(part: Path) -> None:
    with part.open("rb+") as file:
        os.fsync(file.fileno())


@contextmanager
def part_beside(path: Path) -> Iterator[Path]:
    """Yield an empty file beside ``path`` to write it in; it is deleted in the end unless it was renamed."""
    _delete_strays_once(path.parent)
    part = path.with_name(part_name(path.name))
    try:
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        error.filename = str(path)  # what the user knows
        raise
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def folder_beside(target: Path) -> Iterator[Path]:
    """A hidden folder beside ``target`` to make it in, deleted in the end, as are those of processes that were killed.

    Each holds a lock while its process lives.
    """
    delete_strays(target.parent)
    folder, lock = _locked_folder(target)
    try:
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def part_name(name: str) -> str:
    """Return the name of a file while this process writes it; nothing else has this name."""
    shown = os.fsdecode(os.fsencode(name)[:_LONGEST])
    return f".{shown}.{_machine()}-{os.getpid()}-{secrets.token_hex(4)}.part"


def written_as(path: str) -> str:
    """Return the path, with ``/``, of the file that ``path`` is a part of, see :func:`part_name`; else ``path``."""
    folder, slash, name = path.rpartition("/")
    part = _PART.fullmatch(name)
    return f"{folder}{slash}{part[1]}" if part else path


@cache
def _machine() -> str:
    """Identify this machine and its present start; a container counts as a machine of its own."""
    told = [platform.node()]
    with suppress(OSError):
        told.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        told.append(str(os.stat("/proc/self/ns/pid").st_ino))
    return hashlib.blake2b("\0".join(told).encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def _locked_folder(target: Path) -> tuple[Path, FileLock]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
        lock = FileLock(folder / _LOCK)
        try:
            lock.acquire(timeout=0)
        except (Timeout, FileNotFoundError):  # in this moment another process took it for a stray
            continue
        except (OSError, NotImplementedError):  # a file system without locks
            return folder, lock
        if (folder / _LOCK).exists():
            return folder, lock


def _delete_strays_once(folder: Path) -> None:
    """Delete strays before a process makes its first file in a folder, which is listed once if nobody else is there."""
    key = os.getpid(), os.path.abspath(folder)
    if key not in _CLEAN and delete_strays(folder):
        _CLEAN.add(key)


def delete_strays(folder: Path) -> bool:
    """Delete what processes that live no more were making in a folder; return whether others are making nothing."""
    return all([_delete_stray(stray) for stray in folder.glob(".*.part")])


def _delete_stray(stray: Path) -> bool:
    """Delete what may be a stray; return whether it is gone, or none."""
    try:
        status = stray.lstat()
        if stat.S_ISREG(status.st_mode) and (part := _PART.fullmatch(stray.name)):
            is_old = time.time() - status.st_mtime > _STRAY_SECONDS
            if _lives(int(part[3])) if part[2] == _machine() else not is_old:
                return False
            stray.unlink()
        elif stat.S_ISDIR(status.st_mode) and stat.S_ISREG((stray / _LOCK).lstat().st_mode):
            with FileLock(stray / _LOCK).acquire(timeout=0):
                shutil.rmtree(stray, ignore_errors=True)
            shutil.rmtree(stray, ignore_errors=True)  # Windows keeps what is open
    except FileNotFoundError:  # another process deleted it, or it is no folder of ours
        return True
    except (OSError, NotImplementedError, Timeout):
        return False
    return True


def _lives(process: int) -> bool:
    """Test whether a process of that number runs on this machine; True if that cannot be told."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # of another user
        return True
    return True


@contextmanager
def writing(place: Path | str, then: Callable[[], str] = str) -> Iterator[None]:
    """Make errors of a full disk in the block ones that name what could not be written.

    Args:
        place: what the block writes.
        then: called for what goes on once there is room; "" if nothing does.

    Raises:
        DiskFullError: for an error that is, or comes of, ``ENOSPC`` or ``EDQUOT``.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, DiskFullError):
            message = str(error)
        elif isinstance(error, DetectorError) or (code := _full(error)) is None:
            raise
        else:
            message = f"{place} cannot be written: {os.strerror(code)}. Make room there, or choose another place."
        advice = f" With room there, {next_step} goes on." if (next_step := then()) else ""
        raise DiskFullError(message + advice) from error


def _full(error: BaseException | None) -> int | None:
    """Return the number of a full disk's error in the chain of causes, as libraries raise their own after it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return error.errno
        error = error.__cause__ or error.__context__
    return None
