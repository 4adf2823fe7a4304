"""What must be the same on all machines that train together: the arguments, the set, the checkpoint."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from detector.data.folders.owned import file_hash
from detector.data.sets.yolo_dataset import CharacterSet
from detector.errors import ArgumentError, DatasetError, DetectorError
from detector.training.processes import group

PLACES = ("data", "device", "distill_model", "model", "pretrained", "project", "resume", "weights")
"""Arguments that may differ between machines: where things are."""

_SECONDS = 60.0
"""How long a file that was replaced on another machine may look as before."""

T = TypeVar("T")


def check_same_arguments(arguments: Mapping[str, Any]) -> None:
    """Refuse processes whose arguments differ.

    Raises:
        ArgumentError: naming argument, values and machines.
    """
    of_each = group.gather(lambda: (socket.gethostname(), {k: repr(v) for k, v in arguments.items()}))
    first_host, first_values = of_each[0]
    for number, (host, values) in enumerate(of_each):
        for name in sorted({*first_values, *values}.difference(PLACES)):
            if (value := values.get(name)) != (first_value := first_values.get(name)):
                raise ArgumentError(
                    f"{name} is {first_value or 'not given'} in process 0 ({first_host}), and {value or 'not given'} "
                    f"in process {number} ({host}): start the same command on all machines."
                )


def check_same_set(characters: CharacterSet) -> None:
    """Refuse sets that differ between machines.

    Raises:
        DatasetError: naming them.
    """
    if group.count() == 1:
        return

    def fingerprinted() -> tuple[str, str]:
        rows = sorted((row.image, row.text) for row in characters.manifest())
        config = (characters.config.symbols, characters.config.shape_hw)
        return hashlib.blake2b(repr((config, rows)).encode(), digest_size=8).hexdigest(), f"{len(rows)} pictures"

    _compare(f"{characters.root}", fingerprinted)


def opened(open_split: Callable[[], T], fingerprint: Callable[[T], str], place: str) -> T:
    """Open a split in all processes, each its own copy, and check that the copies are equal.

    Raises:
        DatasetError: if one is damaged, or they differ.
    """
    splits: list[T] = []

    def fingerprinted() -> tuple[str, str]:
        splits.append(open_split())
        return fingerprint(splits[0]), "what was packed"

    _compare(place, fingerprinted)
    return splits[0]


def check_same_checkpoint(path: Path) -> None:
    """Refuse a checkpoint that differs from process 0's; one that was just written is waited for.

    Raises:
        DetectorError: naming it.
    """

    def file_state() -> str | None:
        return file_hash(path) if path.is_file() else None

    first_hash = group.broadcast(file_state)

    def check() -> None:
        ends = time.monotonic() + _SECONDS
        while file_state() != first_hash:
            if time.monotonic() > ends:
                raise DetectorError(
                    f"{path} on {socket.gethostname()} is not the one of process 0: all machines need the run's folder "
                    "by the same path: mount it there."
                )
            time.sleep(1)

    group.gather(check)


def _compare(place: str, fingerprinted: Callable[[], tuple[str, str]]) -> None:
    """Refuse what has another fingerprint in another process; beside it, ``fingerprinted`` says what it is of."""
    of_each = group.gather(lambda: (f"{place} on {socket.gethostname()}", *fingerprinted()))
    first_place, first_fingerprint, first_words = of_each[0]
    for number, (other_place, fingerprint, words) in enumerate(of_each):
        if fingerprint != first_fingerprint:
            raise DatasetError(
                f"process 0 has {first_place} ({first_words}, fingerprint {first_fingerprint}), and process {number} "
                f"{other_place} ({words}, fingerprint {fingerprint}): copy one set to all machines, or share its "
                "folder."
            )
