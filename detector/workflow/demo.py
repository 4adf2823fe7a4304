"""The whole path on artificial pictures: strings in, reader out, and one picture for the eye."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib

from detector.conversion.inputs import Progress
from detector.data.folders.owned import OwnedFiles
from detector.errors import ArgumentError, DetectorError
from detector.reading.annotate import write_annotated
from detector.reading.evaluation import Evaluation
from detector.reading.reader import Reader
from detector.synth import SynthConfig, write_set
from detector.synth.write_set import file_names
from detector.workflow.fit import fit
from detector.workflow.fit_folder import fit_files

UNSEEN = 250
"""Pictures that are made for reading alone."""

_PAGE, _READER = "read.png", "reader"


@dataclass(frozen=True)
class DemoResult:
    """What the demo made: pictures read and drawn, weights, and how right they read."""

    evaluation: Evaluation
    weights: Path
    annotated: Path


def _config(seed: int) -> SynthConfig:
    """Codes of 8 symbols on plates and labels, as one source of pictures would show them: in a few fonts."""
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
    """Make labelled 8-character pictures, convert, train, and read pictures that were never seen.

    Args:
        out: folder to work in, replaced if it is one of an earlier demo.
        pictures: labelled pictures to learn from; spaces are in a quarter of them.
        epochs: of training.
        seed: of everything.
        say: told what happens.
        progress: as for ``convert``.

    Raises:
        ArgumentError: if a number makes no sense.
        DetectorError: if ``out`` holds something else.
    """
    if pictures < 1 or epochs < 1 or seed < 0:  # before the earlier demo is gone
        raise ArgumentError(f"pictures and epochs are 1 or more, seed 0 or more, got {pictures}, {epochs} and {seed}.")
    root = Path(out).resolve()
    owned = _cleared(root)
    owned.add(*_names(pictures))  # first: what was stopped early is an earlier demo, too
    began = time.perf_counter()

    def stage(text: str) -> None:
        say(f"[{time.perf_counter() - began:4.0f} s] {text}")

    stage(f"making {pictures} labelled pictures, and {UNSEEN} that training never sees")
    write_set(_config(seed), root / "seen", pictures)
    write_set(_config(seed + 1), root / "unseen", UNSEEN)
    stage(f"converting, training for {epochs} epochs, and reading")
    fitted = fit(  # the list, not the folder: its true boxes are not looked at
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


def _cleared(root: Path) -> OwnedFiles:
    """The list of a folder that is empty now: of an earlier demo there, what it wrote is deleted.

    Raises:
        DetectorError: if there is anything else.
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
    owned.delete(keep_root=True)  # its own folder may be where the command runs
    return owned


def _names(pictures: int) -> list[str]:
    """All files that a demo writes; those that have a list of their own are named by that."""
    names = [_PAGE, f"{_READER}.part.lock", *(f"{_READER}/{name}" for name in fit_files(_READER))]
    for folder, count in (("seen", pictures), ("unseen", UNSEEN)):
        names += [f"{folder}/{name}" for name in file_names(count)]
    return names
