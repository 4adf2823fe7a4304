"""Read and write the files of a converted set: labels, data.yaml, darknet's files, tables. See docs/formats.md.

SET/
  data.yaml                    for Ultralytics; the reading configuration is under the key `detector`
  images/{train,val,test}/     hard links to the pictures where possible, copies otherwise
  labels/{train,val,test}/     a text file for each picture: class cx cy w h, shares of the picture, left to right
  images/suspects/, labels/…   training pictures that are suspects, in no split
  obj.data obj.names train.txt val.txt test.txt     for darknet
  manifest.csv                 a line for each picture: source, text, split, confidence, status
  boxes.csv                    a line for each character: box in pixels, confidence, stage
  rejects.csv                  a line for each refused input, with the reason
  reader.pt                    weights that read, where self-training left some
  report.html, review.csv      all of this to look at, and a person's decisions: report.py, review.py
  images/SPLIT/part-00000.parquet …     in place of pictures, label files, boxes.csv and darknet's files: shards
                               with the labels in them (set_shards.py), whose pictures are called
                               images/SPLIT/part-00000.parquet/ROW/NAME
  work/, packed/               what the next conversion and training reuse: folders/resume_folder.py, packed.py
  files.csv                    every file above with size and hash: folders/owned.py
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from detector.data.folders.image_files import is_image_name
from detector.data.letterbox import from_shares, to_shares
from detector.data.packs.shard_rows import place_of
from detector.data.packs.shards import is_shard_name, is_shards, shard_files
from detector.data.sets.set_shards import row_labels, set_row_paths
from detector.data.text_files import read_rows, write_csv, write_lines
from detector.data.trust import parse_yaml
from detector.errors import DatasetError
from detector.text.reading_config import ReadingConfig

SPLITS = ("train", "val", "test")
SUSPECTS = "suspects"
MANIFEST, BOXES, REJECTS = "manifest.csv", "boxes.csv", "rejects.csv"
READER = "reader.pt"
"""Weights of self-training, which learns the training split alone: they read, without a calibration."""
CONFIG_KEY = "detector"
"""Key of the reading configuration in data.yaml and in checkpoints."""
INNER_SET = "set"
"""Folder of a set among what was made of it, a fit's weights and pages."""


class ManifestRow(NamedTuple):
    """One picture of a set.

    ``image`` is relative to the set; ``method`` counts its boxes by stage; ``confidence`` in [0, 1] is the lowest of
    its boxes' times the probability that the label is right; ``read`` is what was read without the label, if that is
    not the text; ``status`` is "ok" or "suspect".
    """

    source: str
    image: str
    text: str
    split: str
    method: str
    confidence: str
    status: str
    read: str = ""

    @property
    def folder(self) -> str:
        """The folder under images/: a split, or that of the pictures that are kept out of training."""
        return self.image.split("/")[1]

    @property
    def seems_read(self) -> bool:
        """Whether it was read as labelled; where nothing was read, ``read`` is empty, too, and boxes were not seen."""
        return not self.read and "interpolated" not in self.method and "drawn" not in self.method


class BoxRow(NamedTuple):
    """One character of a set: box in pixels, confidence in [0, 1], and the stage that made the box.

    ``confidence`` is the probability that the box is that of its symbol, given that the label is right; ``stage`` is
    "drawn" (by a person), "detected" (by the shipped detector), "trained-1" (by the detector of the first round of
    self-training) and so on, or "interpolated" (between its neighbours, without a candidate).
    """

    image: str
    char: str
    x1: str
    y1: str
    x2: str
    y2: str
    confidence: str
    stage: str


class RejectRow(NamedTuple):
    """One refused input."""

    source: str
    reason: str

    @property
    def kind(self) -> str:
        """The reason without what is specific to one input, for counting."""
        return re.sub(r"'[^']*'|\"[^\"]*\"|[0-9]+", "…", self.reason.split(": ")[0])


def examples_of(rejects: Sequence[RejectRow]) -> dict[str, str]:
    """Return the first refusal of each kind in full."""
    return {row.kind: f"{row.source}: {row.reason}" for row in reversed(rejects)}


@dataclass(frozen=True)
class CharacterSet:
    """A converted set as its ``data.yaml`` describes it."""

    root: Path
    yaml_path: Path
    config: ReadingConfig

    def manifest(self) -> list[ManifestRow]:
        """Read the rows of all pictures of the set.

        Raises:
            DatasetError: if its manifest is missing, damaged, or lists what cannot be a picture of it.
        """
        rows = read_manifest(self.root)
        for row in rows:
            if not _is_picture_of_a_set(row.image):
                raise DatasetError(
                    f"{self.root / MANIFEST} lists {row.image!r}, and pictures of a set are images/train/NAME and the "
                    "like: convert again."
                )
        return rows

    def rows(self, *splits: str) -> list[list[ManifestRow]]:
        """Pictures of each of these splits.

        Raises:
            DatasetError: if one has none.
        """
        by_split: dict[str, list[ManifestRow]] = {}
        for row in self.manifest():
            by_split.setdefault(row.folder, []).append(row)
        for split in splits:
            if split not in by_split:
                raise DatasetError(
                    f"{self.root} has no pictures in split {split!r}, only in {', '.join(sorted(by_split))}."
                )
        return [by_split[split] for split in splits]

    @property
    def splits(self) -> set[str]:
        """The splits that have pictures, suspects among them."""
        return {row.folder for row in self.manifest()}

    def texts(self) -> dict[str, str]:
        """Text of each picture, by its path relative to the set."""
        return {row.image: row.text for row in self.manifest()}


def _is_picture_of_a_set(image: str) -> bool:
    """Test whether a path is ``images/SPLIT/NAME``, or ``images/SPLIT/SHARD/ROW/NAME``."""
    parts = image.split("/")
    in_shard = len(parts) == 5 and is_shard_name(parts[2]) and parts[3].isdecimal()
    if not in_shard and len(parts) != 3:
        return False
    return parts[0] == "images" and parts[1] in (*SPLITS, SUSPECTS) and parts[-1] not in ("", ".", "..")


def rounded_shares(boxes_xyxy: NDArray[np.floating], width: int, height: int) -> list[list[float]]:
    """Centre and size of each box as shares of a picture of ``width`` x ``height``, with the digits of a label file."""
    shares = to_shares(np.asarray(boxes_xyxy, np.float64), (width, height))
    return [[round(value, 6) for value in row] for row in shares.tolist()]


def format_labels(class_ids: Sequence[int], boxes_xyxy: NDArray[np.floating], width: int, height: int) -> str:
    """Format one label file: class, centre and size as shares of a picture of ``width`` x ``height``."""
    shares = rounded_shares(boxes_xyxy, width, height)
    return "".join(f"{int(c)} {' '.join(f'{v:.6f}' for v in row)}\n" for c, row in zip(class_ids, shares, strict=True))


def parse_labels(path: Path, width: int, height: int, classes: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Invert :func:`format_labels`; labels in shards are read, too.

    Args:
        path: a label file, or the path of a picture in a shard.
        width, height: of the picture.
        classes: how many there are.

    Returns:
        Class ids (n,), and boxes xyxy in pixels (n, 4).

    Raises:
        DatasetError: naming file and line, if it is missing, cannot be read, or a line is not five numbers in range.
    """
    ids, shares = [], []
    for number, line, (c, cx, cy, w, h) in _label_rows(path):
        if not (0 <= c < classes and c == int(c)) or not all(-0.01 <= v <= 1.01 for v in (cx, cy, w, h)):
            raise DatasetError(f"{path}:{number}: class must be below {classes}, the rest shares of 1, got {line!r}.")
        ids.append(int(c))
        shares.append((cx, cy, w, h))
    return np.array(ids, np.int64), from_shares(np.array(shares, np.float64), (width, height)).astype(np.float32)


def _label_rows(path: Path) -> Iterator[tuple[int, str, list[float]]]:
    """Yield each character's line number, from 1, its spelling and its five numbers."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        rows = row_labels(path)
        if rows is None:
            raise DatasetError(f"The label file {path} is missing; every picture needs one: convert again.") from None
        yield from ((number, " ".join(map(str, row)), row) for number, row in enumerate(rows, 1))
        return
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is no text file ({error}): convert again.") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}): make it readable, or convert again.") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            c, cx, cy, w, h = (float(v) for v in line.split())
        except ValueError:
            raise DatasetError(f"{path}:{number}: expected `class cx cy w h`, got {line!r}.") from None
        yield number, line, [c, cx, cy, w, h]


def write_tables(root: Path, manifest: Iterable[ManifestRow], rejects: Iterable[RejectRow]) -> None:
    """Write :data:`MANIFEST` and :data:`REJECTS`."""
    write_csv(root / MANIFEST, ManifestRow._fields, manifest)
    write_csv(root / REJECTS, RejectRow._fields, rejects)


def read_manifest(root: Path) -> list[ManifestRow]:
    """Read the manifest of a converted set.

    Raises:
        DatasetError: if there is none, or its columns are not a manifest's.
    """
    return [ManifestRow(*row) for row in _read_table(root / MANIFEST, ManifestRow._fields)]


def read_rejects(root: Path) -> list[RejectRow]:
    """Read the refused inputs of a converted set.

    Raises:
        DatasetError: if the list is missing, or has other columns.
    """
    return [RejectRow(*row) for row in _read_table(root / REJECTS, RejectRow._fields)]


def _read_table(path: Path, fields: tuple[str, ...]) -> list[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for _, row in read_rows(file)]
    except FileNotFoundError:
        raise DatasetError(f"{path.parent} has no {path.name}: is it a set made by `detector convert`?") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} is damaged ({error}): convert again.") from None
    if not rows or tuple(rows[0]) != fields:
        raise DatasetError(f"{path} has other columns than {', '.join(fields)}: convert again.")
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(fields):
            raise DatasetError(f"{path}:{number}: {len(row)} columns, not {len(fields)}: convert again.")
    return rows[1:]


def write_descriptions(root: Path, final_root: Path, config: ReadingConfig, images: dict[str, list[str]]) -> None:
    """Write ``data.yaml`` and darknet's files.

    Args:
        root: where to write.
        final_root: final path of the set; darknet's lists have absolute paths.
        config: written under the key ``detector``.
        images: of each split, paths relative to the set.
    """
    splits = [split for split in SPLITS if images.get(split)]
    write_data_yaml(root, config, splits)
    write_lines(root / "obj.names", config.symbols)
    lines = [f"classes = {len(config.symbols)}"]
    for split in splits:
        write_lines(root / f"{split}.txt", (f"{final_root / image}" for image in images[split]))
        key = "valid" if split == "val" else split
        lines.append(f"{key} = {final_root / f'{split}.txt'}")
    write_lines(root / "obj.data", [*lines, f"names = {final_root / 'obj.names'}", "backup = backup/"])


def set_name(root: Path) -> str:
    """Return what a set is called: its folder, or the one around a folder :data:`INNER_SET`, which names nothing."""
    folder = root.resolve()
    return (folder.parent.name if folder.name == INNER_SET else "") or folder.name


def is_converted(path: Path) -> bool:
    """Test whether a path is a converted set: its ``data.yaml``, its folder, or the folder of :data:`INNER_SET`."""
    return path.suffix in (".yaml", ".yml") or (path.is_dir() and _data_yaml(path).is_file())


def _data_yaml(path: Path) -> Path:
    """Return the ``data.yaml`` of a set's folder, or of the folder around it, as a fit's; a file as it is."""
    inner = path / INNER_SET / "data.yaml"
    if inner.is_file() and not (path / "data.yaml").is_file():
        return inner
    return path / "data.yaml" if path.is_dir() else path


def write_data_yaml(root: Path, config: ReadingConfig, splits: Iterable[str]) -> None:
    """Write ``data.yaml``: the splits that have pictures, the classes, and what readers must know."""
    folders = {split: f"images/{split}" for split in splits}
    # No `path` key: Ultralytics then takes the yaml's own folder, and the set can be moved.
    described: dict[str, Any] = {**folders, "names": dict(enumerate(config.symbols)), CONFIG_KEY: config.to_dict()}
    text = yaml.safe_dump(described, sort_keys=False, allow_unicode=True)
    (root / "data.yaml").write_text("# Made by `detector convert`.\n" + text, encoding="utf-8")


def read_set(data: str | os.PathLike[str]) -> CharacterSet:
    """Open a set by its ``data.yaml``, its folder, or the folder of a fit.

    Raises:
        DatasetError: if it is missing, no YAML, without the key ``detector``, or with keys or names of others.
    """
    path = _data_yaml(Path(data))
    try:
        data_yaml = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DatasetError(f"There is no {path}: give the data.yaml that `detector convert` wrote.") from None
    except ValueError as error:  # not UTF-8, too
        raise DatasetError(f"{path} is no YAML file: {error}") from error
    if not isinstance(data_yaml, dict) or not isinstance(data_yaml.get(CONFIG_KEY), dict):
        raise DatasetError(
            f"{path} has no key `{CONFIG_KEY}`: it was not made by `detector convert`, and says nothing about texts. "
            "Train it with plain `yolo train`, or convert the pictures from their strings."
        )
    _check_keys(path, data_yaml)
    config = ReadingConfig.from_dict(data_yaml[CONFIG_KEY])
    _check_names(path, data_yaml.get("names"), config.symbols)
    return CharacterSet(path.parent.resolve(), path.resolve(), config)


def _check_keys(path: Path, data_yaml: dict[str, Any]) -> None:
    """Refuse keys that `detector convert` does not write: they would have no effect here and may run code elsewhere."""
    if foreign := sorted(str(key) for key in data_yaml if key not in (*SPLITS, "names", CONFIG_KEY)):
        raise DatasetError(
            f"{path} has {', '.join(foreign[:5])}, which `detector convert` does not write and nothing follows here "
            "(Ultralytics would run a `download`): take it out."
        )
    for split in SPLITS:
        if data_yaml.get(split, f"images/{split}") != f"images/{split}":
            raise DatasetError(
                f"{path} says {split}: {data_yaml[split]!r}, and the set's pictures lie in images/{split}: write that."
            )


def _check_names(path: Path, names: object, symbols: Sequence[str]) -> None:
    """Refuse names that are not the symbols: nothing here would follow them. Without any Ultralytics alone stops."""
    given = dict(enumerate(names)) if isinstance(names, list) else names
    if given is None:
        return
    expected = {str(number): symbol for number, symbol in enumerate(symbols)}
    found = {str(number): str(name) for number, name in given.items()} if isinstance(given, dict) else {"": str(given)}
    if others := [number for number in (*found, *expected) if found.get(number) != expected.get(number)]:
        named = f"{others[0]}: {found[others[0]]!r}" if others[0] in found else f"no {others[0]}"
        raise DatasetError(
            f"{path} has {named} among its names, which are not the symbols that the set was made with "
            f"({CONFIG_KEY}: symbols): undo that, or convert again with other symbols."
        )


def split_images(root: Path, split: str) -> Iterator[tuple[Path, Path]]:
    """Iterate over the pictures of a split and their label files, in order of name, or of the shards.

    Raises:
        DatasetError: if a shard is damaged.
    """
    folder = root / "images" / split
    if is_shards(folder):
        for file in shard_files(folder):
            yield from ((picture, picture) for picture in set_row_paths(file))
        return
    for image in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not is_image_name(image.name):  # desktops and Ultralytics (cache=disk) leave files of theirs beside pictures
            continue
        yield image, label_file(root, image)


def label_file(root: Path, image: str | Path) -> Path:
    """Path of the label file of a picture of the set; a picture in a shard has its labels in the same row."""
    path = Path(image)
    if place_of(root / path) is not None:
        return root / path
    return root / "labels" / path.parent.name / f"{path.stem}.txt"
