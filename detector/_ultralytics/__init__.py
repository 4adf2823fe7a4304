"""The only package that imports Ultralytics: trainer, validator, weights, networks."""

from __future__ import annotations

from detector._ultralytics.arguments import check_arguments, check_resumable, check_start, free_path, latest_run
from detector._ultralytics.network import Network, live_frames, write_exported
from detector._ultralytics.trainer import (
    TextTrainer,
    TextValidator,
    prepared_trainer,
    run_trainer,
    start_of,
    validate_once,
)
from detector._ultralytics.weights import averaged, new_network, publish, write_mean

__all__ = [
    "Network", "TextTrainer", "TextValidator", "averaged", "check_arguments", "check_resumable", "check_start",
    "free_path", "latest_run", "live_frames", "new_network", "prepared_trainer", "publish", "run_trainer", "start_of",
    "validate_once", "write_exported", "write_mean",
]  # fmt: skip
