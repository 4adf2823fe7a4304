"""From pictures and strings to a set: the tree, the tables, every bad input, splits, refusals."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from detector.conversion.arguments import stored_arguments
from detector.conversion.convert import convert
from detector.conversion.inputs import assign_splits
from detector.conversion.report import ConversionReport
from detector.conversion.set_folder import alone
from detector.conversion.set_writer import SetWriter
from detector.data.images import read_image
from detector.data.labels.sources import read_source
from detector.data.sets.linking import link_or_copy
from detector.data.sets.yolo_dataset import (
    ManifestRow,
    parse_labels,
    read_manifest,
    read_rejects,
    read_set,
)
from detector.errors import DatasetError, DetectorError, DiskFullError, ImageError, NotLearnedError, SourceError
from tests.builders import (
    TOY_LENGTH,
    TOY_OPTIONS,
    TOY_SYMBOLS,
    bad_files,
    encoded,
    iou,
    rotated_by_exif,
    toy_folder,
    toy_synthesizer,
    write_pictures,
    write_shard,
)
from tests.conftest import Toy

OPTIONS: dict[str, Any] = {
    "alphabet": TOY_SYMBOLS,
    "length": TOY_LENGTH,
    "device": "cpu",
}


def rejects(root: Path) -> list[tuple[str, str]]:
    with (root / "rejects.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["source", "reason"]
    return [(name, reason) for name, reason in rows]


def label_of(root: Path, row: ManifestRow) -> Path:
    return root / "labels" / Path(row.image).relative_to("images").with_suffix(".txt")


def labels_of(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted((root / "labels").rglob("*.txt"))}


# The toy set


def test_the_tree(toy: Toy) -> None:
    assert toy.tree == {
        "data.yaml", "images", "labels", "obj.data", "obj.names", "train.txt", "val.txt", "test.txt", "manifest.csv",
        "boxes.csv", "rejects.csv", "report.html", "review.csv", "work", "files.csv",
    }  # fmt: skip
    assert toy.report.data_yaml == toy.root / "data.yaml"
    for split, count in toy.report.splits.items():
        images = {p.stem for p in (toy.root / "images" / split).iterdir()}
        assert images == {p.stem for p in (toy.root / "labels" / split).iterdir()}
        assert len(images) == count
    assert not toy.root.with_name("toy.part").exists()


def test_every_input_is_in_the_manifest(toy: Toy) -> None:
    rows = read_manifest(toy.root)
    assert toy.report.inputs == 60 == len(rows)
    assert (toy.report.converted, toy.report.suspects, toy.report.refused) == (60, 0, 0)
    assert rejects(toy.root) == []
    assert sorted(row.source for row in rows) == sorted(p.name for p in toy.source.iterdir())
    for row in rows:
        assert row.text == row.source.split("-")[0].replace("_", " ")
        assert row.image.startswith(f"images/{row.split}/")
        assert 0.05 <= float(row.confidence) <= 1
        assert (row.method, row.status) == (f"detected {len(row.text.replace(' ', ''))}", "ok")


def test_the_boxes_are_where_the_characters_are(toy: Toy) -> None:
    make = toy_synthesizer()
    overlaps = []
    for row in read_manifest(toy.root):
        ids, boxes = parse_labels(label_of(toy.root, row), 96, 32, len(TOY_SYMBOLS))
        assert "".join(TOY_SYMBOLS[i] for i in ids) == row.text.replace(" ", "")
        true = make(int(row.source.split("-")[1].split(".")[0]))
        overlaps.append(iou(boxes, true.boxes_xyxy))
    assert np.mean(np.concatenate(overlaps) >= 0.6) > 0.95


def test_what_was_explained_is_reported(toy: Toy) -> None:
    assert toy.report.explained == (1.0,), "the shipped detector reads the toy: nothing is trained"


def test_what_readers_need_is_in_data_yaml(toy: Toy) -> None:
    config = read_set(toy.root).config
    assert config == toy.report.config
    counts = [len(row.text.replace(" ", "")) for row in read_manifest(toy.root)]
    assert (config.symbols, config.length, config.min_count, config.max_count) == (
        TOY_SYMBOLS, TOY_LENGTH, min(counts), max(counts),
    )  # fmt: skip
    assert config.layout.kind == "proportional" and config.layout.thresholds  # the toy has spaces inside
    assert toy.report.layout_share > 0.9


def test_pictures_are_hard_links_and_unaltered(toy: Toy) -> None:
    for row in read_manifest(toy.root):
        source, image = toy.source / row.source, toy.root / row.image
        assert image.read_bytes() == source.read_bytes()
        assert image.stat().st_ino == source.stat().st_ino


def test_pictures_are_copied_where_links_cannot_go(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    convert(toy.source, tmp_path / "out", space="_", **OPTIONS)
    for row in read_manifest(tmp_path / "out"):
        source, image = toy.source / row.source, tmp_path / "out" / row.image
        assert image.read_bytes() == source.read_bytes()
        assert image.stat().st_ino != source.stat().st_ino


def test_labels_that_do_not_fit_the_pattern(toy: Toy, tmp_path: Path) -> None:
    report = convert(toy.source, tmp_path / "out", space="_", pattern=r"regex:[^7]+", allow_refused=True, **OPTIONS)
    labels = {p.name: p.name.split("-")[0].replace("_", " ") for p in toy.source.iterdir()}
    refused = dict(rejects(tmp_path / "out"))
    assert refused.keys() == {name for name, label in labels.items() if "7" in label}
    assert all(r == f"the label {labels[n]!r} does not fit the pattern 'regex:[^7]+'" for n, r in refused.items())
    assert report.config.pattern == "regex:[^7]+" == read_set(tmp_path / "out").config.pattern
    assert len(report.reasons) == 1


def test_a_format_has_spaces_as_the_labels_have_them(toy: Toy, tmp_path: Path) -> None:
    fits = {p.name for p in toy.source.iterdir() if re.fullmatch("[^_]+|[^_]_[^_]+", p.name.split("-")[0])}
    assert any("_" in name for name in fits)
    form = "X|XX|XXX|XXXX|X_X|X_XX"
    report = convert(toy.source, tmp_path / "out", space="_", pattern=form, **OPTIONS)
    assert {row.source for row in read_manifest(tmp_path / "out")} == fits
    assert report.config.pattern == form.replace("_", " ")


def test_the_source_is_left_alone(toy: Toy, tmp_path: Path) -> None:
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in toy.source.iterdir()}
    convert(toy.source, tmp_path / "out", space="_", **OPTIONS)
    assert {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in toy.source.iterdir()} == before


def test_splits_are_grouped_by_text(toy: Toy) -> None:
    of: dict[str, set[str]] = {}
    for row in read_manifest(toy.root):
        of.setdefault(row.text, set()).add(row.split)
    assert max(Counter(r.text for r in read_manifest(toy.root)).values()) > 1, "the toy must repeat texts"
    assert all(len(splits) == 1 for splits in of.values())
    assert set().union(*of.values()) == {"train", "val", "test"}


def test_the_same_input_gives_the_same_bytes(toy: Toy, tmp_path: Path) -> None:
    convert(toy.source, tmp_path / "toy", space="_", **OPTIONS)
    assert labels_of(tmp_path / "toy") == labels_of(toy.root)
    for name in ("data.yaml", "manifest.csv", "boxes.csv", "rejects.csv", "report.html"):
        assert (tmp_path / "toy" / name).read_bytes() == (toy.root / name).read_bytes()


def test_darknet_lists_name_files_of_the_final_set(toy: Toy) -> None:
    for split in ("train", "val", "test"):
        listed = (toy.root / f"{split}.txt").read_text().splitlines()
        assert len(listed) == toy.report.splits[split]
        assert all(Path(line).is_absolute() and Path(line).is_file() for line in listed)


# Others read it


def test_plain_yolo_accepts_the_set(toy: Toy, ultralytics_offline: None, tmp_path: Path) -> None:
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    root = shutil.copytree(toy.root, tmp_path / "moved")  # yolo leaves caches; and a set may be moved
    data = check_det_dataset(str(root / "data.yaml"))
    assert data["names"] == dict(enumerate(TOY_SYMBOLS))
    for split in ("train", "val", "test"):
        dataset = YOLODataset(img_path=data[split], data=data, task="detect", imgsz=96, augment=False)
        assert len(dataset) == toy.report.splits[split]
        lines = sum(len(p.read_text().splitlines()) for p in (root / "labels" / split).glob("*.txt"))
        assert sum(len(held["bboxes"]) for held in dataset.labels) == lines > 0


def test_supervision_opens_the_set(toy: Toy) -> None:
    sv = pytest.importorskip("supervision")
    opened = sv.DetectionDataset.from_yolo(
        images_directory_path=str(toy.root / "images" / "train"),
        annotations_directory_path=str(toy.root / "labels" / "train"),
        data_yaml_path=str(toy.root / "data.yaml"),
    )
    assert list(opened.classes) == list(TOY_SYMBOLS)
    assert len(opened) == toy.report.splits["train"]
    texts = {row.image: row.text for row in read_manifest(toy.root)}
    for path, _, found in opened:
        text = texts[Path(path).relative_to(toy.root).as_posix()].replace(" ", "")
        assert "".join(opened.classes[i] for i in found.class_id) == text


# Bad inputs, all in one run


def as_file(kind: str, picture: Image.Image) -> tuple[str, bytes]:
    """Suffix and bytes of the same picture, stored in another way."""
    pixels = np.asarray(picture)
    grey = np.asarray(picture.convert("L"))
    faint = Image.fromarray(np.dstack([pixels, np.full(grey.shape, 255, np.uint8)]))
    alpha = Image.fromarray(np.dstack([np.zeros_like(pixels), 255 - grey]))  # black ink, the ground transparent
    return {
        "16-bit PNG": (".png", encoded(Image.fromarray(grey.astype(np.uint16) * 257), "PNG")),
        "16-bit TIFF": (".tif", encoded(Image.fromarray(grey.astype(np.uint16) * 257), "TIFF")),
        "CMYK JPEG": (".jpg", encoded(picture.convert("CMYK"), "JPEG", quality=95)),
        "CMYK TIFF": (".tiff", encoded(picture.convert("CMYK"), "TIFF")),
        "palette PNG": (".png", encoded(picture.convert("P"), "PNG")),
        "palette PNG with transparency": (".png", encoded(picture.convert("P"), "PNG", transparency=3)),
        "black and white PNG": (".png", encoded(picture.convert("1"), "PNG")),
        "grey PNG": (".png", encoded(picture.convert("L"), "PNG")),
        "grey with alpha PNG": (".png", encoded(picture.convert("LA"), "PNG")),
        "opaque RGBA PNG": (".png", encoded(faint, "PNG")),
        "RGBA PNG on a transparent ground": (".png", encoded(alpha, "PNG")),
        "BMP": (".bmp", encoded(picture, "BMP")),
        "WebP": (".webp", encoded(picture, "WEBP", lossless=True)),
        "JPEG named .JPE": (".JPE", encoded(picture, "JPEG", quality=95)),
        "PNG named .jpg": (".jpg", encoded(picture, "PNG")),
        **{f"JPEG turned by EXIF {i}": (".jpg", rotated_by_exif(picture, i)) for i in (3, 6, 8)},
        "PNG turned by EXIF 6": (".png", rotated_by_exif(picture, 6, "PNG")),
    }[kind]


HANDLED = (
    "16-bit PNG", "16-bit TIFF", "CMYK JPEG", "CMYK TIFF", "palette PNG", "palette PNG with transparency",
    "black and white PNG", "grey PNG", "grey with alpha PNG", "opaque RGBA PNG", "RGBA PNG on a transparent ground",
    "BMP", "WebP", "JPEG named .JPE", "PNG named .jpg", "JPEG turned by EXIF 3", "JPEG turned by EXIF 6",
    "JPEG turned by EXIF 8", "PNG turned by EXIF 6",
)  # fmt: skip

REFUSED = {
    "zero bytes": "empty file",
    "not an image": "not an image",
    "truncated PNG": "truncated",
    "PNG without its end": "truncated",
    "damaged PNG": "",
    "truncated JPEG": "truncated",
    "JPEG without its end": "truncated",
    "JPEG cut in its header": "truncated",
    "truncated WebP": "",
    "truncated BMP": "truncated",
    "1-pixel PNG": "1x1 pixels: too small",
    "1-pixel JPEG": "1x1 pixels: too small",
    "1 pixel high": "100x1 pixels: too small",
    "float TIFF": "32-bit floats",
}
SUFFIX = {"PNG": ".png", "JPEG": ".jpg", "WebP": ".webp", "BMP": ".bmp", "TIFF": ".tif"}


class Mixed:
    """One run over good pictures, pictures stored oddly, and everything that can be wrong."""

    def __init__(self, toy: Toy, folder: Path) -> None:
        self.root = folder / "set"
        self.lines: list[tuple[str, str]] = []
        self.true: dict[str, tuple[str, np.ndarray]] = {}
        images = folder / "source" / "images"
        images.mkdir(parents=True)
        make = toy_synthesizer(spaces=0.0)

        def add(name: str, data: bytes | None, text: str) -> str:
            if data is not None:
                (images / name).write_bytes(data)
            self.lines.append((f"images/{name}", text))
            return f"images/{name}"

        number = iter(range(1000, 2000))
        pictures = {}
        for i in range(12):
            made = make(next(number))
            pictures[i] = encoded(Image.fromarray(made.image[:, :, ::-1]), "PNG")
            add(f"good{i}.png", pictures[i], made.text)
        self.handled = {}
        for i, kind in enumerate(HANDLED):
            made = make(next(number))
            suffix, data = as_file(kind, Image.fromarray(made.image[:, :, ::-1]))
            self.handled[kind] = add(f"odd{i}{suffix}", data, made.text)
            self.true[self.handled[kind]] = made.text, made.boxes_xyxy
        self.refused = {}
        bad = bad_files()
        for i, kind in enumerate(REFUSED):
            suffix = next((s for word, s in SUFFIX.items() if word in kind), ".png")
            self.refused[kind] = add(f"bad{i}{suffix}", bad[kind], "AK7")
        good = encoded(Image.fromarray(make(next(number)).image), "PNG")
        self.too_long = add("long.png", good, "AKT7A")
        self.unknown = add("unknown.png", encoded(Image.fromarray(make(next(number)).image), "PNG"), "AKZ")
        self.lower = add("lower.png", encoded(Image.fromarray(make(next(number)).image), "PNG"), "akt")
        self.empty = add("empty.png", encoded(Image.fromarray(make(next(number)).image), "PNG"), "")
        self.missing = add("missing.png", None, "AKT")
        self.gif = add("animated.gif", encoded(Image.fromarray(make(next(number)).image), "GIF"), "AKT")
        twice = encoded(Image.fromarray(make(next(number)).image), "PNG")
        self.twice = [add("twice1.png", twice, "AKT"), add("twice2.png", twice, "AK7")]
        self.listed_twice = add("again.png", encoded(Image.fromarray(make(next(number)).image), "PNG"), "TTT")
        add("again.png", None, "KKK")
        same = make(next(number))
        copy = encoded(Image.fromarray(same.image[:, :, ::-1]), "PNG")
        self.copies = [add("copy1.png", copy, same.text), add("copy2.png", copy, same.text)]
        source = folder / "source"
        with (source / "labels.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("image", "text"), *self.lines])
        self.report: ConversionReport = convert(source, self.root, allow_refused=True, **OPTIONS)
        self.rejects: dict[str, list[str]] = {}
        for name, reason in rejects(self.root):
            self.rejects.setdefault(name, []).append(reason)
        self.manifest = {row.source: row for row in read_manifest(self.root)}


@pytest.fixture(scope="module")
def mixed(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Mixed:
    return Mixed(toy, tmp_path_factory.mktemp("mixed"))


def test_inputs_are_manifest_and_rejects(mixed: Mixed) -> None:
    refused = sum(len(reasons) for reasons in mixed.rejects.values())
    assert mixed.report.inputs == len(mixed.lines) == len(mixed.manifest) + refused
    assert mixed.report.converted + mixed.report.suspects == len(mixed.manifest)
    assert mixed.report.refused == refused
    assert not mixed.manifest.keys() & mixed.rejects.keys()
    listed = Counter([*mixed.manifest, *(name for name, why in mixed.rejects.items() for _ in why)])
    assert listed == Counter(name for name, _ in mixed.lines)


@pytest.mark.parametrize("kind", HANDLED)
def test_odd_pictures_are_handled(mixed: Mixed, kind: str) -> None:
    name = mixed.handled[kind]
    assert name not in mixed.rejects
    text, true = mixed.true[name]
    row = mixed.manifest[name]
    assert (row.text, row.status) == (text, "ok")
    ids, boxes = parse_labels(label_of(mixed.root, row), 96, 32, len(TOY_SYMBOLS))
    assert "".join(TOY_SYMBOLS[i] for i in ids) == text
    assert np.median(iou(boxes, true)) >= 0.6


@pytest.mark.parametrize("kind", HANDLED)
def test_plain_yolo_sees_odd_pictures_as_convert_did(mixed: Mixed, ultralytics_offline: None, kind: str) -> None:
    """Labels are shares of the upright picture: yolo must not see it lying down."""
    from ultralytics.data.utils import IMG_FORMATS
    from ultralytics.utils.patches import imread

    path = mixed.root / mixed.manifest[mixed.handled[kind]].image
    assert path.suffix[1:] in IMG_FORMATS
    seen, ours = imread(str(path)), read_image(path)
    assert seen is not None and seen.shape == ours.shape
    assert abs(float(seen.mean()) - float(ours.mean())) < 40 or "RGBA" in kind or "alpha" in kind


@pytest.mark.parametrize(("kind", "reason"), REFUSED.items(), ids=REFUSED.keys())
def test_bad_files_are_refused_with_the_reason(mixed: Mixed, kind: str, reason: str) -> None:
    (said,) = mixed.rejects[mixed.refused[kind]]
    assert said and reason in said


def test_labels_too_long_are_refused(mixed: Mixed) -> None:
    assert mixed.rejects[mixed.too_long] == ["the label 'AKT7A' has 5 symbols, more than 4"]


def test_unknown_symbols_are_refused(mixed: Mixed) -> None:
    assert mixed.rejects[mixed.unknown] == [
        "the label 'AKZ' has 'Z', not in the alphabet '7AKT': alphabet='auto' takes the symbols that the labels have"
    ]
    assert mixed.rejects[mixed.lower] == [
        "the label 'akt' has 'akt', not in the alphabet '7AKT': upper=True takes it as capitals"
    ]


def test_empty_labels_are_refused(mixed: Mixed) -> None:
    assert len(mixed.rejects[mixed.empty]) == 1
    assert "empty" in mixed.rejects[mixed.empty][0]


def test_listed_files_that_are_missing_are_refused(mixed: Mixed) -> None:
    (reason,) = mixed.rejects[mixed.missing]
    assert "no such file" in reason.lower() or "missing" in reason


def test_formats_that_yolo_does_not_read_are_refused(mixed: Mixed) -> None:
    assert mixed.rejects[mixed.gif] == ["yolo does not read .gif files: save it as PNG"]


def test_the_same_picture_labelled_differently_is_refused_both_times(mixed: Mixed) -> None:
    for name in mixed.twice:
        assert mixed.rejects[name] == ["the same picture is labelled differently: AK7, AKT"]


def test_one_file_listed_with_two_labels_is_refused_both_times(mixed: Mixed) -> None:
    assert len(mixed.rejects[mixed.listed_twice]) == 2
    assert mixed.listed_twice not in mixed.manifest


def test_copies_with_the_same_label_are_kept(mixed: Mixed) -> None:
    assert all(name in mixed.manifest for name in mixed.copies)


def test_reasons_are_counted(mixed: Mixed) -> None:
    reasons = mixed.report.reasons
    assert reasons["the same picture is labelled differently"] == 2
    assert reasons["the label … has … symbols, more than …"] == 1
    assert reasons["the label … has …, not in the alphabet …"] == 2
    assert reasons["yolo does not read .gif files"] == 1
    assert sum(reasons.values()) == mixed.report.refused


def test_a_run_of_bad_files_only_says_so(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for i, (kind, data) in enumerate(bad_files().items()):
        (source / f"AK{'AKT7'[i % 4]}-{i}.{'gif' if 'GIF' in kind else 'png'}").write_bytes(data)
    with pytest.raises(SourceError, match=rf"no labelled picture is left; {len(bad_files())} were refused"):
        convert(source, tmp_path / "out", **OPTIONS)
    assert not (tmp_path / "out").exists()


# Refusals of the whole run


def test_an_existing_folder_is_not_touched(toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("precious")
    with pytest.raises(DatasetError, match="exists: choose another folder, or say overwrite=True"):
        convert(toy.source, tmp_path / "out", space="_", **OPTIONS)
    assert (tmp_path / "out" / "mine.txt").read_text() == "precious"


def test_overwrite_replaces_the_whole_folder(toy: Toy, tmp_path: Path) -> None:
    root = shutil.copytree(toy.root, tmp_path / "out")
    convert(toy_folder(tmp_path / "in", 40, start=100), root, space="_", overwrite=True, **OPTIONS)
    assert len(read_manifest(root)) == 40 == sum(1 for p in (root / "images").rglob("*") if p.is_file())


def noise_folder(folder: Path, count: int = 40) -> Path:
    rng = np.random.default_rng(7)
    names = ["".join(rng.choice(list(TOY_SYMBOLS), 4)) + f"-{i}.png" for i in range(count)]
    return write_pictures(folder, names, (96, 32))


def test_noise_is_refused(tmp_path: Path) -> None:
    noise_folder(tmp_path / "source")
    with pytest.raises(NotLearnedError, match=r"reads 0.0% of the labels .* nothing to do with their pictures"):
        convert(tmp_path / "source", tmp_path / "out", train_scale=0.1, **OPTIONS)
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


def test_another_picture_s_label_on_every_picture_is_refused(tmp_path: Path) -> None:
    """Pictures and labels are both fine, and have nothing to do with each other: a CSV that was sorted anew."""
    made = toy_folder(tmp_path / "made", 90, alphabet="ABCDEFGH", length=6, min_length=6, spaces=0, size_wh=(128, 32))
    names = sorted(path.name for path in made.iterdir())
    (tmp_path / "source").mkdir()
    for name, other in zip(names, np.random.default_rng(3).permutation(names).tolist(), strict=True):
        shutil.copyfile(made / name, tmp_path / "source" / f"{other.split('-')[0]}-{name.split('-')[1]}")
    with pytest.raises(NotLearnedError, match="have nothing to do with their pictures"):
        convert(tmp_path / "source", tmp_path / "out", length=6, train_scale=0.1, device="cpu")


def test_half_of_a_table_shifted_by_a_row_is_found(tmp_path: Path) -> None:
    source = toy_folder(tmp_path / "in", 90, alphabet="ABCDEFGH", length=6, min_length=6, spaces=0, size_wh=(128, 32))
    names = sorted(path.name for path in source.iterdir())
    texts = [name.split("-")[0] for name in names]
    shifted = [*texts[:45], *texts[46:], texts[45]]
    rows = "".join(f"{name},{text}\n" for name, text in zip(names, shifted, strict=True))
    (source / "labels.csv").write_text("image,text\n" + rows)
    convert(source / "labels.csv", tmp_path / "out", length=6, train_scale=0.5, device="cpu")
    listed = {row.source for row in read_manifest(tmp_path / "out") if row.status == "suspect"}
    wrong = {name for name, text, given in zip(names, texts, shifted, strict=True) if text != given}
    assert len(listed & wrong) >= 0.95 * len(wrong)
    assert len(listed - wrong) <= 2


def test_zeros_that_a_spreadsheet_took_are_found(tmp_path: Path) -> None:
    """A systematic error: who learns from these labels learns it, too."""
    source = toy_folder(tmp_path / "in", 90, alphabet="0123", length=4, min_length=4, spaces=0)
    names = sorted(path.name for path in source.iterdir())
    texts = [name.split("-")[0] for name in names]
    given = [text.lstrip("0") or text for text in texts]
    (source / "labels.csv").write_text(
        "image,text\n" + "".join(f"{name},{text}\n" for name, text in zip(names, given, strict=True))
    )
    convert(source / "labels.csv", tmp_path / "out", length=4, alphabet="0123456789", device="cpu")
    rows = {row.source: row for row in read_manifest(tmp_path / "out")}
    wrong = {name: text for name, text, short in zip(names, texts, given, strict=True) if text != short}
    listed = {name for name, row in rows.items() if row.status == "suspect"}
    assert len(wrong) > 10 and len(listed & wrong.keys()) >= 0.95 * len(wrong)
    assert len(listed - wrong.keys()) <= 2
    assert all(rows[name].read == wrong[name] for name in listed & wrong.keys())


def test_a_set_that_is_not_learnt_leaves_the_old_one(toy: Toy, tmp_path: Path) -> None:
    noise_folder(tmp_path / "source")
    shutil.copytree(toy.root, tmp_path / "out")
    with pytest.raises(NotLearnedError):
        convert(tmp_path / "source", tmp_path / "out", overwrite=True, train_scale=0.1, **OPTIONS)
    assert len(read_manifest(tmp_path / "out")) == 60
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "source"]


def test_too_few_pictures_of_unknown_symbols_are_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path / "source", [f"{text}.png" for text in ("ЖШ", "ШЖ", "ЖЖ", "ШШ")], (96, 32))
    with pytest.raises(NotLearnedError, match=r"does not know these symbols.* 32 are about the least"):
        convert(tmp_path / "source", tmp_path / "out", alphabet="auto", length=4, device="cpu")


def test_a_failure_while_writing_leaves_no_set(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bool:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("detector.conversion.set_pictures.link_or_copy", full)
        with pytest.raises(DiskFullError, match=r"out\.part cannot be written: .* the same call goes on\.$"):
            convert(toy.source, tmp_path / "out", space="_", **OPTIONS)
    assert [p.name for p in tmp_path.iterdir()] == ["out.part"]  # what was found is kept
    convert(toy.source, tmp_path / "out", space="_", **OPTIONS)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


SHARES = {"no validation": (0.0, 0.2), "all held out": (0.5, 0.5), "negative": (0.1, -0.1), "over 1": (1.5, 0.0)}


@pytest.mark.parametrize(("val", "test"), SHARES.values(), ids=SHARES.keys())
def test_shares_that_leave_nothing(tmp_path: Path, val: float, test: float) -> None:
    with pytest.raises(DetectorError, match="val, more than 0, and test, 0 or more, are shares of 1"):
        convert(tmp_path, tmp_path / "out", val=val, test=test)


def test_all_numbers_that_make_no_sense_are_named_at_once(tmp_path: Path) -> None:
    named = r"length is .* 1 to 48, got 49; lines is .* 1 or 2, got 3; seed is .*got -2"
    with pytest.raises(DetectorError, match=named):
        convert(tmp_path, tmp_path / "out", length=49, lines=3, seed=-2)
    assert list(tmp_path.iterdir()) == []


def test_one_text_only(tmp_path: Path) -> None:
    write_pictures(tmp_path / "source", ["AK7-1.png", "AK7-2.png"], (96, 32))
    with pytest.raises(SourceError, match="All pictures show the text 'AK7': two different ones are the least"):
        convert(tmp_path / "source", tmp_path / "out", **OPTIONS)


# Choices


def test_doubted_pictures_are_kept_out_of_training(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sure = np.sort([float(row.confidence) for row in read_manifest(toy.root)])
    gap = 10 + np.diff(sure)[10:50].argmax()  # the manifest's figures are rounded: none is near the limit
    limit = (sure[gap] + sure[gap + 1]) / 2
    monkeypatch.setattr("detector.conversion.convert.MIN_CONFIDENCE", limit)
    report = convert(toy.source, tmp_path / "out", space="_", **OPTIONS)
    rows = read_manifest(tmp_path / "out")
    doubted = [row for row in rows if row.status == "suspect"]
    assert all((row in doubted) == (float(row.confidence) < limit) for row in rows)
    held_back = [row for row in doubted if row.split == "train"]
    assert 0 < report.suspects == len(held_back) < len(doubted)
    assert report.inputs == report.converted + report.suspects + report.refused == 60
    for row in doubted:
        folder = "suspects" if row.split == "train" else row.split  # only training is kept clear of them
        assert row.image.startswith(f"images/{folder}/") and (tmp_path / "out" / row.image).is_file()
        assert label_of(tmp_path / "out", row).is_file()
    kept = convert(toy.source, tmp_path / "kept", space="_", keep_suspects=True, **OPTIONS)
    assert (kept.suspects, kept.converted) == (0, 60)
    assert sum(row.status == "suspect" for row in read_manifest(tmp_path / "kept")) == len(doubted)


def test_a_doubted_label_sets_no_length_in_any_split(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One label that was cut short would have every reader of the set read strings as short."""
    lengths = {row.source: len(row.text.replace(" ", "")) for row in read_manifest(toy.root)}
    short = {name for name, length in lengths.items() if length == toy.report.config.min_count}
    assert {row.split for row in read_manifest(toy.root) if row.source in short} == {"test"}, "else it proves nothing"

    def wrong(self: SetWriter, _: Any) -> dict[str, float]:
        return {item.name: float(item.name in short) for item in self.inputs.items}

    monkeypatch.setattr(SetWriter, "_error_probabilities", wrong)
    report = convert(toy.source, tmp_path / "out", space="_", **OPTIONS)
    assert report.config.min_count == min(length for name, length in lengths.items() if name not in short)
    kept = convert(toy.source, tmp_path / "kept", space="_", keep_suspects=True, **OPTIONS)
    assert kept.config.min_count == toy.report.config.min_count


def test_the_alphabet_may_be_taken_from_the_labels(toy: Toy, tmp_path: Path) -> None:
    report = convert(toy.source, tmp_path / "out", space="_", **{**OPTIONS, "alphabet": "auto"})
    assert report.config.symbols == "".join(sorted(TOY_SYMBOLS))


def test_texts_too_long_for_their_picture_are_refused(toy: Toy, tmp_path: Path) -> None:
    """They set no lengths that readers of the set read, either."""
    source = tmp_path / "in"
    shutil.copytree(toy.source, source)
    write_pictures(source, ["AK7TA.png"], (9, 9))
    report = convert(source, tmp_path / "out", space="_", **{**OPTIONS, "length": 5})
    assert rejects(tmp_path / "out") == [("AK7TA.png", "the picture is too narrow for its text 'AK7TA'")]
    assert (report.refused, report.converted) == (1, 60)
    assert report.config.max_count == toy.report.config.max_count


def test_names_that_clash_get_one_of_their_own(toy: Toy, tmp_path: Path) -> None:
    """Labels are found by the picture's name without its suffix, in one flat folder."""
    source = toy_folder(tmp_path / "source", 8)
    for path in sorted(source.iterdir()):
        Image.open(path).save(path.with_suffix(".bmp"))
        (source / "deep").mkdir(exist_ok=True)
        path.rename(source / "deep" / path.name)
    clash = sorted((source / "deep").iterdir())[0]
    shutil.copyfile(clash, source / f"deep_{clash.name}")
    report = convert(source, tmp_path / "out", space="_", **{**OPTIONS, "labels": "names", "length": 8})
    rows = [r for r in read_manifest(tmp_path / "out")]
    assert report.inputs == len(rows) + report.refused
    assert len({label_of(tmp_path / "out", row) for row in rows}) == len(rows) == len(labels_of(tmp_path / "out"))


CLASHES = {
    "hashes that begin alike": (
        ["000001/plate.jpg", "006573/plate.jpg", "094657/plate.jpg"],
        ["plate", "plate_957508aa", "plate_4d246749"],
    ),
    "a picture is called as the hash of another": (
        ["a/plate.png", "b/plate_957508aa.png", "006573/plate.jpg"],
        ["plate", "plate_957508aa", "plate_f3267550"],
    ),
    "with a mark too long for a disk": (
        [f"a/{'é' * 125}.png", f"b/{'é' * 125}.png", f"c/{'é' * 125}.jpeg"],
        ["é" * 125, f"{'é' * 121}_dfb61e79", f"{'é' * 120}_06f9d357"],
    ),
}


@pytest.mark.parametrize(("names", "stems"), CLASHES.values(), ids=CLASHES)
def test_names_that_clash_again(toy: Toy, tmp_path: Path, names: list[str], stems: list[str]) -> None:
    source, lines = tmp_path / "source", ["image,text"]
    for name, picture in zip([*names, *map("{}.png".format, range(9))], sorted(toy.source.iterdir()), strict=False):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(picture, source / name)
        lines.append(f"{name},{picture.stem.split('-')[0]}")
    (source / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    convert(source, tmp_path / "out", space="_", **OPTIONS)
    rows = {row.source: row for row in read_manifest(tmp_path / "out")}
    assert [Path(rows[name].image).stem for name in names] == stems
    for row in rows.values():
        ids, _ = parse_labels(label_of(tmp_path / "out", row), 96, 32, len(TOY_SYMBOLS))
        assert "".join(TOY_SYMBOLS[i] for i in ids) == row.text.replace(" ", ""), "each has its own labels"


def test_line_ends_in_names_are_kept_in_the_tables_and_nowhere_else(toy: Toy, tmp_path: Path) -> None:
    source = toy_folder(tmp_path / "source", 8)
    odd, gone = "A\rK\n7", "mis\rsing.png"
    rows = [f'{{"image": "{path.name}", "text": "{path.stem.split("-")[0]}"}}' for path in sorted(source.iterdir())]
    first = sorted(source.iterdir())[0]
    rows[0] = json.dumps({"image": f"{odd}.png", "text": first.stem.split("-")[0]})
    first.rename(source / f"{odd}.png")
    rows.append(json.dumps({"image": gone, "text": "AK"}))
    (source / "labels.jsonl").write_text("\n".join(rows), encoding="utf-8")
    report = convert(source, tmp_path / "out", space="_", **{**OPTIONS, "labels": "auto", "length": 8})
    rejected = [row.source for row in read_rejects(tmp_path / "out")]
    manifest = read_manifest(tmp_path / "out")
    assert report.inputs == len(manifest) + len(rejected) == 9 and gone in rejected
    assert f"{odd}.png" in {*rejected, *(row.source for row in manifest)}
    assert not any("\r" in row.image or "\n" in row.image for row in manifest)
    options = {**OPTIONS, "labels": "auto", "length": 8, "overwrite": True, "visual_order": True}
    again = convert(source, tmp_path / "out", space="_", **options)
    assert again.inputs == report.inputs, "its own review is read back"
    assert read_set(tmp_path / "out").config.visual_order and not report.config.visual_order


def test_right_to_left_labels_that_were_not_learnt_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    words = ["\u0627\u0628\u062c", "\u0628\u0627\u062f", "\u062c\u062f\u0627", "\u062f\u062c\u0628"]
    write_pictures(tmp_path / "source", [f"{words[i % 4]}-{i}.png" for i in range(40)], (96, 32))
    options = {**OPTIONS, "alphabet": "auto"}
    with pytest.raises(
        NotLearnedError, match=r"look at this first: 40 of 40 labels have right-to-left.*visual_order=True"
    ):
        convert(tmp_path / "source", tmp_path / "out", **options)
    assert caplog.text.count("visual_order=True") == 1
    with pytest.raises(NotLearnedError) as caught:
        convert(tmp_path / "source", tmp_path / "out", visual_order=True, **options)
    assert "visual_order=True" not in str(caught.value)


def test_progress_is_told(toy: Toy, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    convert(toy.source, tmp_path / "out", space="_", progress=lambda *stage: told.append(stage), **OPTIONS)
    assert [(done, total) for stage, done, total in told if stage == "locate"] == [(0, 60), (60, 60)]
    assert ("check", 60, 60) in told


# Splits

texts = st.text("ABC123 ", min_size=1, max_size=4)


@given(st.sets(texts, min_size=2, max_size=30), st.integers(0, 99))
def test_there_is_always_something_to_train_and_to_validate_on(held: set[str], seed: int) -> None:
    split = assign_splits(held, 0.1, 0.2, seed)
    assert split.keys() == held
    assert {"train", "val"} <= set(split.values()) <= {"train", "val", "test"}
    assert split == assign_splits(set(sorted(held, reverse=True)), 0.1, 0.2, seed)


@given(st.sets(texts, max_size=30))
def test_a_text_keeps_its_split_when_others_are_added(more: set[str]) -> None:
    held = {f"{i:03}" for i in range(100)}
    before, after = assign_splits(held, 0.1, 0.2), assign_splits(held | more, 0.1, 0.2)
    assert all(after[text] == split for text, split in before.items())


def test_shares_are_kept_and_the_seed_changes_who() -> None:
    held = {f"{i:04}" for i in range(3000)}
    split = assign_splits(held, 0.1, 0.2)
    counts = Counter(split.values())
    assert abs(counts["val"] / 3000 - 0.1) < 0.02 and abs(counts["test"] / 3000 - 0.2) < 0.03
    assert split != assign_splits(held, 0.1, 0.2, seed=1)
    assert "test" not in assign_splits(held, 0.1, 0.0).values()


def test_only_an_earlier_conversion_is_replaced(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "AB12.png").write_bytes(b"")
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter.tex").write_text("years of work")
    with pytest.raises(DatasetError, match="holds the pictures"):
        convert(pictures, tmp_path, overwrite=True)
    with pytest.raises(DatasetError, match="no converted set"):
        convert(pictures, other, overwrite=True)
    assert (other / "chapter.tex").read_text() == "years of work"
    assert (pictures / "AB12.png").exists()


@pytest.mark.parametrize("manifest", ["source,image,text,split,method\n", "image,text\n"])
def test_what_was_trained_in_a_folder_is_not_deleted_with_it(tmp_path: Path, manifest: str) -> None:
    source = write_pictures(tmp_path / "in", ["AB.png", "CD.png"])
    weights = tmp_path / "set" / "weights" / "set.pt"
    weights.parent.mkdir(parents=True)
    weights.write_text("hours of work")
    (tmp_path / "set" / "manifest.csv").write_text(manifest)
    with pytest.raises(DatasetError, match=r"files.csv"):
        convert(source, tmp_path / "set", overwrite=True)
    assert weights.read_text() == "hours of work"


@pytest.mark.parametrize("beside", ["out.part", "out.replaced"])
def test_a_folder_in_the_way_is_not_deleted(tmp_path: Path, beside: str) -> None:
    """They are where sets are made and replaced; what somebody else put there stays."""
    mine = write_pictures(tmp_path / beside, ["AB.png", "CD.png"])
    source = write_pictures(tmp_path / "in", ["AB.png", "CD.png"])
    for pictures, says in ((source, rf"{beside} is needed .* move it away"), (mine, "holds the pictures")):
        with pytest.raises(DatasetError, match=says):
            convert(pictures, tmp_path / "out")
    assert sorted(p.name for p in mine.iterdir()) == ["AB.png", "CD.png"]


def test_pictures_in_the_set_are_not_replaced_by_it(toy: Toy, tmp_path: Path) -> None:
    """A label file elsewhere may name them."""
    root = shutil.copytree(toy.root, tmp_path / "out")
    table = tmp_path / "labels.csv"
    table.write_text("image,text\n" + "".join(f"{root / row.image},{row.text}\n" for row in read_manifest(root)))
    with pytest.raises(DatasetError, match=r"out holds the pictures of .*images"):
        convert(table, root, overwrite=True)
    assert len(list((root / "images").rglob("*.png"))) == 60


def test_a_link_to_the_set_stays_a_link(toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk" / "set")  # where nothing is yet
    for overwrite in (False, True):
        convert(toy.source, tmp_path / "out", space="_", overwrite=overwrite, **OPTIONS)
        assert (tmp_path / "out").is_symlink() and [p.name for p in (tmp_path / "disk").iterdir()] == ["set"]
        assert len(read_manifest(tmp_path / "disk" / "set")) == 60


def test_pictures_behind_links_are_in_the_set(toy: Toy, tmp_path: Path) -> None:
    """As download caches keep them: names in one folder, files in another."""
    (tmp_path / "names").mkdir()
    shutil.copytree(toy.source, tmp_path / "files")
    for path in sorted((tmp_path / "files").rglob("*")):
        if path.is_file():
            link = tmp_path / "names" / path.relative_to(tmp_path / "files")
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(Path(*[".."] * len(path.relative_to(tmp_path).parts[1:]), path.relative_to(tmp_path)))
    convert(tmp_path / "names", tmp_path / "out", space="_", **OPTIONS)
    pictures = [tmp_path / "out" / row.image for row in read_manifest(tmp_path / "out")]
    assert len(pictures) == 60 and all(path.is_file() and not path.is_symlink() for path in pictures)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"seed": -1}, "seed is a whole number, 0 or more, got -1"),
        ({"train_scale": float("nan")}, "train_scale multiplies the steps and is more than 0, got nan"),
        ({"train_scale": 0.0}, "train_scale .* got 0"),
        ({"out": "/"}, "/ cannot be replaced by a converted set"),
        ({"out": "."}, r"exists: choose another folder"),
    ],
)
def test_impossible_arguments_are_named(tmp_path: Path, options: dict[str, Any], says: str) -> None:
    source = write_pictures(tmp_path / "in", ["AB.png"])
    with pytest.raises(DetectorError, match=says):
        convert(source, **{"out": tmp_path / "out", **options})


def test_a_set_inside_its_pictures_is_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["AB.png"])
    with pytest.raises(DatasetError, match=r"lies inside .* choose a folder outside"):
        convert(tmp_path, tmp_path / "out")


def test_where_most_inputs_are_refused_nothing_is_trained(toy: Toy, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for path in sorted(toy.source.iterdir())[:20]:
        shutil.copyfile(path, source / path.name)
    write_pictures(source, [f"Q{i}.png" for i in range(30)])
    with pytest.raises(SourceError, match=r"30 of 50 inputs are refused, for example Q.*say allow_refused=True"):
        convert(source, tmp_path / "out", space="_", **OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    report = convert(source, tmp_path / "out", space="_", allow_refused=True, **OPTIONS)
    assert (report.refused, report.converted + report.suspects) == (30, 20)


def test_a_source_that_is_refused_says_what_would_take_most_of_it(tmp_path: Path) -> None:
    plates = ["B 9140 BCD", "B 2407 UZO", "ad-7631-hs", "L 1588 OO", "BA 1709 DW"]
    write_pictures(tmp_path / "in", [f"{number}.png" for number in range(7)])
    rows = "".join(f"{number}.png,{text}\n" for number, text in enumerate(["AB12", *plates, "CD34"]))
    (tmp_path / "in" / "plates.csv").write_text(f"image,text\n{rows}", encoding="utf-8")
    with pytest.raises(SourceError) as caught:
        convert(tmp_path / "in", tmp_path / "out")
    assert "5 of 7 inputs are refused, for example 1.png: the label 'B 9140 BCD' has 10 symbols" in str(caught.value)
    assert "(4 such)" in str(caught.value)
    assert "Nothing was converted: upper=True ignore='- ' takes 5 of them" in str(caught.value)
    for rest, left in (
        ("", "no labelled picture is left"),
        ("3.png,AB123456", "only pictures of the text 'AB123456' are left"),
    ):
        rows = f"image,text\n1.png,B 9140 BCD\n2.png,B 2407 UZO\n{rest}\n"
        (tmp_path / "in" / "plates.csv").write_text(rows, encoding="utf-8")
        with pytest.raises(SourceError, match=f"{left}; 2 were refused, for example .*; ignore=' ' takes 2 of them"):
            convert(tmp_path / "in", tmp_path / "out")


def test_each_reason_has_an_example(toy: Toy, tmp_path: Path) -> None:
    source = tmp_path / "in"
    shutil.copytree(toy.source, source)
    write_pictures(source, ["7Q.png", "AQ.png"])
    report = convert(source, tmp_path / "out", **TOY_OPTIONS)
    ((kind, count),) = report.reasons.items()
    assert count == 2 and report.examples[kind].startswith("7Q.png: the label '7Q' has 'Q'")


@pytest.mark.skipif(os.name == "nt", reason="such names cannot exist there")
def test_folders_whose_names_are_no_unicode(toy: Toy, tmp_path: Path) -> None:
    source, root = (tmp_path / os.fsdecode(name) for name in (b"pl\xe4tze", b"s\xe4tze"))
    try:
        shutil.copytree(toy.source, source)
    except OSError:
        pytest.skip("this file system takes no such names")
    with pytest.raises(DatasetError, match="the name is not UTF-8, and pyarrow takes no other"):
        convert(source, root, shards=True, **TOY_OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == [source.name]
    for overwrite in (False, True):
        convert(source, root, overwrite=overwrite, **TOY_OPTIONS)
        arguments = stored_arguments(root)
        assert arguments is not None and arguments["source"] == str(source)
    assert read_manifest(root) == read_manifest(toy.root)
    listed = (root / "train.txt").read_bytes().splitlines()
    assert {os.fsdecode(path) for path in listed} == {str(path) for path in (root / "images" / "train").iterdir()}
    assert os.fsencode(root / "obj.names") in (root / "obj.data").read_bytes()
    assert "s\\udce4tze" in (root / "report.html").read_text(encoding="utf-8")


# Runs that meet each other, or something that changed


def test_two_runs_do_not_write_one_set(toy: Toy, tmp_path: Path) -> None:
    with (
        alone(tmp_path / "out"),
        pytest.raises(DatasetError, match="Another run is writing"),
    ):
        convert(toy.source, tmp_path / "out", space="_", **OPTIONS)
    convert(toy.source, tmp_path / "out", space="_", **OPTIONS)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_lock_that_others_hold_for_moments(tmp_path: Path) -> None:
    """Who waits for it gets it, or is told that another run is at it, also where that one is through by then."""
    entered, told = [], []

    def hold() -> None:
        for _ in range(150):
            try:
                with alone(tmp_path / "out", 0.02):
                    entered.append(1)
            except Exception as error:
                told.append(str(error))

    threads = [threading.Thread(target=hold) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(entered) + len(told) == 600
    assert {*told} <= {f"Another run is writing {tmp_path / 'out'}: wait for it, or choose another folder."}


WITHOUT_LOCKS = """
import errno, fcntl, sys, time, warnings
from pathlib import Path
def no_flock(*_):
    raise OSError(errno.ENOSYS, "Function not implemented")
fcntl.flock = no_flock
warnings.simplefilter("ignore")
from detector.conversion.set_folder import alone
try:
    with alone(Path(sys.argv[1])):
        print("entered", flush=True)
        time.sleep(float(sys.argv[2]))
except Exception as error:
    print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="locks of another kind")
def test_a_run_that_was_killed_on_a_disk_without_locks_hinders_none(tmp_path: Path) -> None:
    out, lock = tmp_path / "out", tmp_path / "out.part.lock"

    def next_run() -> str:
        run = [sys.executable, "-c", WITHOUT_LOCKS, str(out), "0"]
        return subprocess.run(run, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()

    with subprocess.Popen(
        [sys.executable, "-c", WITHOUT_LOCKS, str(out), "60"], stdout=subprocess.PIPE, text=True
    ) as held:
        assert held.stdout is not None and held.stdout.readline() == "entered\n"
        assert next_run() == f"Another run is writing {out}: wait for it, or choose another folder."
        held.kill()
    assert lock.stat().st_size, "this is what a kill leaves"
    assert next_run() == "entered"
    assert not lock.exists()


@pytest.mark.parametrize("content", ["notes\n", "1\n2", "12\nhost\n" + "1" * 2000 + "\n", None])
def test_a_file_of_the_lock_s_name_is_not_emptied(tmp_path: Path, content: str | None) -> None:
    lock = tmp_path / "out.part.lock"
    if content is None:
        lock.mkdir()
    else:
        lock.write_text(content, encoding="utf-8")
    with pytest.raises(DatasetError, match=f"^{lock} is needed as a lock, and "), alone(tmp_path / "out"):
        pytest.fail("it is in use")
    assert lock.is_dir() if content is None else lock.read_text(encoding="utf-8") == content


def test_a_picture_that_goes_while_a_run_goes_on_is_named_and_nothing_is_lost(toy: Toy, tmp_path: Path) -> None:
    source = Path(shutil.copytree(toy.source, tmp_path / "source"))
    gone = min(source.iterdir())
    held = gone.read_bytes()

    def progress(stage: str, done: int, total: int) -> None:
        if stage == "check" and done == total:
            gone.unlink(missing_ok=True)

    with pytest.raises(ImageError, match=re.escape(str(gone))):
        convert(source, tmp_path / "out", space="_", progress=progress, **OPTIONS)
    assert list((tmp_path / "out.part" / "work").glob("looked-*"))
    gone.write_bytes(held)
    assert convert(source, tmp_path / "out", space="_", **OPTIONS).inputs == 60


def test_names_that_are_one_on_some_disks_stay_apart(toy: Toy, tmp_path: Path) -> None:
    first, second, *_ = sorted(toy.source.iterdir())
    for folder, name, made in (("a", "one.png", first), ("b", "ONE.png", second)):
        (tmp_path / "source" / folder).mkdir(parents=True)
        shutil.copyfile(made, tmp_path / "source" / folder / name)
    lines = [f"a/one.png,{first.name.split('-')[0]}", f"b/ONE.png,{second.name.split('-')[0]}"]
    (tmp_path / "source" / "labels.csv").write_text("image,text\n" + "\n".join(lines) + "\n")
    convert(tmp_path / "source", tmp_path / "out", space="_", **OPTIONS)
    names = [Path(row.image).name.casefold() for row in read_manifest(tmp_path / "out")]
    assert len(set(names)) == 2


def test_a_picture_is_never_written_over_through_a_link(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        (tmp_path / name).write_text(name)
    target = tmp_path / "set" / "image.png"
    link_or_copy(tmp_path / "one.png", target)
    with pytest.raises(FileExistsError):
        link_or_copy(tmp_path / "two.png", target)
    assert (tmp_path / "one.png").read_text() == "one.png"


def test_shards_become_the_set_of_their_folder(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="Parquet needs the extra shards")
    toy_folder(tmp_path / "pictures", 30, alphabet="ABCDEFHK", spaces=0.0)
    items = read_source(tmp_path / "pictures").items
    held = [(item.name, item.path.read_bytes(), item.text) for item in items]
    broken = [("x/broken.png", b"nothing", "ABC"), ("none.png", None, "ABD")]
    write_shard(tmp_path / "shards" / "a.parquet", held[:20], group=7)
    write_shard(tmp_path / "shards" / "b.parquet", [*held[20:], *broken])
    for source in ("pictures", "shards"):
        convert(tmp_path / source, tmp_path / f"set-{source}", device="cpu", val=0.2)
    from_folder, from_shards = (tmp_path / f"set-{source}" for source in ("pictures", "shards"))
    assert read_manifest(from_shards) == read_manifest(from_folder)
    assert labels_of(from_shards) == labels_of(from_folder)
    for row in read_manifest(from_shards):
        assert (from_shards / row.image).read_bytes() == (tmp_path / "pictures" / row.source).read_bytes()
    assert [name for name, _ in rejects(from_shards)] == ["x/broken.png", "none.png"]
    assert rejects(from_shards)[1][1] == "the row has no bytes"
    with pytest.raises(DatasetError, match="holds the pictures of"):
        convert(tmp_path / "shards", tmp_path / "shards", overwrite=True)
