# ruff: noqa: E501  # tables of pieces, a piece a line
"""Valid files that a fuzzer begins with, one of every kind that the package reads; no command."""

from __future__ import annotations

import io
import json
import random
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from detector.conversion.review import ReviewRow
from detector.data.sets.yolo_dataset import ManifestRow, RejectRow, format_labels, write_descriptions, write_tables
from detector.data.text_files import write_csv
from detector.text.reading_config import ReadingConfig

TEXTS = ("AB12CD34", "XY98ZW76", "K7", "0042", "HELLO", "51F88270")
NAMES = tuple(f"p{number}.png" for number in range(len(TEXTS)))
"""Names of the pictures that label files list; TEXTS are their labels."""


def _picture(text: str, size_wh: tuple[int, int] = (160, 40)) -> Image.Image:
    """Draw the bits of a text as bars on a bright ground, which needs no font."""
    rng = np.random.default_rng(len(text))
    width, height = size_wh
    pixels = rng.integers(170, 256, (height, width, 3), dtype=np.uint8)
    for index, bit in enumerate("".join(f"{ord(symbol):08b}" for symbol in text)):
        left = 8 + index * (width - 16) // (8 * len(text))
        pixels[8 : height - 8, left : left + 2] = 30 if bit == "1" else 140
    return Image.fromarray(pixels)


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@cache
def pictures() -> dict[str, tuple[bytes, ...]]:
    """Return files of each format, by suffix."""
    image, second_image = _picture(TEXTS[0]), _picture(TEXTS[1])
    grey, transparent = image.convert("L"), image.copy()
    transparent.putalpha(grey)
    grey_16_bit = Image.fromarray(np.asarray(grey, np.uint16) * 257)
    palette = image.convert("P", palette=Image.Palette.ADAPTIVE)
    exif = Image.Exif()
    exif[0x112] = 6
    frames = {"save_all": True, "append_images": [second_image]}
    return {
        ".jpg": (
            _saved(image, "JPEG"), _saved(grey, "JPEG"), _saved(image, "JPEG", progressive=True, quality=90),
            _saved(image.convert("CMYK"), "JPEG"), _saved(image, "JPEG", exif=exif, subsampling=0),
            _saved(image, "JPEG", restart_marker_blocks=2), _saved(image, "JPEG", restart_marker_rows=1, progressive=True),
        ),
        ".png": (
            _saved(image, "PNG"), _saved(grey, "PNG"), _saved(transparent, "PNG"), _saved(grey_16_bit, "PNG"),
            _saved(palette, "PNG", transparency=1), _saved(image, "PNG", exif=exif), _saved(grey.convert("1"), "PNG"),
        ),
        ".bmp": (_saved(image, "BMP"), _saved(grey, "BMP"), _saved(palette, "BMP"), _saved(grey.convert("1"), "BMP")),
        ".tif": (
            _saved(image, "TIFF"), _saved(image, "TIFF", compression="tiff_lzw"), _saved(grey_16_bit, "TIFF"),
            _saved(image, "TIFF", compression="tiff_adobe_deflate"), _saved(image, "TIFF", compression="jpeg"),
            _saved(grey.convert("1"), "TIFF", compression="group4"), _saved(image.convert("CMYK"), "TIFF", **frames),
        ),
        ".webp": (_saved(image, "WEBP"), _saved(transparent, "WEBP", lossless=True), _saved(image, "WEBP", **frames)),
        ".gif": (_saved(image, "GIF"), _saved(grey, "GIF", **frames), _saved(palette, "GIF", transparency=1)),
        ".ppm": (_saved(image, "PPM"), _saved(grey, "PPM"), _saved(grey.convert("1"), "PPM"), _plain_ppm(grey)),
    }  # fmt: skip


def _plain_ppm(grey: Image.Image) -> bytes:
    rows = "\n".join(" ".join(map(str, row)) for row in np.asarray(grey).tolist())
    return f"P2\n# written\n{grey.width} {grey.height}\n255\n{rows}\n".encode()


@cache
def clean_picture(number: int) -> bytes:
    """Return a valid PNG with the text of that number."""
    return _saved(_picture(TEXTS[number]), "PNG")


# --- labels --------------------------------------------------------------------------------------------------------


def _boxes(text: str) -> list[tuple[str, int, int, int, int]]:
    """Return (symbol, x1, y1, x2, y2) for each symbol of a text, in pixels."""
    return [(symbol, 8 + 16 * index, 8, 22 + 16 * index, 32) for index, symbol in enumerate(text)]


def _coco(texts: bool) -> str:
    symbols = sorted({symbol for text in TEXTS for symbol in text})
    images = [{"id": i, "file_name": name, "width": 160, "height": 40} for i, name in enumerate(NAMES)]
    marks = [
        {"id": 100 * i + j, "image_id": i, "category_id": symbols.index(symbol), "bbox": [x1, y1, x2 - x1, y2 - y1]}
        for i, text in enumerate(TEXTS)
        for j, (symbol, x1, y1, x2, y2) in enumerate(_boxes(text))
    ]
    records = [{"id": i, "image_id": i, "category_id": 0, "text": text} for i, text in enumerate(TEXTS)]
    categories = [{"id": i, "name": name} for i, name in enumerate(symbols)]
    return json.dumps({"images": images, "annotations": records if texts else marks, "categories": categories})


def _label_studio() -> dict[str, str]:
    tasks = [
        {"id": i, "data": {"ocr": f"/data/upload/1/{name}"},
         "annotations": [{"result": [{"value": {"text": [text]}, "type": "textarea"}], "was_cancelled": False}]}
        for i, (name, text) in enumerate(_pairs())
    ]  # fmt: skip
    short_records = [{"id": i, "ocr": f"/data/upload/1/{n}", "text": t, "annotation_id": i, "lead_time": 1.5} for i, (n, t) in
             enumerate(_pairs())]  # fmt: skip
    rows = "".join(f"{i},/data/upload/1/{name},{text},{i},1.5\n" for i, (name, text) in enumerate(_pairs()))
    return {
        "tasks": json.dumps(tasks), "short": json.dumps(short_records),
        "table": f"id,ocr,text,annotation_id,lead_time\n{rows}",
    }  # fmt: skip


def _pairs() -> list[tuple[str, str]]:
    return list(zip(NAMES, TEXTS, strict=True))


def _table(delimiter: str, header: str = "image,text") -> str:
    rows = "".join(f"{name}{delimiter}{text}\n" for name, text in _pairs())
    return (header.replace(",", delimiter) + "\n" if header else "") + rows


@cache
def label_files() -> dict[str, Mapping[str, str]]:
    """Return the label files of the pictures :data:`NAMES` by format: the text of each file by its name."""
    symbols = sorted({symbol for text in TEXTS for symbol in text})
    studio = _label_studio()
    corners = "".join(f"{name},{','.join(map(str, box))}\n" for name, text in _pairs() for box in _boxes(text))
    marks = [[{"transcription": text, "points": [[0, 0], [9, 0], [9, 9], [0, 9]]}] for text in TEXTS]
    voc_objects = [
        "".join(
            f"<object><name>{symbol}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
            "</bndbox></object>\n"
            for symbol, x1, y1, x2, y2 in _boxes(text)
        )
        for text in TEXTS
    ]
    yolo_lines = [
        "".join(
            f"{symbols.index(symbol)} {(x1 + x2) / 320:.4f} {(y1 + y2) / 80:.4f} {(x2 - x1) / 160:.4f} {(y2 - y1) / 40:.4f}\n"
            for symbol, x1, y1, x2, y2 in _boxes(text)
        )
        for text in TEXTS
    ]
    stems = [name.removesuffix(".png") for name in NAMES]
    names = "".join(f"  {i}: '{symbol}'\n" for i, symbol in enumerate(symbols))
    return {
        "csv": {"labels.csv": _table(",")},
        "csv, quoted": {"labels.csv": "image,text\n" + "".join(f'"{name}","{text}"\n' for name, text in _pairs())},
        "csv, no header": {"labels.csv": _table(",", "")},
        "csv, sep=": {"labels.csv": "sep=;\n" + _table(";")},
        "csv, two files": {"train.csv": _table(","), "val.csv": _table(",")},
        "csv, ids": {"labels.csv": "Id,Label\n" + "".join(f"{s},{t}\n" for s, t in zip(stems, TEXTS, strict=True))},
        "csv, JSON in it": {"metadata.csv": "file_name,ground_truth\n" + "".join(
            f'{name},"{{""gt_parse"": {{""text_sequence"": ""{text}""}}}}"\n' for name, text in _pairs())},
        "tsv": {"labels.tsv": _table("\t")},
        "table in txt": {"labels.txt": _table("\t", "image,text")},
        "json, map": {"labels.json": json.dumps(dict(_pairs()))},
        "json, list": {"labels.json": json.dumps([{"image": name, "text": text} for name, text in _pairs()])},
        "json, pairs": {"labels.json": json.dumps(_pairs())},
        "json, columns": {"labels.json": json.dumps({"image": NAMES, "text": TEXTS})},
        "json, MMOCR": {"labels.json": json.dumps({"metainfo": {}, "data_list": [
            {"img_path": name, "instances": [{"text": text}]} for name, text in _pairs()]})},
        "jsonl": {"metadata.jsonl": "".join(json.dumps({"file_name": n, "text": t}) + "\n" for n, t in _pairs())},
        "jsonl, donut": {"metadata.jsonl": "".join(json.dumps(
            {"file_name": n, "ground_truth": json.dumps({"gt_parse": {"text": t}})}) + "\n" for n, t in _pairs())},
        "paddleocr": {"rec_gt.txt": _table("\t", "")},
        "paddleocr, several": {"rec_gt.txt": f'["{NAMES[0]}", "{NAMES[1]}"]\t{TEXTS[0]}\n{NAMES[2]}\t{TEXTS[2]}\n'},
        "ppocrlabel": {"Label.txt": "".join(f"{n}\t{json.dumps(m)}\n" for n, m in zip(NAMES, marks, strict=True))},
        "dddd": {"labels.txt": _table("\t", "")},
        "spaced": {"annotations.txt": _table(" ", "")},
        "boxes": {"_annotations.csv": "filename,class,xmin,ymin,xmax,ymax\n" + corners},
        "coco": {"_annotations.coco.json": _coco(False)},
        "coco, texts": {"coco.json": _coco(True)},
        "label-studio": {"project.json": studio["tasks"]},
        "label-studio, short": {"project.json": studio["short"]},
        "label-studio, csv": {"project.csv": studio["table"]},
        "cvat": {"annotations.xml": '<?xml version="1.0"?>\n<annotations>\n' + "".join(
            f'<image name="{name}">' + "".join(
                f'<box label="{symbol}" xtl="{x1}" ytl="{y1}" xbr="{x2}" ybr="{y2}"/>' for symbol, x1, y1, x2, y2 in _boxes(text)
            ) + "</image>\n" for name, text in _pairs()) + "</annotations>\n"},
        "via": {"via.json": json.dumps({name: {"filename": name, "file_attributes": {}, "regions": [
            {"shape_attributes": {"name": "rect", "x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1},
             "region_attributes": {"char": symbol}} for symbol, x1, y1, x2, y2 in _boxes(text)]} for name, text in _pairs()})},
        "labelme": {f"{stem}.json": json.dumps({"version": "5.5.0", "shapes": [
            {"label": symbol, "points": [[x1, y1], [x2, y2]], "shape_type": "rectangle"}
            for symbol, x1, y1, x2, y2 in _boxes(text)]}) for stem, text in zip(stems, TEXTS, strict=True)},
        "gt-txt": {f"{stem}.gt.txt": f"{text}\n" for stem, text in zip(stems, TEXTS, strict=True)},
        "txt": {f"{stem}.txt": f"{text}\n" for stem, text in zip(stems, TEXTS, strict=True)},
        "voc": {f"{stem}.xml": f"<annotation>\n{text}</annotation>\n" for stem, text in zip(stems, voc_objects, strict=True)},
        "yolo": {**{f"{stem}.txt": text for stem, text in zip(stems, yolo_lines, strict=True)}, "data.yaml": f"names:\n{names}"},
        "yolo, classes.txt": {
            **{f"{stem}.txt": text for stem, text in zip(stems, yolo_lines, strict=True)}, "classes.txt": "\n".join(symbols)
        },
    }  # fmt: skip


# --- patterns ------------------------------------------------------------------------------------------------------

PATTERNS = (
    "AAA9A99", "AAA9999|AAA9A99", "99-A9 99999", "XXXXXXXX", "AA 99 AAA", "A|9|AA99",
    "regex:[A-Z]{3}[0-9][A-Z0-9][0-9]{2}", "regex:(AB|CD)+\\d*", "regex:[^IO]{2,8}", "regex:A?B*C+D{2}E{1,}F{0,3}",
    "regex:((A{0,9}){0,9}){0,9}", "regex:.*", "regex:\\w+\\s\\d", "regex:(?:AB)?(C|D|)",
)  # fmt: skip

_PIECES = ("A", "9", "X", " ", "|", "-", "(", ")", "(?:", "[", "[^", "]", "A-Z", "0-9", "Z-A", "\\d", "\\w", "\\s", "\\", ".",
           "?", "*", "+", "{2}", "{0,9}", "{3,}", "{9,1}", "{,3}", "{99}", "{0,99}", "{", "}", "^", "$", "ß", "\u0301", "regex:",
           "B", "7", "(A|B|C)", "(.{0,9}){0,9}", "(A*)*", "((A|B)*C?){0,9}")  # fmt: skip


def new_pattern(rng: random.Random) -> str:
    """Return a pattern of random pieces; most of them are not valid."""
    body = "".join(rng.choice(_PIECES) for _ in range(rng.choice((1, 3, 8, 20, 200))))
    return ("regex:" if rng.random() < 0.8 else "") + body


# --- converted sets ------------------------------------------------------------------------------------------------

DANGERS = (
    "download: touch {marker}\n", "download: |\n  import os; os.system('touch {marker}')\n",
    "x: !!python/object/apply:os.system ['touch {marker}']\n", "names: !!python/object/new:os.system ['touch {marker}']\n",
    "path: /etc\n", "train: /etc\n", "val: ../../..\n", "yaml_file: {marker}\n", "names: &a [*a, *a]\n", "detector: 1\n",
    "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
    "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"
    "g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: &h [*g,*g,*g,*g,*g,*g,*g,*g,*g]\ndetector: {{length: *h}}\n",
)  # fmt: skip
"""Lines of a data.yaml that run a command, point elsewhere, or expand; a command would write the file ``marker``."""


@cache
def set_files() -> Mapping[str, bytes]:
    """Return the files of a converted set but its pictures, by name."""
    config = ReadingConfig(shape_hw=(40, 160), pattern="XXXXXXXX|XXXX|XXXXX|XX")
    images = [f"images/{'val' if number == 0 else 'train'}/{name}" for number, name in enumerate(NAMES)]
    rows = [
        ManifestRow(name, image, text, image.split("/")[1], "detected 3", "0.99", "ok")
        for name, image, text in zip(NAMES, images, TEXTS, strict=True)
    ]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_tables(root, rows, [RejectRow("no.png", "no such file: no.png"), RejectRow('a\r"b.png', "empty")])
        write_descriptions(root, root, config, {"train": images[1:], "val": images[:1]})
        write_csv(root / "review.csv", ReviewRow._fields, [
            ReviewRow(NAMES[1], TEXTS[1], "AB", "0.4", "suspect", "correct", "XY"), ReviewRow(NAMES[2], TEXTS[2]),
            ReviewRow(NAMES[3], TEXTS[3], decision="drop"), ReviewRow(NAMES[4], TEXTS[4], decision="accept"),
        ])  # fmt: skip
        boxes = np.array([box[1:] for box in _boxes(TEXTS[1])])
        (root / "labels.txt").write_text(format_labels(range(len(boxes)), boxes, 160, 40), encoding="ascii")
        return {path.name: path.read_bytes() for path in root.iterdir()}
