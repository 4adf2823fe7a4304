"""What must be the same on all machines that train together: the arguments, the set, the checkpoint."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from detector.data.folders.owned import file_hash
from detector.data.yolo_dataset import CharacterSet
from detector.errors import ArgumentError, DatasetError, DetectorError
from detector.training.processes import group

PLACES = ("data", "device", "distill_model", "model", "pretrained", "project", "resume", "weights")
"""Arguments that may differ between machines: where things are."""

_SECONDS = 60.0
"""How long a file that was replaced on another machine may look as before."""

T = TypeVar("T")


def check_same_arguments(arguments: Mapping[str, Any]) -> None:
    """Refuse processes that were started with other values.

    Raises:
        ArgumentError: naming argument, values and machines.
    """
    of_each = group.together(lambda: (socket.gethostname(), {k: repr(v) for k, v in arguments.items()}))
    first_host, first = of_each[0]
    for number, (host, other) in enumerate(of_each):
        for name in sorted({*first, *other}.difference(PLACES)):
            if (value := other.get(name)) != (before := first.get(name)):
                raise ArgumentError(
                    f"{name} is {before or 'not given'} in process 0 ({first_host}), and {value or 'not given'} in "
                    f"process {number} ({host}): start the same command on all machines."
                )


def check_same_set(characters: CharacterSet) -> None:
    """Refuse sets that differ between machines.

    Raises:
        DatasetError: naming them.
    """
    if group.count() == 1:
        return

    def told() -> tuple[str, str]:
        rows = sorted((row.image, row.text) for row in characters.manifest())
        config = (characters.config.symbols, characters.config.shape_hw)
        return hashlib.blake2b(repr((config, rows)).encode(), digest_size=8).hexdigest(), f"{len(rows)} pictures"

    _compare(f"{characters.root}", *_split(group.together(told)))


def opened(open_split: Callable[[], T], fingerprint: Callable[[T], str], place: str) -> T:
    """A split that all processes have opened, each its copy, and that is the same.

    Raises:
        DatasetError: if one is damaged, or they differ.
    """
    splits: list[T] = []

    def told() -> tuple[str, str]:
        splits.append(open_split())
        return fingerprint(splits[0]), "what was packed"

    _compare(place, *_split(group.together(told)))
    return splits[0]


def check_same_checkpoint(path: Path) -> None:
    """Refuse a checkpoint that is another one here than in process 0; one that was just written is waited for.

    Raises:
        DetectorError: naming it.
    """

    def own() -> str | None:
        return file_hash(path) if path.is_file() else None

    first = group.from_first(own)

    def check() -> None:
        ends = time.monotonic() + _SECONDS
        while own() != first:
            if time.monotonic() > ends:
                raise DetectorError(
                    f"{path} on {socket.gethostname()} is not the one of process 0: all machines need the run's folder "
                    "by the same path: mount it there."
                )
            time.sleep(1)

    group.together(check)


def _split(told: list[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return [fingerprint for fingerprint, _ in told], [words for _, words in told]


def _compare(place: str, fingerprints: list[str], words: list[str]) -> None:
    """Refuse fingerprints that differ."""
    hosts = group.together(lambda: f"{place} on {socket.gethostname()}")
    for number, (fingerprint, host) in enumerate(zip(fingerprints, hosts, strict=True)):
        if fingerprint != fingerprints[0]:
            raise DatasetError(
                f"process 0 has {hosts[0]} ({words[0]}, fingerprint {fingerprints[0]}), and process {number} "
                f"{host} ({words[number]}, fingerprint {fingerprint}): copy one set to all machines, or share its "
                "folder."
            )
