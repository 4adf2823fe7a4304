"""What docs/formats.md says of darknet, held against darknet's own rules.

They are those of its source: ``read_data_cfg`` (option_list.c), ``get_paths`` (data.c), ``replace_image_to_label``
(utils.c), ``read_boxes`` (data.c) and ``parse_yolo`` (parser.c) of AlexeyAB's darknet, utils.cpp of hank-ai's, and
data.c of the original one.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from detector.data.sets.yolo_dataset import format_labels, write_descriptions
from detector.text.reading_config import ReadingConfig
from tests.builders import write_pictures

SECTION = (
    (Path(__file__).parents[2] / "docs" / "formats.md")
    .read_text(encoding="utf-8")
    .split("## YOLOv4 in darknet")[1]
    .split("\n## ")[0]
)
LINKS, CFG = re.findall(r"```bash\n(.*?)```", SECTION, re.DOTALL)
SYMBOLS = "0A#Ä京"
TEXTS = {"train": {"a.png": "0A", "b.b.jpg": "#", "c.jpeg": "Ä京0"}, "val": {"d.bmp": "A"}}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the commands are those of GNU")


def by_alexey(image: str) -> str:
    for folder in ("train2017", "val2017", "train2014", "val2014"):
        image = image.replace(f"/images/{folder}/", f"/labels/{folder}/", 1)
    image = image.replace("/JPEGImages/", "/labels/", 1).strip(" \t")
    for ending in (".jpg", ".JPG", ".jpeg", ".JPEG", ".png", ".PNG", ".bmp", ".BMP", ".ppm", ".PPM", ".tiff", ".TIFF"):
        image = image.removesuffix(ending) + ".txt" if image.endswith(ending) else image
    return image


def by_hank_ai(image: str) -> str:
    return image.rpartition(".")[0] + ".txt"


def by_the_original(image: str) -> str:
    for old, new in (("images", "labels"), ("JPEGImages", "labels"), ("raw", "labels")):
        image = image.replace(old, new, 1)
    for ending in (".jpg", ".png", ".JPG", ".JPEG"):
        image = image.replace(ending, ".txt", 1)
    return image


def data_cfg(path: Path) -> dict[str, str]:
    """Blanks are taken out of each line, wherever they are."""
    lines = [re.sub(r"[ \t\r\n]", "", line) for line in path.read_text(encoding="utf-8").splitlines()]
    return dict(line.split("=", 1) for line in lines if line and line[0] not in "#;")  # type: ignore[misc]


def labels_found(obj_data: Path, label_of: Callable[[str], str]) -> dict[str, dict[str, str]]:
    """By split and picture, the symbols of the labels that darknet reads for it."""
    options = data_cfg(obj_data)
    names = Path(options["names"]).read_text(encoding="utf-8").split("\n")[:-1]
    assert len(names) == int(options["classes"])
    found: dict[str, dict[str, str]] = {}
    for split, key in (("train", "train"), ("val", "valid")):
        images = Path(options[key]).read_text(encoding="utf-8").split("\n")[:-1]
        assert all(Path(image).is_file() for image in images)
        found[split] = {}
        for image in images:
            rows = [line.split() for line in Path(label_of(image)).read_text(encoding="ascii").splitlines()]
            assert all(0 < float(x) < 1 and 0 < float(y) < 1 and 0 < float(w) <= 1 for _, x, y, w, _ in rows)
            found[split][Path(image).name] = "".join(names[int(row[0])] for row in rows)
    return found


def toy_set(root: Path) -> Path:
    for split, texts in TEXTS.items():
        write_pictures(root / "images" / split, texts, (48, 16))
        (root / "labels" / split).mkdir(parents=True)
        for name, text in texts.items():
            lefts = np.arange(len(text), dtype=np.float32)[:, None] * 12
            boxes_xyxy = lefts * [1, 0, 1, 0] + np.array([2, 2, 12, 14], np.float32)
            rows = format_labels([SYMBOLS.index(symbol) for symbol in text], boxes_xyxy, 48, 16)
            (root / "labels" / split / f"{Path(name).stem}.txt").write_text(rows, encoding="ascii")
    images = {split: [f"images/{split}/{name}" for name in texts] for split, texts in TEXTS.items()}
    write_descriptions(root, root.resolve(), ReadingConfig(SYMBOLS), images)
    return root


def run(block: str, folder: Path) -> None:
    subprocess.run(["bash", "-euc", block], cwd=folder, check=True)


def test_the_original_darknet_trains_on_the_set_as_it_is(tmp_path: Path) -> None:
    root = toy_set(tmp_path / "datasets" / "plates")
    known = {
        split: {n: t for n, t in texts.items() if n != "c.jpeg" and n != "d.bmp"} for split, texts in TEXTS.items()
    }
    for split, texts in known.items():
        (root / f"{split}.txt").write_text("".join(f"{root}/images/{split}/{name}\n" for name in texts))
    assert labels_found(root / "obj.data", by_the_original) == known


@pytest.mark.parametrize("label_of", [by_alexey, by_hank_ai])
def test_the_folder_of_links_is_what_yolov4_trains_on(tmp_path: Path, label_of: Callable[[str], str]) -> None:
    root = toy_set(tmp_path / "datasets" / "plates")
    run(LINKS, tmp_path)
    assert labels_found(tmp_path / "plates-darknet" / "obj.data", label_of) == TEXTS
    assert Path(data_cfg(tmp_path / "plates-darknet" / "obj.data")["backup"]) == tmp_path / "plates-darknet"
    assert (tmp_path / "plates-darknet/train/a.png").samefile(root / "images/train/a.png"), "no room is taken"


HEAD = """
[convolutional]
batch_normalize=1
filters=512
size=3
activation=leaky

[convolutional]
size=1
filters=255
activation=linear

[yolo]
mask = 3,4,5
classes=80
num=6
"""
TINY = f"""[net]
# width=1
batch=64
width=416
height=416
channels=3

burn_in=1000
max_batches = 2000200
policy=steps
steps=1600000,1800000
scales=.1,.1
{HEAD}
[route]
layers = -4
{HEAD}"""


def sections(path: Path) -> list[tuple[str, dict[str, str]]]:
    """As ``read_cfg`` does; of a key that is there twice, darknet takes the first."""
    read: list[tuple[str, dict[str, str]]] = []
    for line in (re.sub(r"\s", "", line) for line in path.read_text(encoding="ascii").splitlines()):
        if line.startswith("["):
            read.append((line, {}))
        elif line and line[0] not in "#;":
            key, value = line.split("=", 1)
            read[-1][1].setdefault(key, value)
    return read


@pytest.mark.parametrize(
    ("symbols", "batches"), [("AB", 6000), (SYMBOLS, 10_000), ("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", 72_000)]
)
def test_the_cfg_fits_the_set(tmp_path: Path, symbols: str, batches: int) -> None:
    (tmp_path / "plates-darknet").mkdir()
    (tmp_path / "plates-darknet" / "obj.names").write_text("".join(f"{s}\n" for s in symbols), encoding="utf-8")
    (tmp_path / "yolov4-tiny.cfg").write_text(TINY, encoding="ascii")
    run(LINKS.splitlines()[0] + "\n" + CFG, tmp_path)
    read = sections(tmp_path / "plates-darknet" / "yolov4-tiny.cfg")
    net = read[0][1]
    assert (net["width"], net["height"], net["flip"], net["mosaic"]) == ("256", "64", "0", "0")
    assert net["max_batches"] == str(batches)
    assert net["steps"] == f"{batches * 8 // 10},{batches * 9 // 10}"
    heads = [(before, own) for (_, before), (kind, own) in pairwise(read) if kind == "[yolo]"]
    assert len(heads) == 2
    for before, own in heads:
        assert int(own["classes"]) == len(symbols)
        assert int(before["filters"]) == len(own["mask"].split(",")) * (int(own["classes"]) + 5), (
            "parse_yolo refuses it"
        )
    assert sum(own.get("filters") == "512" for _, own in read) == 2, "other layers stay"
