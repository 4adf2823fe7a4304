"""The weights of a run to read with: which ones, what their scores are worth, and written to hand around."""

from __future__ import annotations

import logging
import math
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detector.data.atomic import atomic_create, atomic_write
from detector.data.folders.owned import file_hash
from detector.data.images import read_image
from detector.data.parallel import chunked
from detector.data.sets.yolo_dataset import CharacterSet
from detector.errors import DatasetError, counted
from detector.networks.device import pick_device
from detector.networks.network import MAX_BATCH
from detector.reading.two_pass import ReadingPipeline
from detector.text.calibration import fit_calibration, right_characters
from detector.text.decode import decode_again, decode_batch
from detector.text.detections import Evidence, Reading
from detector.text.forms.fitting import fit_string_model_to_labels
from detector.text.forms.lookalikes import measured_lookalikes
from detector.text.metrics import TextScore, score_texts
from detector.text.reading_config import ReadingConfig
from detector.training.run_folder import Published, publishing, start_of
from detector.training.validation.evidence import (
    CER,
    EXACT_MATCH,
    FEW,
    best_beyond_chance,
    best_epoch,
    gains_beyond_chance,
)

if TYPE_CHECKING:
    from detector.networks import ultralytics
    from detector.training.dataset import TextDataset

log = logging.getLogger("detector")

_START_SHARES = (0.25, 0.5, 0.75, 1.0)  # of the weights that training started from
MEANS = tuple(f"weights/mean-{share:g}.pt" for share in _START_SHARES)
"""Files in a run's folder while its weights are chosen."""

_SCORED = 1000  # pictures of the validation split, drawn, that tell the best share


def target_of(run: Path, folder: Path, exist_ok: bool) -> tuple[Path, bool]:
    """Return where a run's weights land: the earlier place, unless another file lies there now; else a free one.

    Returns:
        The path, and whether what lies there is replaced; otherwise nothing lay there just now.
    """
    earlier = Published.read(run)
    if earlier is not None and earlier.is_of(run):
        place = folder / earlier.name
        is_there = os.path.lexists(place)  # asked first: what comes later is of another run
        if earlier.owns(place):
            return place, is_there
    places = (folder / f"{run.name}{number}.pt" for number in chain([""], (f"-{number}" for number in count(2))))
    return next(place for place in places if exist_ok or not os.path.lexists(place)), exist_ok


def publish(trainer: Any, folder: Path, device: str | None) -> tuple[Path, TextScore]:
    """Write a run's weights to read with: epoch and interpolation are chosen on the validation split.

    Args:
        trainer: that of the run, finished or stopped after an epoch or more.
        folder: that they land in.
        device: as Ultralytics spells it.

    Returns:
        The file, and how what its weights read of the validation split compares with the labels.
    """
    characters, config, split = trainer.characters, trainer.config, trainer.args.split
    labels = [row.text for row in characters.rows(split)[0]]
    epochs = trainer.finished_epochs()
    log.info("choosing weights and calibrating confidences on %s of the split %r", counted(len(labels), "picture"),
             split)  # fmt: skip
    is_best_better = best_beyond_chance(epochs, len(labels), sum(map(len, labels))) and trainer.best.exists()
    trained, row = (trainer.best, best_epoch(epochs)) if is_best_better else (trainer.last, epochs[-1])
    facts: dict[str, Any] = {"epochs": int(epochs[-1]["epoch"]), "seed": int(trainer.args.seed)}
    facts["validation"] = {name: float(value) for name, value in row.items() if name.startswith("metrics/")}
    validation = Validation(characters, config, split, device, facts["seed"])
    chosen, share = interpolate_weights(trained, start_of(trainer.save_dir), validation)
    config, score = calibrated(chosen, validation)
    if share:
        facts["towards_start"] = share
        facts["validation"] = {EXACT_MATCH: score.exact_match, CER: score.cer}
        log.info(
            "the weights to read with are %.0f%% those that training started from, which read better",
            100 * share,
        )
    target = _put_in_place(trainer, folder, chosen, config, facts)
    if share:
        chosen.unlink()
    Published(str(trainer.save_dir), target.name, (file_hash(target),), done=not trainer.interrupted).write()  # last
    if score.count < FEW:
        log.info("validation: %d of %d pictures are read right, too few to tell anything", score.right, score.count)
    else:
        low, high = score.interval
        log.info(
            "validation: %d of %d pictures are read right, %.1f%% (95 %%: %.1f to %.1f%%)",
            score.right, score.count, 100 * score.exact_match, 100 * low, 100 * high,
        )  # fmt: skip
    return target, score


def _put_in_place(trainer: Any, folder: Path, checkpoint: Path, config: ReadingConfig, facts: dict[str, Any]) -> Path:
    """Write the weights and return their path, which is chosen anew where another run takes it meanwhile."""
    from detector.networks import ultralytics

    while True:
        target, replaces = target_of(trainer.save_dir, folder, trainer.args.exist_ok)
        record = publishing(trainer.save_dir, target, replaces)

        def write_down(part: Path, record: Published = record) -> None:
            record.with_more(file_hash(part)).write()

        try:
            ultralytics.publish(
                checkpoint, target, config, facts, write_down, atomic_write if replaces else atomic_create
            )
        except FileExistsError:
            if replaces or not os.path.lexists(target):  # it is the folder that is a file
                raise
        else:
            return target


@dataclass(frozen=True)
class Validation:
    """A split that was not learnt, by which weights and how to read with them are chosen.

    Args:
        characters: the set.
        config: of the network, with its shape; the calibration, passes and string model that it may have are not used.
        split: of the set.
        device: as Ultralytics spells it.
        seed: of the pictures that are drawn from a large split.
    """

    characters: CharacterSet
    config: ReadingConfig
    split: str = "val"
    device: str | None = None
    seed: int = 0

    def dataset(self) -> TextDataset:
        """Open the split.

        Raises:
            DatasetError: if it is empty or damaged, or the config names no shape.
        """
        from detector.training.dataset import TextDataset

        if self.config.shape_hw is None:
            raise DatasetError(f"{self.characters.root} does not say the network's shape: convert again.")
        return TextDataset(self.characters, self.split, self.config.shape_hw)


def interpolate_weights(trained: Path, start: Path | None, validation: Validation) -> tuple[Path, float]:
    """Choose among interpolations of trained and start weights the one that reads most of a split.

    A few pictures improve what they show, and unlearn some of what they do not. An interpolation of both weights often
    reads more than either (WiSE-FT): Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022.

    Args:
        trained: of the run.
        start: what it started from; None if from scratch.
        validation: whose pictures are read.

    Returns:
        A file, and the start's share: that with which :func:`_missed` is least, if less beyond chance; with 0 it is
        ``trained`` itself.
    """
    from detector.networks import ultralytics

    if start is None:
        return trained, 0.0
    config, dataset = _as_trained(validation.config), validation.dataset()
    # Drawn: the first ones by name are often of a few texts only.
    rows = sorted(random.Random(validation.seed).sample(range(len(dataset)), min(_SCORED, len(dataset))))

    def mean_path(share: float) -> Path:
        return trained.with_name(f"mean-{share:g}.pt")

    def missed(weights: Path) -> list[float]:
        network = ultralytics.TorchNetwork.open(weights, pick_device(validation.device))
        readings = _read_letterboxed(network, config, dataset, rows)
        return [_missed(dataset.texts[row], reading, config.space) for row, reading in zip(rows, readings, strict=True)]

    trained_errors = missed(trained)
    min_missed, best, best_share = sum(trained_errors), trained, 0.0
    for share in _START_SHARES:
        mean = ultralytics.write_interpolated(trained, start, share, config.symbols, mean_path(share))
        mean_errors = missed(mean)
        if sum(mean_errors) < min_missed and gains_beyond_chance(trained_errors, mean_errors):
            min_missed, best, best_share = sum(mean_errors), mean, share
    for share in _START_SHARES:
        if share != best_share:
            mean_path(share).unlink()
    return best, best_share


def _missed(label: str, reading: Reading, space: str) -> float:
    """Symbols that are wrong, and of the right ones how much they lack of sure, squared, as a Brier score has it.

    A dozen validation pictures have too few mistakes to tell good weights from better ones: how sure the right symbols
    are tells.
    """
    uncertainty = sum(
        (1 - character.confidence) ** 2
        for character, is_correct in zip(reading.characters, right_characters(label, reading, space), strict=True)
        if is_correct
    )
    return score_texts([label], [reading.shown_text], space).errors + uncertainty


def _read_letterboxed(
    network: ultralytics.TorchNetwork, config: ReadingConfig, dataset: TextDataset, rows: Sequence[int]
) -> list[Reading]:
    """Read these pictures of a set with a network, in one pass."""
    width, readings = float(dataset.shape_hw[1]), list[Reading]()
    for batch in chunked(rows, MAX_BATCH):
        batch_detections = network(dataset.images[list(batch)])
        decoded = decode_batch(batch_detections, config, [width] * len(batch_detections))
        readings += [
            replace(reading, evidence=Evidence(detections, width, lambda boxes: boxes))
            for reading, detections in zip(decoded, batch_detections, strict=True)
        ]
    return readings


def calibrated(weights: Path, validation: Validation) -> tuple[ReadingConfig, TextScore]:
    """Fit passes, look-alikes, string model and calibration on a split that was not learnt, and return the config.

    A second pass is for text that is small in its pictures. It is used where one pass gets symbols wrong, and two get
    no more of them wrong, or only as many more as chance may make. A string model is learnt from the labels of the
    training split, and kept where no more symbols are wrong with it. Which symbols the network takes for others is
    measured, and kept where a string model reads no worse by it than by the shipped weights' look-alikes.

    Args:
        weights: of the network.
        validation: to fit to.

    Returns:
        The config, and how what was read compares with the labels.

    Raises:
        DatasetError: if the split is empty or damaged, or the config names no shape.
    """
    from detector.networks import ultralytics

    config, dataset = _as_trained(validation.config), validation.dataset()
    network = ultralytics.TorchNetwork.open(weights, pick_device(validation.device))

    def judged(config: ReadingConfig, readings: Sequence[Reading]) -> _Choice:
        score = score_texts(dataset.texts, [reading.shown_text for reading in readings], config.space)
        return _Choice(config, readings, score)

    one_pass = judged(config, _read_letterboxed(network, config, dataset, range(len(dataset))))
    two_pass_reader = ReadingPipeline(network, config, two_pass=True, keeps_evidence=True)
    two_pass_readings: list[Reading] = []
    for paths in chunked(dataset.im_files, MAX_BATCH):
        two_pass_readings += two_pass_reader([read_image(path) for path in paths])
    two_pass = judged(replace(config, two_pass=True), two_pass_readings)
    best = two_pass if two_pass.score.errors < one_pass.score.errors + math.sqrt(one_pass.score.errors) else one_pass
    labels = [row.text for row in validation.characters.rows("train")[0]]
    lookalikes = measured_lookalikes(best.readings, dataset.texts, config.symbols)
    model = fit_string_model_to_labels(labels, config.symbols) if config.pattern is None else None
    if model is None:  # readings are the same: look-alikes are for folders that tell what their strings look like
        best = replace(best, config=replace(best.config, lookalikes=lookalikes))
    else:
        model_config = replace(best.config, string_model=model)
        by_model = judged(model_config, decode_again(best.readings, model_config))
        own_readings = _decoded_by_own_lookalikes(best.readings, dataset.texts, model_config)
        by_own = judged(replace(model_config, lookalikes=lookalikes), own_readings)
        by_model = by_own if by_own.score.errors <= by_model.score.errors else by_model
        if by_model.score.errors <= best.score.errors:
            log.info("strings look like %s (A is a letter, 9 a digit, X either): %s wrong with that, %d without", model,
                     counted(by_model.score.errors, "symbol"), best.score.errors)  # fmt: skip
            best = by_model
    calibration = fit_calibration(best.readings, dataset.texts, config.space)
    return replace(best.config, calibration=calibration), best.score


@dataclass(frozen=True)
class _Choice:
    """A config, what is read of a split with it, and how that compares with the labels."""

    config: ReadingConfig
    readings: Sequence[Reading]
    score: TextScore


def _as_trained(config: ReadingConfig) -> ReadingConfig:
    """Without what :func:`calibrated` adds."""
    return replace(config, calibration=None, two_pass=False, string_model=None, lookalikes=None)


def _decoded_by_own_lookalikes(
    readings: Sequence[Reading], labels: Sequence[str], config: ReadingConfig
) -> list[Reading]:
    """Decode the readings again, each half of them by look-alikes that are measured on the other half."""
    decoded = list(readings)
    for half in range(2):
        others, rows = slice(1 - half, None, 2), slice(half, None, 2)
        lookalikes = measured_lookalikes(readings[others], labels[others], config.symbols)
        decoded[rows] = decode_again(readings[rows], replace(config, lookalikes=lookalikes))
    return decoded
