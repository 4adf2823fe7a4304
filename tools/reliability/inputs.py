"""The categories of inputs of `fuzz.py`, and the checks of their results; no command.

A check writes its files into the folder that it is given, see :data:`tools.reliability.checks.Check`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from detector.conversion.review import read_review
from detector.data.labels.sources import read_source
from detector.data.sets.yolo_dataset import (
    CharacterSet,
    parse_labels,
    read_manifest,
    read_rejects,
    read_set,
)
from detector.reading.reader import Failure, Reader
from detector.text.alphabet import Alphabet
from detector.text.patterns import REGEX, compile_pattern, matches
from detector.text.reading_config import ReadingConfig
from tools.reliability.checks import PARTLY, Check, accepted_names, must
from tools.reliability.mutations import (
    changed_bytes,
    changed_encoding,
    changed_json,
    changed_text,
    changed_value,
    with_valid_checksums,
)
from tools.reliability.packs import check_archives, check_tables
from tools.reliability.seeds import (
    DANGERS,
    NAMES,
    PATTERNS,
    TEXTS,
    clean_picture,
    label_files,
    new_pattern,
    pictures,
    set_files,
)


class Category(NamedTuple):
    """A kind of inputs.

    Args:
        title: for the table.
        count: default number of inputs.
        prepare: returns the check of one input, for a folder of the process.
    """

    title: str
    count: int
    prepare: Callable[[Path], Check]


# --- pictures ------------------------------------------------------------------------------------------------------


def changed_picture(rng: random.Random) -> tuple[str, bytes]:
    """Return the suffix and the bytes of a picture that was changed."""
    kinds = pictures()
    suffix = rng.choice(sorted(kinds))
    donors = kinds[suffix] if rng.random() < 0.8 else kinds[rng.choice(sorted(kinds))]
    data = changed_bytes(rng.choice(kinds[suffix]), rng, donors)
    return suffix, with_valid_checksums(data) if suffix == ".png" and rng.random() < 0.7 else data


def _pictures(folder: Path) -> Check:
    reader = Reader("shipped", device="cpu")

    def check(rng: random.Random, place: Path) -> str:
        suffix, data = changed_picture(rng)
        files = {"first.png": clean_picture(0), f"changed{suffix}": data, "second.png": clean_picture(1)}
        for name, content in files.items():
            (place / name).write_bytes(content)
        (place / "labels.csv").write_text("image,text\n" + "".join(f"{n},T{i}\n" for i, n in enumerate(files)))
        names = accepted_names(read_source(place), place)
        must({"first.png", "second.png"} <= {*names}, "a valid picture beside it is refused")
        readings = list(reader.stream([place / f"changed{suffix}"]))
        must(len(readings) == 1, f"{len(readings)} readings of one picture")
        reading = readings[0][1]
        if suffix not in (".gif", ".ppm"):  # yolo does not read these, so convert refuses them
            must((len(names) == 3) != isinstance(reading, Failure), "convert and predict do not agree on it")
        return f"refused: {reading.reason}" if isinstance(reading, Failure) else ""

    return check


# --- labels --------------------------------------------------------------------------------------------------------


def changed_labels(rng: random.Random) -> dict[str, bytes]:
    """Return the label files of one format by name, of which one is changed."""
    files = label_files()[rng.choice(sorted(label_files()))]
    content = {name: text.encode() for name, text in files.items()}
    name = rng.choice(sorted(files))
    if rng.random() < 0.15:
        content[name] = changed_bytes(content[name], rng)
    elif rng.random() < 0.1:
        content[name] = files[name].encode() * rng.choice((2, 100))
    else:
        change = changed_json if name.endswith("json") and rng.random() < 0.7 else changed_text
        content[name] = changed_encoding(change(files[name], rng), rng)
    if rng.random() < 0.1:
        content[rng.choice((name.upper(), "labels.csv", "notes.txt", "a.json"))] = content.pop(name)
    return content


def _labels(folder: Path) -> Check:
    def check(rng: random.Random, place: Path) -> str:
        for number, name in enumerate(NAMES):
            (place / name).write_bytes(clean_picture(number))
        files = changed_labels(rng)
        for name, content in files.items():
            (place / name).write_bytes(content)
        is_whole = rng.random() < 0.7 or len(files) > 2
        source = read_source(place if is_whole else place / rng.choice(sorted(files)), upper=rng.random() < 0.2)
        must(source.count, "a source without inputs")
        names = accepted_names(source, place)
        return "" if len(names) == source.count else PARTLY

    return check


# --- patterns ------------------------------------------------------------------------------------------------------


def _patterns(folder: Path) -> Check:
    alphabet = Alphabet()

    def check(rng: random.Random, place: Path) -> str:
        pattern = changed_text(rng.choice(PATTERNS), rng) if rng.random() < 0.5 else new_pattern(rng)
        (place / "pattern.txt").write_text(pattern, encoding="utf-8", errors="surrogatepass")
        automaton = compile_pattern(pattern, alphabet, 8, 1, 8)
        must(automaton.layers, "an automaton without a string")
        for text in TEXTS:
            is_match = matches(text, pattern, alphabet)
            if pattern.startswith(REGEX) and len(pattern) < 60 and not re.search(r"\\[ws]|\[", pattern):
                is_full_match = bool(re.fullmatch(pattern[len(REGEX) :], text))
                must(is_match == is_full_match, f"{text} fits: {is_match}, not as in re")
        return ""

    return check


# --- converted sets ------------------------------------------------------------------------------------------------


def changed_data_yaml(text: str, marker: Path, rng: random.Random) -> bytes:
    """Return a data.yaml with other values or characters, or with lines that would write the file ``marker``."""
    if rng.random() < 0.4:
        text = yaml.safe_dump(changed_value(yaml.safe_load(text), rng), sort_keys=False, allow_unicode=True)
    if rng.random() < 0.3:
        text += rng.choice(DANGERS).format(marker=marker)
    if rng.random() < 0.1:
        return changed_bytes(text.encode("utf-8", "replace"), rng)
    return changed_encoding(changed_text(text, rng) if rng.random() < 0.6 else text, rng)


def _data_yaml(folder: Path) -> Check:
    def check(rng: random.Random, place: Path) -> str:
        marker = place.resolve() / "RAN"
        data = changed_data_yaml(set_files()["data.yaml"].decode(), marker, rng)
        _write(place, {**set_files(), "data.yaml": data})
        try:
            config = read_set(place).config
        finally:
            must(not marker.exists(), "a command in it ran")
        must(config == ReadingConfig.from_dict(config.to_dict()), "its config is not read as it was written")
        return ""

    return check


def _tables(folder: Path) -> Check:
    def check(rng: random.Random, place: Path) -> str:
        name = rng.choice(("manifest.csv", "rejects.csv", "review.csv", "labels.txt"))
        text = set_files()[name].decode()
        data = (
            changed_bytes(text.encode(), rng) if rng.random() < 0.3 else changed_encoding(changed_text(text, rng), rng)
        )
        _write(place, {**set_files(), name: data})
        rows = read_manifest(place)
        must(CharacterSet(place, place / "data.yaml", ReadingConfig()).splits or not rows, "rows without a split")
        read_rejects(place)
        read_review(place / "review.csv")
        ids, boxes = parse_labels(place / "labels.txt", 160, 40, 36)
        must(len(ids) == len(boxes) and np.isfinite(boxes).all(), "a box that is nowhere")
        return ""

    return check


def _write(place: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


CATEGORIES: dict[str, Category] = {
    "pictures": Category("pictures of seven formats, checked by `convert` and read by `predict`", 10_000, _pictures),
    "labels": Category("label files of all formats", 2_000, _labels),
    "patterns": Category("patterns", 500, _patterns),
    "data.yaml": Category("`data.yaml` of a converted set", 200, _data_yaml),
    "tables": Category("other files of a converted set", 300, _tables),
    "archives": Category("tar files, packed by `pack` and read by `predict`", 1_000, check_archives),
    "shards": Category("Parquet and Arrow files, read, packed and checked by `convert`", 1_000, check_tables),
}
