"""fast-plate-ocr's compact transformers, trained from scratch by the library's own command; no command of its own.

It is for ``trained_peers.py``, and runs in the peers' Python, which has no detector. `fast-plate-ocr train` runs with
its defaults: AdamW, batches of 64, cosine learning rate, averaged weights, its augmentation, early stopping, the
checkpoint that reads most validation pictures. Only --epochs is chosen: the command cannot stop by the clock, and its
learning rate follows the epochs. A trial on the same pictures, which takes a fifth of the minutes and is discarded,
measures an epoch; training gets as many epochs as fit the minutes. If the machine is slower then, the clock stops
training after any batch, and it validates and keeps its best checkpoint.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

BATCH = 64  # the command's default
TRIAL_SHARE = 0.2  # of the minutes; they are not counted as training
TRIAL_EPOCHS = 1000  # more than fit: the clock ends the trial
TARGET_SHARE = 0.97  # of the minutes, that the epochs should take

PLATE = {
    "max_plate_slots": 8, "alphabet": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_", "pad_char": "_",
    "img_height": 64, "img_width": 128, "keep_aspect_ratio": True, "interpolation": "linear", "image_color_mode": "rgb",
}  # fmt: skip
"""config/default_latin_plate_config.yaml of github.com/ankandrew/fast-plate-ocr, but with 8 slots instead of 9."""


def _network(
    stem: Sequence[Sequence[int]], conv: dict[str, Any], width: int, patch_dropout: float, **encoder: Any
) -> dict[str, Any]:
    """Return a model configuration: groups of 3x3 convolutions with pooling between them, then the transformer.

    Args:
        stem: filters of each convolution, by group.
        conv: further settings of the convolutions.
        width: of the transformer.
        patch_dropout: of the embedded patches.
        encoder: further settings of the transformer.
    """
    pool = {"layer": "MaxBlurPooling2D", "pool_size": 2, "filter_size": 3}
    blocks: list[dict[str, Any]] = []
    for group in stem:
        blocks += [pool] if blocks else []
        blocks += [{"layer": "Conv2D", "filters": filters, "kernel_size": 3, **conv} for filters in group]
    mlp = {"layer": "MLP", "hidden_units": [width], "activation": "gelu", "dropout_rate": patch_dropout}
    return {
        "model": "cct",
        "rescaling": {"scale": 1 / 255, "offset": 0.0},
        "tokenizer": {"blocks": blocks, "positional_emb": True, "patch_size": 2, "patch_mlp": mlp},
        "transformer_encoder": {
            "projection_dim": width, "units": [width, width], "activation": "gelu", "mlp_dropout": 0.1,
            "token_reducer_heads": 4, "normalization": "dyt", **encoder,
        },
    }  # fmt: skip


NETWORKS = {
    "fast-plate-ocr-xs": _network(
        ((32,), (48, 64), (80, 96)), {"padding": "valid", "activation": "relu", "use_bias": True}, 64, 0.05,
        layers=4, heads=1, stochastic_depth=0.05, attention_dropout=0.05, head_mlp_dropout=0.05,
    ),
    "fast-plate-ocr-s": _network(
        ((48,), (80, 96, 128)), {"padding": "same", "activation": "gelu", "use_bias": False}, 128, 0.1,
        layers=6, heads=2, stochastic_depth=0.12, attention_dropout=0.1, head_mlp_dropout=0.15,
    ),
}  # fmt: skip
"""The sizes of models/cct_xs_v1.yaml and models/cct_s_v1.yaml of that repository (MIT licence, commit ba92187)."""


def _write_list(path: Path, pairs: Sequence[Sequence[str]]) -> Path:
    """Write the library's list of pictures, which takes paths relative to its folder only; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("image_path", "plate_text"))
        writer.writerows((os.path.relpath(picture, path.parent.resolve()), text) for picture, text in pairs)
    return path


def _clock(limit_s: float, min_batches: int) -> Any:
    """Return a Keras callback that records times, and ends training when only the validation still fits ``limit_s``.

    Args:
        limit_s: seconds of training and validation.
        min_batches: that are trained on in any case.
    """
    import keras

    class Clock(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.start_time = time.perf_counter()
            self.epochs: list[dict[str, Any]] = []
            self.stopped = False

        def now(self) -> float:
            return time.perf_counter() - self.start_time

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epochs.append({"began": self.now(), "batches": [], "tested": 0.0})

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.epochs[-1]["batches"].append(self.now())
            previous_epoch = self.epochs[-2] if len(self.epochs) > 1 else None
            validation_s = previous_epoch["ended"] - previous_epoch["batches"][-1] if previous_epoch else 0.0
            is_enough = sum(len(epoch["batches"]) for epoch in self.epochs) >= min_batches
            if is_enough and self.now() + validation_s > limit_s and batch + 1 < self.params["steps"]:
                self.model.stop_training = self.stopped = True

        def on_test_end(self, logs: Any = None) -> None:
            self.epochs[-1]["tested"] = self.now()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.epochs[-1] |= {"ended": self.now(), "val_exact_match": float((logs or {}).get("val_acc", 0.0))}
            if self.now() > limit_s and epoch + 1 < self.params["epochs"]:
                self.model.stop_training = self.stopped = True

    return Clock()


@contextmanager
def _with_callback(callback: Any) -> Iterator[None]:
    """Add a callback to all that Keras trains inside, after the command's own callbacks."""
    import keras

    original_fit = keras.Model.fit

    def fit(model: Any, *args: Any, callbacks: Sequence[Any] = (), **options: Any) -> Any:
        return original_fit(model, *args, callbacks=[*callbacks, callback], **options)

    keras.Model.fit = fit
    try:
        yield
    finally:
        keras.Model.fit = original_fit


def _train(
    folder: Path, train: Any, val: Any, epochs: int, limit_s: float, seed: int, min_batches: int = 1
) -> tuple[Any, Path]:
    """Run `fast-plate-ocr train` once; return the clock, and the best checkpoint."""
    from fast_plate_ocr.cli.train import train as command

    clock = _clock(limit_s, min_batches)
    arguments = {
        "model-config-file": folder / "model.yaml", "plate-config-file": folder / "plate.yaml",
        "annotations": _write_list(folder / "train.csv", train),
        "val-annotations": _write_list(folder / "val.csv", val),
        "output-dir": folder / "out", "epochs": epochs, "seed": seed,
    }  # fmt: skip
    with _with_callback(clock):
        command.main([f"--{name}={value}" for name, value in arguments.items()], standalone_mode=False)
    best = max((folder / "out").glob("*/best.keras"), key=lambda path: path.stat().st_mtime)
    return clock, best


def epochs_that_fit(
    trial_epochs: Sequence[dict[str, Any]], pictures: int, minutes: float
) -> tuple[int, dict[str, float]]:
    """Return how many epochs end within the minutes, by those of a trial, and the seconds of their parts.

    An epoch's time is the median of the whole ones after the first, which builds the graph; without one, the median
    step times their number, with the validation and the saving that the trial ended with.

    Args:
        trial_epochs: of the trial's clock.
        pictures: in an epoch.
        minutes: of training.
    """
    whole_epochs = [e for e in trial_epochs[1:] if len(e["batches"]) == math.ceil(pictures / BATCH)]
    step_times = [end - start for e in trial_epochs for start, end in itertools.pairwise(e["batches"])]
    first, last = trial_epochs[0], trial_epochs[-1]
    step = statistics.median(step_times or [first["batches"][0]])
    after_epoch = last["ended"] - last["batches"][-1]
    epoch = step * pictures / BATCH + after_epoch
    if whole_epochs:
        epoch = statistics.median(e["ended"] - e["began"] for e in whole_epochs)
    start = max(0.0, first["batches"][0] - step)
    count = max(1, int((TARGET_SHARE * 60 * minutes - start) / epoch))
    seconds = {"start": start, "step": step, "after_epoch": after_epoch, "epoch": epoch, "whole": len(whole_epochs)}
    return count, seconds


def learn(question: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Train for ``trained_peers.py``; return a function from path to text, and figures."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it asks the network for newer versions at import
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import cv2

    cv2.setNumThreads(1)
    folder, minutes, seed = Path(question["work"]), question["minutes"], question["seed"]
    train, val = question["train"], question["val"]
    for part in ("trial", "train"):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for name, config in (("model", NETWORKS[question["reader"]]), ("plate", PLATE)):
            (folder / part / f"{name}.yaml").write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML, too
    start_time = time.perf_counter()
    clock, _ = _train(folder / "trial", train, val, TRIAL_EPOCHS, TRIAL_SHARE * 60 * minutes, seed, min_batches=2)
    epochs, seconds = epochs_that_fit(clock.epochs, len(train), minutes)
    trial_minutes = (time.perf_counter() - start_time) / 60
    start_time = time.perf_counter()
    clock, best = _train(folder / "train", train, val, epochs, 60 * minutes, seed)
    figures = {
        "minutes": {"trial": trial_minutes, "train": (time.perf_counter() - start_time) / 60},
        "epochs": {"asked": epochs, "begun": len(clock.epochs), "stopped_by_the_clock": clock.stopped},
        "steps": sum(len(epoch["batches"]) for epoch in clock.epochs), "trial": seconds,
        "val_exact_match": max(epoch["val_exact_match"] for epoch in clock.epochs),
        "versions": {name: version(name) for name in ("fast-plate-ocr", "keras", "tensorflow")},
    }  # fmt: skip
    return _reader(best, folder / "train" / "plate.yaml"), figures


def _reader(weights: Path, plate: Path) -> Any:
    """Return a function from path to text, by the weights and the plate configuration."""
    from fast_plate_ocr.core.process import postprocess_output, preprocess_image, read_and_resize_plate_image
    from fast_plate_ocr.train.model.config import load_plate_config_from_yaml
    from fast_plate_ocr.train.utilities.utils import load_keras_model

    config = load_plate_config_from_yaml(plate)
    network = load_keras_model(weights, config)

    def read(path: str) -> str:
        image = read_and_resize_plate_image(
            path, config.img_height, config.img_width, config.image_color_mode, config.keep_aspect_ratio,
            config.interpolation, config.padding_color,
        )  # fmt: skip
        output = network.predict_on_batch(preprocess_image(image))
        (prediction,) = postprocess_output(output["plate"], config.max_plate_slots, config.alphabet, config.pad_char)
        return str(prediction.plate)

    return read
