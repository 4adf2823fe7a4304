"""Put trained weights into the package, scored and described; see tools/README.md for the whole recipe.

    python tools/weights/ship_weights.py STORE DETECTOR.pt [--weights-dir detector/weights]
        [--detector-args "--pictures 600000 --seed 0"]

Writes detector.pt, detector.onnx and README.md. The arguments with which it was trained are only written down. The
score is exact match on 1,000 pictures of the store that were held back from training; confidences are calibrated on
another 1,000.
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
from tools.weights.synth_store import HELD_BACK, Store

SCORED = 1000
BATCH = 50
MOST_MB = 12.0  # of all files together
LAYOUT = TextLayout(lines=2, lowest_line=0.6, stacked=True)
"""Plates have one line or two; what is written much smaller above or below them is the name of a state or a slogan."""

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Shipped:
    """The detector: how right it reads, how large it is as .pt and as .onnx, how many pictures it was trained on."""

    score: TextScore
    megabytes: float
    onnx_megabytes: float
    parameters: int
    pictures: int


def held_back(store: Path, start: int = 0) -> tuple[Images, list[str]]:
    """Pictures that training never drew, uint8 (SCORED, H, W, 3), and their texts; ``start`` of them are left out."""
    held = Store.open(store)
    images, texts = held.images[held.scored], held.texts[held.scored]
    return np.array(images[start : start + SCORED]), [str(t) for t in texts[start : start + SCORED]]


def read_by(detector_pt: Path, images: Images) -> list[Reading]:
    """What `Reader()` reads with these weights."""
    return [reading for reading in Reader(detector_pt, device="cpu").read_many(images) if isinstance(reading, Reading)]


def store_in_half(path: Path) -> None:
    """Keep the weights of an ONNX file in half precision, as the ``.pt`` has them; a runtime makes them float once."""
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
    """Parameters of the network in a checkpoint of ours."""
    held = torch.load(path, map_location="cpu", weights_only=False)
    return sum(p.numel() for p in held["model"].parameters())


def options(store: Path) -> str:
    """What synth_store.py was given, but for where and with how many processes."""
    held = json.loads((store / "config.json").read_text(encoding="utf-8"))
    held |= {"digits": "DIGITS"} if "digits" in held else {}  # a folder that is elsewhere for others
    return " ".join(f"--{key.replace('_', '-')} {held[key]}" for key in held if key not in ("out", "workers"))


def describe(shipped: Shipped, scored: str, stores: Sequence[Path], arguments: str, mean: str) -> str:
    """README.md of the weights' folder."""
    names = " ".join(store.name.upper() for store in stores) or "STORE"
    drawn = [f"python tools/weights/synth_store.py {store.name.upper()} {options(store)}" for store in stores]
    drawn = drawn or [f"python tools/weights/synth_store.py STORE {scored}"]
    drawing = "\n".join(drawn)
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

Training never draws the last {HELD_BACK:,} pictures of a store (SCORED below). The first {SCORED:,} of them are
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


def ship(args: argparse.Namespace) -> Shipped:
    """Write and score."""
    pictures = _pictures(args.detector)  # before anything is written
    (images, texts), (others, labels) = held_back(args.store), held_back(args.store, SCORED)
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
        config = replace(config, calibration=fit_calibration(read_by(target, others), labels))
        ultralytics.publish(detector, target, config, facts)
    store_in_half(export(target))
    return Shipped(
        score_texts(texts, [reading.text for reading in read_by(target, images)]), target.stat().st_size / 1e6,
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
    shipped = ship(args)
    total = shipped.megabytes + shipped.onnx_megabytes
    if total > MOST_MB:
        parser.error(f"the weights have {total:.1f} MB together, more than {MOST_MB:g}: train a smaller network.")
    scored = options(args.store)
    mean = "" if args.before is None else f" --before {args.before} --before-share {args.before_share:g}"
    said = describe(shipped, scored, args.trained_on, args.detector_args, mean)
    said += f"\n{args.note}\n" if args.note else ""
    (args.weights_dir / "README.md").write_text(said, encoding="utf-8")
    print(f"{args.weights_dir / 'detector.pt'}: {shipped.megabytes:.2f} MB, exact match {_share(shipped.score)}")


def _pictures(trained: Path) -> int:
    """How many pictures a file of train_detector.py was trained on."""
    held = torch.load(trained, map_location="cpu", weights_only=False)
    if "pictures" not in held:
        raise SystemExit(f"{trained} does not say how many pictures it was trained on: it is not train_detector.py's.")
    return int(held["pictures"])


if __name__ == "__main__":
    main()
