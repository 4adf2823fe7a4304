"""Jobs that end the workers that have them, and are given up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from detector.errors import DetectorError, counted

MAX_LOSSES = 8
"""Times that a job is repeated whose worker was lost: one that ends its worker, say by its memory, always will."""


class LostJobsError(DetectorError):
    """Workers were lost with the same jobs again and again; all other jobs are done.

    Args:
        jobs: that have no result.
    """

    def __init__(self, jobs: Sequence[Any]) -> None:
        super().__init__(
            f"{counted(len(jobs), 'piece')} of the work ended the worker that had it, {MAX_LOSSES + 1} times: give "
            "workers more memory, or look for what is damaged in the input. The same call goes on with what is done."
        )
        self.jobs = jobs
