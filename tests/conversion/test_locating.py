"""From labels to boxes: what is known and unknown, one line and two, what nothing was seen of, drawn boxes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector.conversion.convert import convert
from detector.conversion.locating import run
from detector.conversion.locating.locator import UNKNOWN, Locator, as_drawn, known_classes
from detector.data.sets.yolo_dataset import format_labels, parse_labels, read_manifest
from detector.text.alphabet import Alphabet
from tests.builders import TOY_LENGTH, TOY_OPTIONS, TOY_SYMBOLS, iou, toy_folder, toy_synthesizer
from tests.conftest import Toy


class Painted:
    """A network that sees each coloured bar of a picture as the class of its colour, and nothing else."""

    names = {0: "A", 1: "B", 2: "C"}  # noqa: RUF012
    config = None
    shape_hw = None

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self, images: Any) -> Any:
        raise AssertionError("raw output is all that is asked for")

    def output(self, images: np.ndarray) -> np.ndarray:
        """(n, 4 + 3, 32): a place for each bar, whose colour's channel is its class."""
        self.looks += len(images)
        made = np.zeros((len(images), 7, 32), np.float32)
        for row, image in enumerate(images):
            place = 0
            for kind in range(3):
                bars = (image[..., kind] > 200) & (image.astype(int).sum(2) < 400)
                for top in (0, image.shape[0] // 2):  # upper and lower line
                    half = bars[top : top + image.shape[0] // 2] if self.two_lines else bars
                    columns = np.flatnonzero(half.any(0))
                    for bar in np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1):
                        if not len(bar):
                            continue
                        rows = np.flatnonzero(half[:, bar].any(1)) + (top if self.two_lines else 0)
                        x1, x2, y1, y2 = bar[0], bar[-1] + 1, rows[0], rows[-1] + 1
                        made[row, :4, place] = (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
                        made[row, 4 + kind, place] = 0.95
                        place += 1
                    if not self.two_lines:
                        break
        return made

    two_lines = False


def bars(text: str, width: int = 160, height: int = 40, top: int = 8, bottom: int = 32) -> np.ndarray:
    """A grey picture with a bar of pure blue, green or red for each A, B or C; nothing for others."""
    image = np.full((height, width, 3), 90, np.uint8)
    pitch = width / len(text)
    for i, symbol in enumerate(text):
        if symbol in "ABC":
            x1, x2 = round((i + 0.2) * pitch), round((i + 0.8) * pitch)
            image[top:bottom, x1:x2] = [255 * (symbol == s) for s in "ABC"]
    return image


def located(network: Painted, image: np.ndarray, text: str, **more: Any) -> Any:
    table = Alphabet("ABCX")
    locator = Locator(network, table, length=8, shape_hw=image.shape[:2], **more)
    (one,) = locator.locate([image], [np.array([table.symbols.index(s) for s in text], np.int64)])
    return one


def test_a_label_that_is_read_is_looked_at_once() -> None:
    network = Painted()
    one = located(network, bars("ABCA"), "ABCA")
    assert one.agrees and network.looks == 1
    assert one.detected.all() and {one.stage(i) for i in range(4)} == {"detected"}
    assert np.allclose(one.boxes_xyxy[:, 0], [8, 48, 88, 128], atol=1)
    assert (one.confidence > 0.9).all()


def test_a_label_that_is_not_read_is_looked_at_closer() -> None:
    network = Painted()
    one = located(network, bars("ABCA"), "ABCB")
    assert not one.agrees and network.looks == 2
    assert one.read.tolist() == [0, 1, 2, 0]
    assert one.detected.all(), "there is a character, and the label says which"


def test_a_calibrated_locator_says_how_likely_labels_are_that_are_not_read() -> None:
    locator = Locator(Painted(), Alphabet("ABCX"), length=8, shape_hw=(40, 160))
    images = [bars("ABCA"), bars("A.CA"), bars("ABCA")]
    labels = [np.array(label) for label in ([0, 1, 2, 0], [0, 1, 2, 0], [2, 0, 1, 1])]  # read, hidden in part, wrong
    assert [one.label_log_prob for one in locator.locate(images, labels)] == [0, 0, 0]
    locator.calibrate([], [])
    as_read, hidden, wrong = (one.label_log_prob for one in locator.locate(images, labels))
    assert as_read == 0 > hidden > wrong


def test_pictures_of_a_large_set_that_no_round_looks_at_are_converted_as_the_others(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = sorted(path.name for path in toy.source.iterdir())
    texts = [name.split("-")[0] for name in names]
    texts[5], texts[-5] = texts[-5], texts[5]
    source = tmp_path / "source"
    shutil.copytree(toy.source, source)
    rows = "".join(f"{name},{text}\n" for name, text in zip(names, texts, strict=True))
    (source / "labels.csv").write_text(f"image,text\n{rows}", encoding="utf-8")

    def converted(name: str) -> dict[str, tuple[str, str, str]]:
        convert(source, tmp_path / name, **TOY_OPTIONS)
        return {row.source: (row.text, row.status, row.method) for row in read_manifest(tmp_path / name)}

    whole = converted("whole")
    monkeypatch.setattr(run, "_ROUND_ITEMS", 20)
    assert converted("some") == whole
    assert {name for name, (_, status, _) in whole.items() if status == "suspect"} == {names[5], names[-5]}


def test_a_symbol_that_the_detector_does_not_know_is_any_character() -> None:
    one = located(Painted(), bars("ABCA"), "AXCA")
    assert one.detected.all() and np.allclose(one.boxes_xyxy[1, [0, 2]], [48, 72], atol=2)


def test_where_nothing_is_seen_a_box_stands_between_its_neighbours() -> None:
    one = located(Painted(), bars("A.CA"), "ABCA")
    assert one.detected.tolist() == [True, False, True, True]
    assert one.stage(1) == "interpolated" and one.confidence[1] < 0.7 < one.confidence[0]
    assert 40 < one.boxes_xyxy[1, [0, 2]].mean() < 80


@pytest.mark.parametrize("text", ["A", "ABCA", "ABCABCAB"])
def test_where_nothing_at_all_is_seen_boxes_share_the_width(text: str) -> None:
    one = located(Painted(), bars("." * len(text)), text)
    assert not one.detected.any() and len(one.boxes_xyxy) == len(text)
    sides = one.boxes_xyxy[:, 2:] - one.boxes_xyxy[:, :2]
    assert (sides >= 1).all() and one.boxes_xyxy.min() >= 0 and one.boxes_xyxy[:, 2].max() <= 160


def test_only_where_characters_are_is_asked_if_classes_mean_nothing() -> None:
    one = located(Painted(), bars("ABCA"), "CCCC", by_class=False)
    assert one.detected.all() and not one.agrees and not len(one.read)


def test_two_lines_are_found_out() -> None:
    network = Painted()
    network.two_lines = True
    upper, lower = bars("ABC", 120, 40), bars("CAB", 120, 40)
    one = located(network, np.vstack([upper, lower]), "ABCCAB")
    assert one.lines == 2 and one.agrees
    assert (one.boxes_xyxy[:3, 3] <= 40).all() and (one.boxes_xyxy[3:, 1] >= 40).all()


def test_classes_are_found_by_symbol_and_by_the_other_case() -> None:
    assert known_classes(Alphabet("Abxc"), {0: "A", 1: "B", 2: "C"}).tolist() == [0, 1, UNKNOWN, 2]


def test_an_unknown_script_is_learnt_by_self_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions from objectness and the label's length, then two cross-fitted halves, then all that is explained; and
    what is learnt from some pictures locates the others."""
    monkeypatch.setattr(run, "_ROUND_ITEMS", 80)
    make = toy_synthesizer(alphabet="ЖШЮЯ", min_length=4, spaces=0)
    source = toy_folder(tmp_path / "source", 100, alphabet="ЖШЮЯ", min_length=4, spaces=0)
    report = convert(source, tmp_path / "out", alphabet="auto", length=4, train_scale=0.35, device="cpu")
    assert report.explained[0] < 0.05 and report.explained[-1] > 0.5
    overlaps = []
    for row in read_manifest(tmp_path / "out"):
        label = tmp_path / "out" / "labels" / Path(row.image).relative_to("images").with_suffix(".txt")
        _, boxes = parse_labels(label, 96, 32, 4)
        overlaps.append(iou(boxes, make(int(row.source.split("-")[1].split(".")[0])).boxes_xyxy))
    assert np.mean(np.concatenate(overlaps) > 0.5) > 0.9


def test_what_is_read_as_labelled_is_never_trained_on_to_be_judged(toy: Toy) -> None:
    """The toy is read by the shipped detector: no detector of its own is in its work."""
    assert not list((toy.root / "work").glob("detector-*"))


def test_the_toy_has_as_many_symbols_as_its_labels(toy: Toy) -> None:
    assert (len(TOY_SYMBOLS), TOY_LENGTH) == (4, 4)
    for row in read_manifest(toy.root):
        assert row.method == f"detected {len(row.text.replace(' ', ''))}"


def test_a_drawn_box_is_cut_off_where_it_leaves_the_picture(tmp_path: Path) -> None:
    drawn = np.array([[-3, 2, 70, 43], [80, 2, 150, 40]], np.float32)
    one = as_drawn(located(Painted(), bars("AB"), "AB"), drawn, (40, 160))
    (tmp_path / "a.txt").write_text(format_labels([0, 1], one.boxes_xyxy, 160, 40))
    _, boxes_xyxy = parse_labels(tmp_path / "a.txt", 160, 40, 4)
    assert np.allclose(boxes_xyxy, [[0, 2, 70, 40], [80, 2, 150, 40]], atol=0.01)


def test_boxes_that_a_person_drew_stay_and_the_others_are_inferred(toy: Toy, tmp_path: Path) -> None:
    names = sorted(path.name for path in toy.source.iterdir())
    drawn = {name: [(4 + 20 * i, 3, 20 + 20 * i, 29) for i in range(len(name.split("-")[0].replace("_", "")))]
             for name in names[:20]}  # fmt: skip
    source = tmp_path / "source"
    shutil.copytree(toy.source, source)
    (source / "labels.csv").write_text(
        "image,text\n" + "".join(f"{name},{name.split('-')[0]}\n" for name in names), encoding="utf-8"
    )
    (source / "boxes.csv").write_text(
        "image,char,x1,y1,x2,y2\n" + "".join(
            f"{name},{symbol},{x1},{y1},{x2},{y2}\n" for name, boxes in drawn.items()
            for symbol, (x1, y1, x2, y2) in zip(name.split("-")[0].replace("_", ""), boxes, strict=True)
        ), encoding="utf-8",
    )  # fmt: skip
    convert(source, tmp_path / "out", **TOY_OPTIONS)
    for row in read_manifest(tmp_path / "out"):
        boxes = drawn.get(row.source)
        assert row.method.split()[0] == ("detected" if boxes is None else "drawn")
        label = tmp_path / "out" / "labels" / Path(row.image).relative_to("images").with_suffix(".txt")
        if boxes is not None:
            assert np.allclose(parse_labels(label, 96, 32, 4)[1], boxes, atol=0.01)
