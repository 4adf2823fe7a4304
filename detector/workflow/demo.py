"""The demo: from labelled artificial pictures to a reader, and a sheet of what it reads."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib

from detector.data.folders.owned import OwnedFiles
from detector.data.parallel import Progress
from detector.errors import ArgumentError, DetectorError
from detector.reading.annotate import write_annotated
from detector.reading.evaluation import Evaluation
from detector.reading.reader import Reader
from detector.synth import SynthConfig, write_set
from detector.synth.write_set import file_names
from detector.training.run_folder import check_recordable
from detector.workflow.fit import fit
from detector.workflow.fit_folder import fit_files

UNSEEN = 250
"""Number of pictures that are only read."""

_PAGE, _READER = "read.png", "reader"


@dataclass(frozen=True)
class DemoResult:
    """The results of the demo.

    Args:
        evaluation: of pictures that were not trained on.
        weights: path of the trained weights.
        annotated: path of a sheet of pictures with their readings.
    """

    evaluation: Evaluation
    weights: Path
    annotated: Path


def _config(seed: int) -> SynthConfig:
    """Return a config of codes of 8 symbols on plates and labels, in a few fonts as if from one source."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"  # the same on every machine
    fonts = (folder / "DejaVuSansMono.ttf", folder / "DejaVuSansMono-Bold.ttf")  # tell 0 from O, as codes should
    return SynthConfig(styles=("plate", "label"), spaces=0.25, fonts=fonts, seed=seed)


def demo(
    out: str | os.PathLike[str],
    *,
    pictures: int = 1500,
    epochs: int = 3,
    seed: int = 0,
    say: Callable[[str], None] = print,
    progress: Progress | None = None,
) -> DemoResult:
    """Draw labelled pictures of 8-character codes, convert them, train a reader, and read other pictures.

    Args:
        out: folder to work in; an earlier demo in it is replaced.
        pictures: number of labelled pictures to train on; a quarter of their strings have spaces.
        epochs: of training.
        seed: of drawing, conversion and training.
        say: called with a line of text at each step.
        progress: as for ``convert``.

    Raises:
        ArgumentError: if a number makes no sense.
        DetectorError: if ``out`` holds something else, or its name is not UTF-8.
    """
    if pictures < 1 or epochs < 1 or seed < 0:  # before the earlier demo is gone
        raise ArgumentError(f"pictures and epochs are 1 or more, seed 0 or more, got {pictures}, {epochs} and {seed}.")
    root = Path(out).resolve()
    check_recordable([root])
    owned = _clear_demo(root)
    owned.add(*_names(pictures))  # before they are written, so that a later demo can replace a stopped one
    start = time.perf_counter()

    def stage(text: str) -> None:
        say(f"[{time.perf_counter() - start:4.0f} s] {text}")

    stage(f"making {pictures} labelled pictures, and {UNSEEN} that training never sees")
    write_set(_config(seed), root / "seen", pictures)
    write_set(_config(seed + 1), root / "unseen", UNSEEN)
    stage(f"converting, training for {epochs} epochs, and reading")
    fitted = fit(  # the list, not the folder, which has the true boxes: they must not be used
        root / "seen" / "labels.csv", root / _READER, held_out=root / "unseen", epochs=epochs, train_scale=0.5,
        seed=seed, progress=progress,
    )  # fmt: skip
    reader = Reader(fitted)
    annotated_page = root / _PAGE
    files = sorted((root / "unseen" / "images").iterdir())[:40]
    write_annotated(annotated_page, [(path, reader.read(path)) for path in files])
    owned.seal()
    stage("done")
    return DemoResult(fitted.evaluation, fitted.path, annotated_page)


def _clear_demo(root: Path) -> OwnedFiles:
    """Delete the files of an earlier demo in a folder, and return the folder's list of files, empty now.

    Raises:
        DetectorError: if the folder holds anything else.
    """
    owned = OwnedFiles(root)
    if not root.exists():
        return owned
    if not root.is_dir() or (any(root.iterdir()) and _PAGE not in owned.rows):
        raise DetectorError(f"{root} holds something else than an earlier demo: choose another folder, or delete it.")
    if foreign := owned.others():
        raise DetectorError(
            f"{root} also holds {', '.join(foreign[:5])}, which no demo wrote or which was changed since: move it "
            "elsewhere, or choose another folder."
        )
    owned.delete(keep_root=True)  # the folder may be the working folder
    return owned


def _names(pictures: int) -> list[str]:
    """List all files that a demo writes, but those of the set, which has a list of its own."""
    names = [_PAGE, f"{_READER}.part.lock", *(f"{_READER}/{name}" for name in fit_files(_READER))]
    for folder, count in (("seen", pictures), ("unseen", UNSEEN)):
        names += [f"{folder}/{name}" for name in file_names(count)]
    return names
