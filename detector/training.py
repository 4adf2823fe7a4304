"""`yolo train` for text: its arguments, other defaults, strings in its metrics."""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detector.augment import Policy
from detector.backends import shipped_detector
from detector.calibration import fit_calibration, right_characters
from detector.decode import decode_batch
from detector.detections import Reading
from detector.device import first_process, pick_device, say_device
from detector.errors import ArgumentError, DatasetError, DetectorError
from detector.fit import DEFAULT_SHAPE_HW
from detector.images import read_image
from detector.looks import Looks
from detector.metrics import TextScore, score_texts, wilson_interval
from detector.rules import ReadingRules
from detector.yolo_format import CharacterSet, read_set

if TYPE_CHECKING:
    from detector import _ultralytics
    from detector.text_data import TextDataset

log = logging.getLogger("detector")

HERE = Path(__file__).parent
NETWORK = HERE / "models" / "char.yaml"
"""The network that training starts from where no weights are given or fit."""

WEIGHTS_FOLDER = Path("weights")
"""Where the weights to read with land."""

AUGMENT_ON = ("device", "picture")
"""Ways to follow the augmentation policy: a batch at a time, as the training device does it fastest (OpenCV on a CPU,
torch on a GPU), or a picture at a time with Albumentations, the reference."""

_NO_EFFECT = ("mosaic", "mixup", "cutmix", "copy_paste", "erasing", "hsv_h", "hsv_s", "hsv_v", "multi_scale", "bgr")
"""Augmentations of `yolo train` that tear text apart or are done otherwise here."""

_NOT_FOLLOWED = {"fraction": 1.0, "classes": None}
"""Arguments of `yolo train` that choose pictures, and the value that chooses all."""

_OF_LOADING = ("cache", "rect", "workers")
"""Arguments of `yolo train` about how pictures get to the network; here they are packed, all of one shape."""

DEFAULTS: dict[str, Any] = {
    # Text has a direction and is read whole: nothing is mirrored, tiled or cut off.
    **dict.fromkeys(_NO_EFFECT, 0.0), "close_mosaic": 0, "rect": False,
    # A small network and small pictures: AdamW with a short warm-up and one cosine.
    "optimizer": "AdamW", "momentum": 0.9, "weight_decay": 0.02, "cos_lr": True, "lrf": 0.02,
    "warmup_epochs": 1.0, "warmup_bias_lr": 0.0,
    "patience": 0, "plots": False, "exist_ok": False,
}  # fmt: skip
"""Arguments of `yolo train` that differ from its own defaults; the ones given win."""

_FROM_SHIPPED_LR, _FROM_NOTHING_LR = 1e-3, 2e-3
_STEPS, _MOST_EPOCHS = 2500, 300  # optimizer steps that an unasked number of epochs aims at
_BATCH, _MOST_ON_GPU = 32, 512  # pictures; the larger one keeps a GPU busy
_START_SHARES = (0.25, 0.5, 0.75, 1.0)  # of the weights that training started from
_JUDGED = 1000  # pictures of the validation split that tell the best share
_STEPS_AN_EPOCH = 100  # that a larger batch on a GPU leaves, so that small sets still get their steps


def train(data: str | Path | None = None, **arguments: Any) -> Path:
    """Train a detector on a converted set; returns the path of the weights to read with, ``weights/NAME.pt``.

    A file of that name which is there, from a run in another project, is kept: a number is added, as to runs, unless
    ``exist_ok=True``.

    Args:
        data: data.yaml of the set, or its folder; not needed with ``resume``.
        arguments: as ``yolo train`` takes them. ``model`` defaults to the shipped detector, or a network from
            nothing where the alphabets have nothing in common; ``epochs`` to what gives about 2,500 steps, from weights
            half of them;
            ``name`` to the set's name. ``resume=True`` or ``resume=PATH`` goes on where a run stopped.
            One more: ``augment="device"``, the default, changes a batch at a time: with OpenCV on a CPU, on a GPU
            there; ``augment="picture"`` one picture at a time with Albumentations, the default with
            ``augmentations=[…]``.

    Raises:
        DatasetError: if the set is missing or damaged.
        ArgumentError: if an argument is not one of ``yolo train``'s, or its value makes no sense.
        WeightsError: if ``model`` or ``pretrained`` is nothing to start from.
        DetectorError: if there is no run to resume, or a file in the place of the folder ``weights``.
    """
    from detector import _ultralytics  # torch takes seconds to load: only when it is needed

    augment_on = arguments.pop("augment") if isinstance(arguments.get("augment"), str) else None
    if augment_on not in (None, *AUGMENT_ON):
        raise ArgumentError(f"augment={augment_on!r}: give one of {', '.join(AUGMENT_ON)}, or leave it out.")
    _ultralytics.check_arguments(arguments)
    if not arguments.get("val", True):
        log.warning("val=False: not followed, for the strings that are read tell which weights to publish")
        arguments = {**arguments, "val": True}
    if WEIGHTS_FOLDER.exists() and not WEIGHTS_FOLDER.is_dir():  # said before hours of training
        raise DetectorError(
            f"{WEIGHTS_FOLDER.absolute()} is a file, and the weights land in that folder: move it away."
        )
    overrides = _resumed_run(data, arguments) if arguments.get("resume") else _new_run(data, arguments)
    log.info("%s", say_device(pick_device(arguments.get("device"))))
    trainer = _ultralytics.run_trainer(overrides, augment_on)
    target = _ultralytics.free_path(WEIGHTS_FOLDER / f"{trainer.save_dir.name}.pt", trainer.args.exist_ok)
    if first_process():
        _publish(trainer, target, arguments.get("device"))
    return target


def _new_run(data: str | Path | None, arguments: dict[str, Any]) -> dict[str, Any]:
    from detector import _ultralytics

    if data is None:
        raise DatasetError("Say what to train on: data=SET/data.yaml, as `detector convert` wrote it.")
    overrides = training_arguments(read_set(data), arguments)
    for start in (overrides["model"], overrides.get("pretrained")):
        if isinstance(start, (str, Path)):
            _ultralytics.check_start(str(start))
    return overrides


def _resumed_run(data: str | Path | None, arguments: dict[str, Any]) -> dict[str, Any]:
    from detector import _ultralytics

    named = isinstance(arguments["resume"], (str, Path))
    checkpoint = Path(str(arguments["resume"])) if named else _ultralytics.latest_run()
    if not checkpoint.is_file():
        raise DetectorError(f"There is no checkpoint {checkpoint} to resume: give RUN/weights/last.pt.")
    _ultralytics.check_resumable(checkpoint)
    again = {"model": str(checkpoint), "resume": str(checkpoint)}
    return {**arguments, **({"data": str(data)} if data else {}), **again}


def _publish(trainer: Any, target: Path, device: str | None) -> None:
    """The weights of a finished run to read with: those of the epoch, and as near to the start, as validation says."""
    from detector import _ultralytics

    characters, rules, split = trainer.characters, trainer.rules, trainer.args.split
    judged_by = [row.text for row in characters.rows(split)[0]]
    epochs = _results(trainer.csv)
    lucky = not best_beyond_chance(epochs, len(judged_by), sum(map(len, judged_by)))
    best = trainer.last if lucky or not trainer.best.exists() else trainer.best
    # Ultralytics ends with validating the best weights; what the last ones got stands in the run's table.
    validated = trainer.metrics if best == trainer.best else epochs[-1]
    metrics = {k: float(v) for k, v in (validated or {}).items() if k.startswith("metrics/")}
    last = getattr(trainer, "epoch", trainer.args.epochs - 1)  # several GPUs: the epochs went by in other processes
    facts = {"epochs": int(last) + 1, "seed": int(trainer.args.seed), "validation": metrics}
    chosen, share = towards_start(Path(best), _ultralytics.start_of(trainer), characters, rules, split, device)
    rules, score = calibrated(chosen, characters, rules, split, device)
    if score.right == 0:
        log.warning("not one picture of the split %r is read right: train longer, or look at the set's report", split)
    if share:
        facts["towards_start"] = share
        facts["validation"] = {"metrics/exact_match": score.exact_match, "metrics/CER": score.cer}
        log.info("published a mean: %.0f%% of the weights that training started from, which reads better", 100 * share)
    _ultralytics.publish(chosen, target, rules, facts)
    if share:
        chosen.unlink()


def towards_start(
    taught: Path, start: Path | None, characters: CharacterSet, rules: ReadingRules, split: str, device: str | None
) -> tuple[Path, float]:
    """The weights between those that were taught and those that teaching started from that read most of a split.

    Few pictures teach what they show, and unlearn some of what they do not. A mean of both, a weight at a time, often
    reads more than either: Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022.

    Args:
        taught: of the run.
        start: what it started from; None from nothing.
        characters: the set.
        rules: of the network, with its shape.
        split: not learnt.
        device: as Ultralytics spells it.

    Returns:
        A file, and the start's share: that with which :func:`_missed` is least; with 0 it is ``taught`` itself.
    """
    from detector import _ultralytics
    from detector.text_data import TextDataset

    if start is None:
        return taught, 0.0
    rules = replace(rules, calibration=None, second_look=False)
    assert rules.shape_hw is not None  # a trainer needs one
    dataset = TextDataset(characters, split, rules.shape_hw)

    def mean_path(share: float) -> Path:
        return taught.with_name(f"mean-{share:g}.pt")

    def missed(weights: Path) -> float:
        network = _ultralytics.Network(weights, pick_device(device))
        readings = _read_fitted(network, rules, dataset, _JUDGED)
        return _missed(dataset.texts[: len(readings)], readings, rules.blank)

    least, chosen, chosen_share = missed(taught), taught, 0.0
    for share in _START_SHARES:
        mean = _ultralytics.write_mean(taught, start, share, rules.symbols, mean_path(share))
        if (of_mean := missed(mean)) < least:
            least, chosen, chosen_share = of_mean, mean, share
    for share in _START_SHARES:
        if share != chosen_share:
            mean_path(share).unlink()
    return chosen, chosen_share


def _missed(labels: Sequence[str], readings: Sequence[Reading], blank: str) -> float:
    """Symbols that are wrong, and of the right ones how much they lack of sure, squared, as a Brier score has it.

    A dozen validation pictures have too few mistakes to tell good weights from better ones: how sure the right symbols
    are tells.
    """
    unsure = sum(
        (1 - character.confidence) ** 2
        for label, reading in zip(labels, readings, strict=True)
        for character, right in zip(reading.characters, right_characters(label, reading, blank), strict=True)
        if right
    )
    return score_texts(labels, [reading.shown for reading in readings], blank).errors + unsure


def _read_fitted(
    network: _ultralytics.Network, rules: ReadingRules, dataset: TextDataset, most: int | None = None
) -> list[Reading]:
    """What a network reads of a set's pictures, looking once."""
    assert rules.shape_hw is not None
    readings: list[Reading] = []
    count = len(dataset) if most is None else min(most, len(dataset))
    for start in range(0, count, _BATCH):
        found = network(np.asarray(dataset.images[start : min(start + _BATCH, count)]))
        readings += decode_batch(found, rules, [float(rules.shape_hw[1])] * len(found))
    return readings


def best_beyond_chance(epochs: Sequence[Mapping[str, str]], pictures: int, symbols: int) -> bool:
    """Whether the last epoch reads less than the best one, by more than chance does: fewer pictures and fewer symbols.

    The best of a hundred epochs is mostly the luckiest, with few validation pictures by far. On other pictures the last
    one, where the learning rate has come down, reads as well, and its confidences are calibrated on pictures that did
    not choose it.

    Args:
        epochs: rows of the run's ``results.csv``.
        pictures: of the validation split.
        symbols: of their texts.
    """

    def right(row: Mapping[str, str]) -> tuple[float, float]:
        return float(row.get("metrics/exact_match") or 0.0), max(0.0, 1.0 - float(row.get("metrics/CER") or 0.0))

    best, last = max(map(right, epochs)), right(epochs[-1])
    return all(
        of_last < wilson_interval(round(of_best * count), count)[0]
        and of_best > wilson_interval(round(of_last * count), count)[1]
        for of_best, of_last, count in zip(best, last, (pictures, symbols), strict=True)
    )


def _results(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def calibrated(
    weights: Path, characters: CharacterSet, rules: ReadingRules, split: str = "val", device: str | None = None
) -> tuple[ReadingRules, TextScore]:
    """The rules with what a network's scores are worth and how often to look, by what it reads in a split not learnt.

    A second look is for text that is small in its pictures. It is taken where one look gets symbols wrong, and two get
    no more of them wrong, or as few more as chance may make: on what few validation pictures show, it seldom harms.

    Args:
        weights: of the network.
        characters: the set.
        rules: of the network, with its shape; the calibration and the looks that they may have are replaced.
        split: of the set.
        device: as Ultralytics spells it.

    Returns:
        The rules, and how what was read compares with the labels.

    Raises:
        DatasetError: if the split is empty or damaged, or the rules name no shape.
    """
    from detector import _ultralytics
    from detector.text_data import TextDataset

    shape_hw = rules.shape_hw
    if shape_hw is None:
        raise DatasetError(f"{weights} does not say the network's shape: train again.")
    rules = replace(rules, calibration=None, second_look=False)
    network = _ultralytics.Network(weights, pick_device(device))
    dataset = TextDataset(characters, split, shape_hw)
    readings = _read_fitted(network, rules, dataset)
    looks, twice = Looks(network, rules, second=True), list[Reading]()
    for start in range(0, len(dataset), _BATCH):
        twice += looks([read_image(path) for path in dataset.im_files[start : start + _BATCH]])
    score, again = (score_texts(dataset.texts, [r.shown for r in read], rules.blank) for read in (readings, twice))
    if again.errors < score.errors + math.sqrt(score.errors):
        readings, score, rules = twice, again, replace(rules, second_look=True)
    return replace(rules, calibration=fit_calibration(readings, dataset.texts, rules.blank)), score


def training_arguments(characters: CharacterSet, arguments: dict[str, Any]) -> dict[str, Any]:
    """All arguments of a run on the set: the given ones, and this package's defaults for the others."""
    shape_hw = characters.rules.shape_hw or DEFAULT_SHAPE_HW
    device = pick_device(arguments.get("device"))
    to_learn, _ = characters.rows("train", arguments.get("split") or "val")
    pictures = len(to_learn)
    batch = arguments.get("batch", batch_for(device.type, pictures))
    model = str(arguments.get("model") or shipped_detector(characters.rules.symbols) or NETWORK)
    from_weights = model.endswith(".pt")
    ignored = [name for name in _NO_EFFECT if arguments.get(name)]
    if ignored:
        log.warning("%s: no effect on text; see docs/commands.md for what is augmented", ", ".join(ignored))
    if chosen := [name for name, all_ in _NOT_FOLLOWED.items() if arguments.get(name, all_) != all_]:
        log.warning("%s: not followed, all of the set is trained on; convert fewer pictures", ", ".join(chosen))
    if loading := [name for name in _OF_LOADING if arguments.get(name)]:
        log.warning("%s: no effect, pictures are packed once and all have one shape", ", ".join(loading))
    policy = {k: v for k, v in asdict(Policy()).items() if k != "photometric"}
    overrides = {
        **DEFAULTS,
        **policy,
        "batch": batch,
        "lr0": (_FROM_SHIPPED_LR if from_weights else _FROM_NOTHING_LR) * lr_factor(batch),
        "imgsz": max(shape_hw),
        "name": characters.root.name,
        "project": str(Path("runs").resolve()),
        "amp": "bf16" if device.type == "cuda" else True,
        "deterministic": device.type != "cuda",  # there it forbids the fastest convolutions
        **arguments,
        **dict.fromkeys(_NO_EFFECT, 0.0),
        "model": model,
        "data": str(characters.yaml_path),
        "task": "detect",
        "mode": "train",
    }
    asked = overrides["batch"]
    overrides.setdefault("nbs", asked if asked >= 1 else 64)
    if "epochs" not in arguments and "time" not in arguments:
        steps = _STEPS // 2 if from_weights else _STEPS
        # Below 1 it is a share of the GPU's memory, and nobody knows yet how many pictures these are.
        epochs = math.ceil(steps * (asked if asked >= 1 else _BATCH) / max(pictures, 1))
        overrides["epochs"] = min(max(epochs, 10), _MOST_EPOCHS)
    overrides["project"] = str(Path(overrides["project"]).resolve())  # a relative one lands beside Ultralytics' own
    return overrides


def batch_for(device_type: str, pictures: int) -> int:
    """Pictures of a batch where none is asked for: 32, and on a GPU as many as leave enough steps an epoch."""
    batch = _BATCH
    while device_type == "cuda" and batch < _MOST_ON_GPU and pictures >= 2 * batch * _STEPS_AN_EPOCH:
        batch *= 2
    return batch


def lr_factor(batch: float) -> float:
    """By how much a larger batch raises the learning rate of AdamW: the root of its growth.

    Malladi et al., "On the SDEs and Scaling Rules for Adaptive Gradient Algorithms", NeurIPS 2022.
    """
    return math.sqrt(max(batch, _BATCH) / _BATCH)
