"""Processes that ``torchrun`` starts again, after one was lost or joined, go on with the run that they had begun.

RUN/processes.json names the launchers of those that train it: one that is restarted has a launcher that was there
before, and a new job has none. A run's folder must be one for all machines; the file shows that, too.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import socket
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from detector.data.atomic import atomic_write
from detector.errors import DetectorError
from detector.networks.ultralytics.library import DEFAULT_CFG_DICT, get_cfg, get_save_dir
from detector.training.processes import group
from detector.training.run_folder import ARGUMENTS, PROCESSES, Published

log = logging.getLogger("detector")

_SECONDS = 15.0
"""How long a file that another machine wrote may take to be seen."""

_begun: set[Path] = set()
"""Runs that this process has trained: a second call with the same arguments is no restart."""


@dataclass(frozen=True)
class Job:
    """A call of training by processes that were started together.

    Attributes:
        launchers: of the processes, empty without torchrun.
        call: what was asked for, as a hash.
        token: new each time.
    """

    launchers: tuple[str, ...]
    call: str
    token: str = ""

    def write(self, run: Path) -> None:
        """Write the job into the run's folder."""
        with atomic_write(run / PROCESSES) as part:
            part.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, run: Path) -> Job | None:
        """Read the job that trained a run; None if there is none."""
        try:
            fields = json.loads((run / PROCESSES).read_text(encoding="utf-8"))
            return cls(tuple(map(str, fields["launchers"])), str(fields["call"]), str(fields["token"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def is_restart_of(self, earlier: Job | None) -> bool:
        """Test whether this is a restart of the same call by its launcher."""
        return earlier is not None and self.call == earlier.call and bool({*self.launchers} & {*earlier.launchers})


def this_job(data: str | None, arguments: Mapping[str, Any]) -> Job | None:
    """Return the job of this process, the same in all; None for a process that was started alone."""
    if not group.joined() and "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    call = json.dumps([data, {name: str(value) for name, value in arguments.items()}], sort_keys=True)
    _warn_of_store()
    launchers = group.gather(_launcher)
    job = Job(tuple(sorted({*filter(None, launchers)})), hashlib.blake2b(call.encode(), digest_size=8).hexdigest())
    return group.broadcast(lambda: replace(job, token=uuid.uuid4().hex))


def _warn_of_store() -> None:
    """Where processes meet in the store of a launcher, one that comes later is not told its address (torch 2.15)."""
    environment = {name: os.environ.get(name, "0") for name in ("GROUP_WORLD_SIZE", "TORCHELASTIC_MAX_RESTARTS")}
    shared = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    if shared and int(environment["GROUP_WORLD_SIZE"]) > 1 and int(environment["TORCHELASTIC_MAX_RESTARTS"]) > 0:
        log.info(
            "a machine that takes the place of a lost one will not find the others: set "
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 on all machines"
        )


def _launcher() -> str:
    """Identify the ``torchrun`` that started this process: by its folder, or its process id."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return ""
    folders = Path(os.environ.get("TORCHELASTIC_ERROR_FILE", "")).parents  # FOLDER/attempt_0/0/error.json
    return f"{socket.gethostname()} {folders[2] if len(folders) > 3 else os.getppid()}"


def run_to_go_on_with(job: Job, runs: Path) -> str | None:
    """Return the run's folder that this job began before it was restarted; None for its first start.

    Args:
        job: this one.
        runs: folder of runs.
    """

    def newest() -> str | None:
        begun = [
            path.parent
            for path in runs.glob(f"*/{PROCESSES}")
            if path.parent not in _begun and (path.parent / ARGUMENTS).is_file()
        ]
        restarted = [run for run in begun if job.is_restart_of(Job.read(run))]
        if not restarted:
            return None
        run = max(restarted, key=lambda path: (path / PROCESSES).stat().st_mtime)
        if (published := Published.read(run)) is not None and published.done:
            replace(published, done=False).write()  # the others did not see its end
        return str(run)

    return group.broadcast(newest)


def agree_on_folder(job: Job, overrides: dict[str, Any]) -> dict[str, Any]:
    """Set the run's folder to the first process's, which all machines see.

    Raises:
        DetectorError: naming the machine that does not.
    """

    def run_folder() -> str:
        run = Path(get_save_dir(get_cfg(DEFAULT_CFG_DICT, overrides)))
        run.mkdir(parents=True, exist_ok=True)
        job.write(run)
        return str(run)

    run = Path(group.broadcast(run_folder))
    group.gather(lambda: _check_shared(run, job))
    _begun.add(run)
    return {**overrides, "save_dir": str(run)}


def _check_shared(run: Path, job: Job) -> None:
    """Wait until what the first process has just written is visible here."""
    ends = time.monotonic() + _SECONDS
    while Job.read(run) != job:
        if time.monotonic() > ends:
            raise DetectorError(
                f"{run} on {socket.gethostname()} is not the folder that process 0 writes the run into: all machines "
                "need one that they share, by the same path: mount it, and give project=FOLDER in it."
            )
        time.sleep(0.1)
