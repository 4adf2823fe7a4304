"""Write trained weights into the package, with their scores and a README; tools/README.md has the whole recipe.

    python tools/weights/ship_weights.py STORE DETECTOR.pt [--weights-dir detector/networks/weights]
        [--detector-args "--pictures 600000 --seed 0"]

Writes detector.pt, detector.onnx and README.md. --detector-args, the arguments of the training, are only recorded. The
score is exact match on 1,000 held-out pictures of the store; confidences are calibrated on another 1,000.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from detector import Reader, Reading
from detector.data.atomic import atomic_write
from detector.networks import ultralytics
from detector.reading.export import export
from detector.text.calibration import fit_calibration
from detector.text.metrics import TextScore, score_texts
from detector.text.reading_config import ReadingConfig
from detector.text.spacing import TextLayout
from tools.results import ROOT
from tools.weights.synth_store import HELD_OUT, Store

SCORED = 1000
BATCH = 50
MAX_MB = 12.0  # of all files together
LAYOUT = TextLayout(lines=2, lowest_line=0.6, stacked=True)
"""Plates have one line or two; much smaller text above or below them is the name of a state or a slogan."""

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Shipped:
    """Figures of the shipped detector.

    Args:
        score: on held-out artificial pictures.
        megabytes, onnx_megabytes: size of the .pt and of the .onnx.
        parameters: of the network.
        pictures: that it was trained on.
    """

    score: TextScore
    megabytes: float
    onnx_megabytes: float
    parameters: int
    pictures: int


def held_out_pictures(store: Path, start: int = 0) -> tuple[Images, list[str]]:
    """Return held-out pictures of a store from number ``start`` on, uint8 (SCORED, H, W, 3), and their texts."""
    pictures = Store.open(store)
    images, texts = pictures.images[pictures.scored], pictures.texts[pictures.scored]
    return np.array(images[start : start + SCORED]), [str(t) for t in texts[start : start + SCORED]]


def read_pictures(detector_pt: Path, images: Images) -> list[Reading]:
    """Read pictures with weights, as `Reader()` does."""
    return [reading for reading in Reader(detector_pt, device="cpu").read_many(images) if isinstance(reading, Reading)]


def store_in_half(path: Path) -> None:
    """Store the weights of an ONNX file in half precision, as in the ``.pt``; a runtime converts them once."""
    model = onnx.load(path)
    casts = []
    for tensor in list(model.graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size >= 256:
            stored = numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}.half")
            casts.append(onnx.helper.make_node("Cast", [stored.name], [tensor.name], to=onnx.TensorProto.FLOAT))
            model.graph.initializer.remove(tensor)
            model.graph.initializer.append(stored)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    with atomic_write(path) as part:
        onnx.save(model, part)


def parameters_of(path: Path) -> int:
    """Count the parameters of the network in a checkpoint that this project wrote."""
    checkpoint = torch.load(path, map_location="cpu", weights_only=False)
    return sum(p.numel() for p in checkpoint["model"].parameters())


def drawing_options(store: Path) -> str:
    """Return the options of synth_store.py that a store was drawn with, without its path and number of processes."""
    config = json.loads((store / "config.json").read_text(encoding="utf-8"))
    config |= {"digits": "DIGITS"} if "digits" in config else {}  # a placeholder for the folder
    return " ".join(f"--{key.replace('_', '-')} {config[key]}" for key in config if key not in ("out", "workers"))


def readme(shipped: Shipped, scored: str, stores: Sequence[Path], arguments: str, mean: str) -> str:
    """Return README.md of the weights' folder.

    Args:
        shipped: figures of the detector.
        scored: options of synth_store.py for the store with the held-out pictures.
        stores: that were trained on, if others.
        arguments: of train_detector.py.
        mean: options of ship_weights.py for the interpolation of weights.
    """
    names = " ".join(store.name.upper() for store in stores) or "STORE"
    commands = [
        f"python tools/weights/synth_store.py {store.name.upper()} {drawing_options(store)}" for store in stores
    ]
    commands = commands or [f"python tools/weights/synth_store.py STORE {scored}"]
    drawing = "\n".join(commands)
    return f"""# Shipped weights

They read texts of 1 to {ReadingConfig().length} of the 36 symbols `{ReadingConfig().symbols}`, in one line or two. They
were trained on artificial pictures only; none was photographed. The characters are drawn with fonts and strokes, except
for handwritten digits, which are MNIST's, joined into numbers. A class of its own stands for characters of other
alphabets: readers ignore it, and `convert` finds unknown symbols by it.

| file | what it is | parameters | MB | trained on | exact match, {SCORED:,} artificial pictures held back |
|---|---|---|---|---|---|
| `detector.pt` | detects characters: `Reader()` reads with it, `convert` locates with it, `train` starts from it \
| {shipped.parameters:,} | {shipped.megabytes:.2f} | {shipped.pictures:,} pictures | {_share(shipped.score)} |

`detector.onnx`, {shipped.onnx_megabytes:.2f} MB, is `detector.pt` exported, for reading on a CPU without torch. It
reads the same strings, and is not used beside another `detector.pt`.

Training never draws the last {HELD_OUT:,} pictures of a store (SCORED below). The first {SCORED:,} of them are
scored here; on the others the confidences are calibrated, so they hold for pictures like the artificial ones.

## How they were made

```sh
python tools/weights/written_digits.py DIGITS
{drawing}
{f"python tools/weights/train_detector.py {names} DETECTOR.pt {arguments}".rstrip()}
python tools/weights/synth_store.py SCORED {scored}
python tools/weights/ship_weights.py SCORED DETECTOR.pt{mean}
```

`tools/README.md` explains each step. Another number of threads sums in another order, so a rerun gives weights that are
as good, not the same bytes.

## Licence

AGPL-3.0-or-later, as the whole project. The characters were drawn with the fonts of the Debian packages listed in
`tools/weights/fonts.txt`, each under its own free licence (`/usr/share/doc/PACKAGE/copyright`), and of the npm
packages listed in `tools/weights/web_fonts.txt`, all under the SIL Open Font License 1.1. The fonts were only
rendered: no font file, outline or part of one is in these weights or in this repository. MNIST (Yann LeCun, Corinna
Cortes, Christopher Burges) is made from Special Databases 1 and 3 of NIST, which are in the public domain; its authors
offer it under Creative Commons Attribution-Share Alike 3.0. None of its pictures is in the weights or in this
repository, either.
"""


def _share(score: TextScore) -> str:
    low, high = score.interval
    return f"{score.exact_match:.1%} ({low:.1%} to {high:.1%}); CER {score.cer:.2%}"


def write_and_score(args: argparse.Namespace) -> Shipped:
    """Write detector.pt, calibrated, and detector.onnx, and score them."""
    pictures = _pictures(args.detector)  # fails before anything is written
    images, texts = held_out_pictures(args.store)
    calibration_images, labels = held_out_pictures(args.store, SCORED)
    args.weights_dir.mkdir(parents=True, exist_ok=True)
    target = args.weights_dir / "detector.pt"
    config = ReadingConfig(layout=LAYOUT)
    facts: dict[str, Any] = {
        "trained_on": "artificial pictures", "arguments": args.detector_args, "pictures": f"{pictures:,}"
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        detector = args.detector
        if args.before is not None:
            mean = Path(folder) / "mean.pt"
            detector = ultralytics.write_interpolated(
                args.detector, args.before, args.before_share, config.symbols, mean
            )
        ultralytics.publish(detector, target, config, facts)
        config = replace(config, calibration=fit_calibration(read_pictures(target, calibration_images), labels))
        ultralytics.publish(detector, target, config, facts)
    store_in_half(export(target))
    return Shipped(
        score_texts(texts, [reading.text for reading in read_pictures(target, images)]), target.stat().st_size / 1e6,
        target.with_suffix(".onnx").stat().st_size / 1e6, parameters_of(target), pictures,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, help="as synth_store.py wrote it")
    parser.add_argument("detector", type=Path, help="as train_detector.py wrote it")
    parser.add_argument("--weights-dir", type=Path, default=ROOT / "detector" / "networks" / "weights")
    parser.add_argument(
        "--detector-args", default="--pictures 600000 --seed 0", help="that train_detector.py was given"
    )
    parser.add_argument(
        "--before",
        type=Path,
        default=None,
        help="the detector that training started from: what is shipped is a mean of both, so that less is unlearnt",
    )
    parser.add_argument("--before-share", type=float, default=0.5, help="of it in that mean")
    parser.add_argument("--trained-on", nargs="+", type=Path, default=[], help="the stores, if those were others")
    parser.add_argument("--note", default="", help="more to say of how they were made, at the end of the README")
    args = parser.parse_args()
    shipped = write_and_score(args)
    total = shipped.megabytes + shipped.onnx_megabytes
    if total > MAX_MB:
        parser.error(f"the weights have {total:.1f} MB together, more than {MAX_MB:g}: train a smaller network.")
    scored = drawing_options(args.store)
    mean = "" if args.before is None else f" --before {args.before} --before-share {args.before_share:g}"
    text = readme(shipped, scored, args.trained_on, args.detector_args, mean)
    text += f"\n{args.note}\n" if args.note else ""
    (args.weights_dir / "README.md").write_text(text, encoding="utf-8")
    print(f"{args.weights_dir / 'detector.pt'}: {shipped.megabytes:.2f} MB, exact match {_share(shipped.score)}")


def _pictures(path: Path) -> int:
    """Return the number of pictures that a checkpoint of train_detector.py was trained on."""
    checkpoint = torch.load(path, map_location="cpu", weights_only=False)
    if "pictures" not in checkpoint:
        raise SystemExit(f"{path} does not say how many pictures it was trained on: it is not train_detector.py's.")
    return int(checkpoint["pictures"])


if __name__ == "__main__":
    main()
