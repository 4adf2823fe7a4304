"""The reader: every kind of picture, many at once, folders, weights that are none; and evaluation."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import detector
from detector import Failure, Reader, Reading
from detector.data.sets.yolo_dataset import read_manifest
from detector.errors import AlphabetError, DatasetError, DetectorError, ImageError, SourceError, WeightsError
from detector.networks.shipped import SHIPPED
from detector.reading.inputs import name_of, named_pictures
from detector.synth import SynthConfig, Synthesizer, SynthImage
from detector.text.alphabet import Alphabet
from detector.text.forms.fitting import fit_string_model_to_labels
from tests.builders import TOY_LENGTH, TOY_SYMBOLS, bad_files, dejavu, iou, toy_synthesizer
from tests.conftest import Toy, ToyRun


@pytest.fixture(scope="module")
def pictures(toy: Toy) -> list[Path]:
    return sorted(toy.source.iterdir())


def same(one: Reading, other: Reading) -> bool:
    """Equal strings, confidences and boxes, but for the rounding of another batch size."""
    boxes = [np.array([c.xyxy for c in r.characters]).reshape(-1, 4) for r in (one, other)]
    return (
        one.text == other.text
        and one.confidence == pytest.approx(other.confidence, abs=1e-3)
        and boxes[0].shape == boxes[1].shape
        and bool(np.allclose(*boxes, atol=0.05))
    )


# One picture


def test_the_toy_is_read(reader: Reader, toy: Toy) -> None:
    texts = {row.source: row.text for row in read_manifest(toy.root) if row.split == "test"}
    read = {name: reader.read(toy.source / name) for name in texts}
    assert sum(read[name].text == text for name, text in texts.items()) > len(texts) / 2
    for reading in read.values():
        assert 0 <= reading.confidence <= 1
        assert len(reading.text) <= TOY_LENGTH
        assert "".join(c.symbol for c in reading.characters) == reading.text.replace(" ", "")


def test_boxes_are_in_the_picture_s_own_pixels(reader: Reader, toy: Toy) -> None:
    make = toy_synthesizer()
    overlaps = []
    for row in read_manifest(toy.root):
        reading = reader.read(toy.root / row.image)
        true = make(int(row.source.split("-")[1].split(".")[0]))
        if reading.text == true.text:
            overlaps += iou(np.array([c.xyxy for c in reading.characters]), true.boxes_xyxy).tolist()
    assert len(overlaps) > 50 and np.median(overlaps) > 0.5


def test_every_kind_of_picture_reads_the_same(reader: Reader, pictures: list[Path]) -> None:
    path = pictures[0]
    image = Image.open(path).convert("RGB")
    array = np.asarray(image)[:, :, ::-1]
    wanted = reader.read(path)
    assert wanted.text
    for kind in (str(path), path.read_bytes(), image, array, np.ascontiguousarray(array)):
        assert same(reader.read(kind), wanted)


def test_the_caller_s_array_is_not_changed(reader: Reader, pictures: list[Path]) -> None:
    array = np.asarray(Image.open(pictures[0]).convert("RGB"))[:, :, ::-1].copy()
    before = array.copy()
    reader.read(array)
    assert np.array_equal(array, before)


def test_a_larger_picture_of_the_same_reads_the_same(reader: Reader, pictures: list[Path]) -> None:
    image = Image.open(pictures[0]).convert("RGB")
    large = image.resize((image.width * 4, image.height * 4), Image.Resampling.BICUBIC)
    one, other = reader.read(image), reader.read(large)
    assert one.text == other.text
    assert np.allclose(np.array([c.xyxy for c in one.characters]) * 4, [c.xyxy for c in other.characters], atol=6)


def test_nothing_to_read_is_no_error(reader: Reader) -> None:
    reading = reader.read(np.full((32, 96, 3), 114, np.uint8))
    assert isinstance(reading, Reading)
    assert len(reading.text) <= TOY_LENGTH


@pytest.mark.parametrize("size_wh", [(4, 4), (500, 4), (4, 500), (2000, 30)], ids=str)
def test_sizes_far_from_those_trained_on(reader: Reader, size_wh: tuple[int, int]) -> None:
    reading = reader.read(np.full((size_wh[1], size_wh[0], 3), 200, np.uint8))
    for character in reading.characters:
        x1, y1, x2, y2 = character.xyxy
        assert 0 <= x1 <= x2 <= size_wh[0] and 0 <= y1 <= y2 <= size_wh[1]


def test_a_bad_picture_is_named(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(bad_files()["truncated PNG"])
    with pytest.raises(ImageError, match=r"bad\.png: truncated"):
        reader.read(tmp_path / "bad.png")
    with pytest.raises(ImageError, match=r"none\.png: no such file"):
        reader.read(tmp_path / "none.png")
    with pytest.raises(ImageError, match="bytes: empty file"):
        reader.read(b"")


def test_candidates_before_decoding(reader: Reader, pictures: list[Path]) -> None:
    found, reading = reader.detect(pictures[0]), reader.read(pictures[0])
    assert isinstance(found, detector.CharDetections)
    assert len(found) >= len(reading.characters) > 0
    assert found.class_id.max() < len(TOY_SYMBOLS)
    for character in reading.characters:
        assert iou(found.xyxy, np.array([character.xyxy] * len(found))).max() > 0.99


# Many


def test_many_are_read_as_one_at_a_time(reader: Reader, pictures: list[Path]) -> None:
    assert len(pictures) > 32, "more than one batch"
    many = reader.read_many(pictures)
    assert len(many) == len(pictures)
    for path, reading in zip(pictures, many, strict=True):
        assert isinstance(reading, Reading) and same(reading, reader.read(path))


def test_threads_may_share_a_reader() -> None:
    """Also one that torch runs, whose head keeps what suits the shape of the last picture."""
    shared = Reader("shipped", device="cpu", backend="torch")
    make = toy_synthesizer(alphabet=Alphabet(), min_length=4)
    images = [cv2.resize(make(i).image, (96 + 64 * (i % 3), 64)) for i in range(24)]
    wanted = [shared.read(image).text for image in images]
    with ThreadPoolExecutor(4) as pool:
        assert [r.text for r in pool.map(shared.read, images)] == wanted


def test_a_pattern_doubts_and_other_strings(reader: Reader, toy_run: ToyRun, pictures: list[Path]) -> None:
    letters = Reader(toy_run.weights, device="cpu", pattern="regex:[AKT]+", alternatives=2)
    plain, fitting = reader.read_many(pictures), letters.read_many(pictures)
    changed = [(one, other) for one, other in zip(plain, fitting, strict=True) if "7" in getattr(one, "text", "")]
    assert changed
    for one, other in changed:
        assert isinstance(one, Reading) and isinstance(other, Reading)
        assert one.text == (other.unconstrained_text if other.accepted else other.rejected_text)
        assert not set(other.text) - set("AKT")
        assert all(not set(a.text) - set("AKT") and a.confidence <= other.confidence for a in other.alternatives)
    doubting = Reader(toy_run.weights, device="cpu", min_confidence=1.0).read(pictures[0])
    assert not doubting and doubting.rejected_text == reader.read(pictures[0]).text


def test_a_reader_that_cannot_be_asked_so(toy_run: ToyRun) -> None:
    with pytest.raises(AlphabetError, match="names no symbol of the alphabet"):
        Reader(toy_run.weights, device="cpu", pattern="-")
    with pytest.raises(DetectorError, match=r"is no text: alternatives are joined"):
        Reader(toy_run.weights, device="cpu", pattern=["AA", "KK"])  # type: ignore[arg-type]
    with pytest.raises(DetectorError, match=r"min_confidence runs from 0 to 1 .* got 1\.5 and 0"):
        Reader(toy_run.weights, device="cpu", min_confidence=1.5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"min_confidence": "0.5"}, "got '0.5' and 0"),
        ({"min_confidence": None}, "got None and 0"),
        ({"min_confidence": float("nan")}, "got nan and 0"),
        ({"alternatives": 1.5}, "got 0.0 and 1.5"),
        ({"two_pass": "no"}, "two_pass='no' is no choice"),
        ({"weights": 5}, "5 is no path of weights"),
    ],
)
def test_arguments_of_another_kind_are_named(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(DetectorError) as caught:
        Reader(**arguments)
    assert words in str(caught.value)


def test_many_in_another_order(reader: Reader, pictures: list[Path]) -> None:
    forth, back = reader.read_many(pictures), reader.read_many(pictures[::-1])[::-1]
    assert [r.text for r in forth if r] == [r.text for r in back if r]


def test_failures_keep_their_place_and_name(reader: Reader, pictures: list[Path], tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"junk")
    missing = tmp_path / "none.png"
    mixed = [pictures[0], tmp_path / "bad.png", pictures[1], missing, pictures[2].read_bytes(), b""]
    found = reader.read_many(mixed)
    assert [bool(f) for f in found] == [True, False, True, False, True, False]
    assert [f.name for f in found if isinstance(f, Failure)] == [str(tmp_path / "bad.png"), str(missing), "bytes"]
    reasons = [f.reason for f in found if isinstance(f, Failure)]
    assert reasons[1:] == ["no such file", "empty file (0 bytes)"]
    assert "not an image" in reasons[0]
    assert [f.text for f in found if isinstance(f, Reading)] == [reader.read(p).text for p in pictures[:3]]


def test_many_of_nothing(reader: Reader) -> None:
    assert reader.read_many([]) == []
    assert list(reader.stream(iter(()))) == []


def test_a_batch_of_failures_only(reader: Reader) -> None:
    found = reader.read_many([b"junk"] * 40)
    assert len(found) == 40 and not any(found)


def test_stream_over_a_folder(reader: Reader, toy: Toy, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    names = sorted(p.name for p in toy.source.iterdir())[:3]
    for name in names[:2]:
        shutil.copyfile(toy.source / name, folder / name)
    shutil.copyfile(toy.source / names[2], folder / "deep" / names[2])
    (folder / "notes.txt").write_text("no picture")
    found = dict(reader.stream(folder))
    assert set(found) == {str(folder / names[0]), str(folder / names[1]), str(folder / "deep" / names[2])}
    assert [r.text for r in found.values() if r] == [reader.read(p).text for p in found]
    assert dict(reader.stream(folder / names[0])).keys() == {str(folder / names[0])}


def test_stream_takes_no_more_than_it_needs(reader: Reader, pictures: list[Path]) -> None:
    taken = 0

    def endless():  # type: ignore[no-untyped-def]
        nonlocal taken
        while True:
            taken += 1
            yield pictures[taken % 3]

    stream = reader.stream(endless())
    for _ in range(5):
        next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert taken <= 32 * 4


def test_a_source_that_fails_loses_nothing_before_it(reader: Reader, pictures: list[Path]) -> None:
    def failing() -> Iterator[Path]:
        for i in range(40):  # more than a batch
            yield pictures[i % 3]
        raise OSError("the disk is gone")

    found = []
    with pytest.raises(OSError, match="the disk is gone"):
        for _, reading in reader.stream(failing()):
            found.append(reading)
    assert len(found) == 40 and all(found)


def test_sources_that_are_not_there(reader: Reader, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="give a picture or a folder of pictures"):
        reader.stream(tmp_path / "none")


def test_names() -> None:
    assert name_of("a/b.png") == "a/b.png" == name_of(Path("a/b.png"))
    assert name_of(b"") == "bytes"
    assert name_of(np.zeros((1, 1))) == "ndarray"
    assert list(named_pictures([b"", "a.png"])) == [("bytes", b""), ("a.png", "a.png")]


# Weights


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"There are no weights at .*none\.pt: give a file that `detector train`"):
        Reader(tmp_path / "none.pt")


NO_WEIGHTS = {
    "text": ("w.pt", b"hello"),
    "empty": ("w.pt", b""),
    "a picture": ("w.pt", bad_files()["1-pixel PNG"]),
    "ONNX of junk": ("w.onnx", b"hello"),
    "another suffix": ("w.txt", b"hello"),
}


@pytest.mark.parametrize(("name", "data"), NO_WEIGHTS.values(), ids=NO_WEIGHTS.keys())
def test_files_that_are_no_weights(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(WeightsError, match=rf"{name}"):
        Reader(tmp_path / name, device="cpu")


def test_weights_of_another_kind(tmp_path: Path) -> None:
    import torch

    torch.save({"symbols": "AB", "state": {}}, tmp_path / "aligner.pt")
    with pytest.raises(WeightsError, match=r"aligner\.pt"):
        Reader(tmp_path / "aligner.pt", device="cpu")


def plain_yolo_weights(path: Path, names: list[str]) -> Path:
    """A network of Ultralytics' own, untrained, as `yolo train` would save it."""
    from ultralytics import YOLO

    from detector.networks.shipped import NETWORK

    model = YOLO(str(NETWORK), task="detect", verbose=False)
    model.model.names = dict(enumerate(names))
    model.save(path)
    return path


def test_weights_for_other_things_than_characters(ultralytics_offline: None, tmp_path: Path) -> None:
    path = plain_yolo_weights(tmp_path / "cars.pt", ["car", "bus", *map(str, range(34))])
    with pytest.raises(WeightsError, match=r"cars\.pt detects car, bus, .* not single characters"):
        Reader(path, device="cpu")


def test_weights_of_plain_yolo_for_characters(
    ultralytics_offline: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    symbols = "".join(reversed("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    plain = Reader(plain_yolo_weights(tmp_path / "plain.pt", list(symbols)), device="cpu")
    assert plain.config.symbols == symbols
    assert "plain.pt says nothing of the strings: at most 8 symbols are read and no spaces" in caplog.text
    assert isinstance(plain.read(np.zeros((64, 256, 3), np.uint8)), Reading)


def test_what_a_reader_must_know_is_in_its_weights(reader: Reader, toy: Toy, toy_run: ToyRun) -> None:
    assert replace(reader.config, calibration=None, two_pass=None, lookalikes=None) == toy.report.config
    assert reader.config.calibration is not None
    assert reader.weights == toy_run.weights


@pytest.mark.skipif(not SHIPPED.is_file(), reason="no shipped detector in this checkout")
def test_the_shipped_reader_reads_plain_text() -> None:
    make = toy_synthesizer(
        alphabet=detector.Alphabet(), length=6, min_length=5, size_wh=(192, 48), spaces=0.0,
        fonts=(dejavu("DejaVuSans"), dejavu()), seed=3,
    )  # fmt: skip
    shipped = Reader(device="cpu")
    made = [make(i) for i in range(20)]
    right = [
        reading.text == m.text for m, reading in zip(made, shipped.read_many([m.image for m in made]), strict=True)
    ]
    assert sum(right) >= 14


# Against labels


def test_evaluation_of_a_split(reader: Reader, toy: Toy) -> None:
    told: list[tuple[int, int]] = []
    found = detector.evaluate(reader, toy.report.data_yaml, progress=lambda *at: told.append(at))
    count = toy.report.splits["test"]
    assert found.count == count and told[-1] == (count, count)
    texts = {row.image: row.text for row in read_manifest(toy.root)}
    wrong = {name: reader.read(toy.root / name).text for name, _, _, _ in found.wrong}
    assert all(texts[name] == label != reading == wrong[name] for name, label, reading, _ in found.wrong)
    assert found.exact_match == pytest.approx(1 - len(wrong) / count)
    assert found.to_dict()["count"] == count


def test_evaluation_of_a_folder_counts_failures_as_wrong(reader: Reader, toy: Toy, tmp_path: Path) -> None:
    for path in sorted(toy.source.iterdir())[:6]:
        shutil.copyfile(path, tmp_path / path.name)
    (tmp_path / "AKT.png").write_bytes(b"junk")
    found = detector.evaluate(reader, tmp_path, space="_")
    assert found.count == 7
    assert [f.name for f in found.failures] == ["AKT.png"]
    assert found.exact_match == found.score.right / 7


def test_evaluation_of_a_split_that_is_not_there(reader: Reader, toy: Toy) -> None:
    with pytest.raises(DatasetError, match="no pictures in split 'dev', only in test, train, val"):
        detector.evaluate(reader, toy.root, split="dev")


# A second pass


@pytest.fixture(scope="module")
def far_away() -> tuple[np.ndarray, SynthImage]:
    """A text that takes a fifth of its picture's width, which is where its boxes are."""
    config = SynthConfig(styles=("plain",), length=6, size_wh=(128, 32), fonts=(dejavu(),), seed=3)
    made = Synthesizer(config)(0)
    picture = np.full((150, 600, 3), 255, np.uint8)
    picture[60:92, 400:528] = made.image
    return picture, replace(made, image=picture, boxes_xyxy=made.boxes_xyxy + np.float32([400, 60, 400, 60]))


def test_text_far_away_is_read_in_two_passes(far_away: tuple[np.ndarray, SynthImage]) -> None:
    picture, true = far_away
    once, twice = Reader(two_pass=False).read(picture), Reader().read(picture)
    assert twice.text == true.text
    assert twice.confidence != once.confidence
    assert (iou(np.array([c.xyxy for c in twice.characters]), true.boxes_xyxy) > 0.5).all()


@pytest.mark.parametrize("pattern", ["XXXX", "999A", "regex:[A-Z]{1,3}[0-9]{2,4}"])
def test_what_a_pattern_overrules_is_what_is_read_without_it(
    far_away: tuple[np.ndarray, SynthImage], pattern: str
) -> None:
    """Also where a second pass is taken: it is the same one."""
    picture, _ = far_away
    plain, fitting = Reader().read(picture), Reader(pattern=pattern).read(picture)
    assert fitting.shown_text != plain.text
    assert plain.text == (fitting.unconstrained_text if fitting.accepted else fitting.rejected_text)


def test_text_that_is_read_surely_gets_one_pass(
    far_away: tuple[np.ndarray, SynthImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture, _ = far_away
    near = np.ascontiguousarray(picture[40:112, 380:548])  # it does not fill this, either, and is as large as it gets
    reader = Reader()
    seen = 0

    def network(images: np.ndarray) -> list[detector.CharDetections]:
        nonlocal seen
        seen += len(images)
        return opened(images)

    opened = reader._network
    monkeypatch.setattr(reader, "_opened", (os.getpid(), network))
    assert min(c.confidence for c in reader.read(near).characters) > 0.95 and seen == 1
    reader.read(picture)
    assert seen == 3


def test_a_photograph_gets_its_second_pass_in_little_memory(far_away: tuple[np.ndarray, SynthImage]) -> None:
    """Twelve times as large: what is kept of it for a second pass does not grow with it, and the boxes are its own."""
    picture, true = far_away
    large = np.asarray(Image.fromarray(picture).resize((7200, 1800), Image.Resampling.BICUBIC))
    reader = Reader()
    kept = reader._pipeline.prepare(large).source_image
    assert kept is not None and kept.nbytes < 4 << 20
    reading = reader.read(large)
    assert reading.text == true.text
    assert (iou(np.array([c.xyxy for c in reading.characters]), true.boxes_xyxy * 12) > 0.5).all()


def test_two_passes_are_the_same_for_one_and_for_many(far_away: tuple[np.ndarray, SynthImage]) -> None:
    reader, picture = Reader(), far_away[0]
    pictures = [picture, picture[50:100, 380:540], np.full((40, 160, 3), 255, np.uint8), picture[:, ::2]]
    pictures = [np.ascontiguousarray(p) for p in pictures]
    for one, other in zip([reader.read(p) for p in pictures], reader.read_many(pictures), strict=True):
        assert isinstance(other, Reading) and same(one, other)


def test_weights_trained_on_a_set_take_one_pass(reader: Reader) -> None:
    assert not reader.two_pass and Reader().two_pass
    assert Reader(two_pass=False).two_pass is False


def test_what_is_no_weights_is_said_at_once(toy: Toy, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"is a dataset: .* in weights/"):
        Reader(toy.root)
    (tmp_path / "notes.md").write_text("x")
    for path in (tmp_path, tmp_path / "notes.md"):
        with pytest.raises(WeightsError, match=r"is no weights: give a \.pt"):
            Reader(path)


def test_device_0_is_a_gpu(toy_run: ToyRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(DetectorError, match="asks for a GPU"):
        Reader(toy_run.weights, device=0)  # type: ignore[arg-type]


def test_shipped_is_the_name_of_the_package_s_weights() -> None:
    assert Reader("shipped", device="cpu").weights == SHIPPED


FORKED = """
import multiprocessing as mp, sys
import numpy as np
import detector

pictures = [np.full((64, 256, 3), 255, np.uint8)] * 40
reader = detector.Reader(sys.argv[1], device="cpu")
before = [reading.text for reading in reader.read_many(pictures)]
reader.read(pictures[0])

def child(_):
    again = [reading.text for reading in reader.read_many(pictures)]
    return again == before and reader.read(pictures[0]).text == before[0]

def goes_on(stream):
    try:
        list(stream)
    except detector.DetectorError as error:
        sys.exit(0 if "begin another one" in str(error) and child(0) else 4)

if __name__ == "__main__":
    context = mp.get_context("fork")
    process = context.Process(target=lambda: sys.exit(0 if child(0) else 3))
    process.start()
    process.join(60)
    assert process.exitcode == 0, process.exitcode
    with context.Pool(2) as pool:
        assert pool.map_async(child, [0, 1]).get(60) == [True, True]
    stream = reader.stream(pictures * 3)
    next(stream)
    process = context.Process(target=goes_on, args=(stream,))
    process.start()
    process.join(60)
    assert process.exitcode == 0, process.exitcode
    assert len(list(stream)) == 3 * len(pictures) - 1
    assert child(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_reader_reads_in_forked_children() -> None:
    """Also while a stream is read, which goes on in the parent alone."""
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    environment["PYTHONPATH"] = str(Path(detector.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED, "shipped"], env=environment, capture_output=True, text=True,
        timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_reader_is_pickled_by_its_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(device="cpu", pattern="AAA9999", min_confidence=0.5, alternatives=2, two_pass=False)
    data = pickle.dumps(reader)
    assert len(data) < 1000
    monkeypatch.chdir(tmp_path)
    again = pickle.loads(data)
    assert (again.config, again.min_confidence, again.alternatives, again.two_pass, again.backend) == (
        reader.config, 0.5, 2, False, reader.backend,
    )  # fmt: skip
    picture = np.full((64, 256, 3), 255, np.uint8)
    assert again.read(picture).text == reader.read(picture).text


def test_a_reader_fitted_to_pictures(
    reader: Reader, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reader.string_model is reader.fitted_to(pictures).string_model is None  # too few to tell
    model = fit_string_model_to_labels([f"7{a}{b}" for a in "AKT" for b in "AKT"] * 3, reader.config.symbols)
    assert model is not None
    monkeypatch.setattr("detector.reading.reader.fit_string_model", lambda *_: model)
    fitted = reader.fitted_to(pictures)
    assert fitted.string_model is model and reader.string_model is None
    told = fitted.read_many(pictures)
    held: list[int] = []
    again, stream = reader.fitted_stream([*pictures, tmp_path / "missing.png"], held.append)
    assert held == list(range(1, len(pictures) + 2)), "told before the first reading comes"
    assert again.string_model is model
    *streamed, (name, failure) = stream
    assert [reading for _, reading in streamed] == told
    assert (name, bool(failure)) == (str(tmp_path / "missing.png"), False)
    assert all(reading.evidence is None for _, reading in streamed if isinstance(reading, Reading))
    for picture, reading in zip(pictures, told, strict=True):
        assert fitted.read(picture) == reading  # whatever stands beside it
        assert pickle.loads(pickle.dumps(fitted)).read(picture) == reading
    assert fitted.fitted_to(pictures).string_model is model  # what it has goes before
    assert Reader(reader.weights, pattern="").string_model is None
    with pytest.raises(SourceError, match="has no end"):
        reader.fitted_to("0")
    assert Reader(reader.weights, pattern="X").fitted_to(pictures).string_model is None


def test_a_live_stream_is_read_by_its_first_strings(
    reader: Reader, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fit_string_model_to_labels([f"7{a}{b}" for a in "AKT" for b in "AKT"] * 3, reader.config.symbols)
    assert model is not None
    shown = [*pictures[:3], *pictures]  # the first ones are seen twice
    fitted_to = list[str]()

    def frames(_: object) -> Iterator[tuple[str, Path | ImageError]]:
        yield from ((f"0#{number}", picture) for number, picture in enumerate(shown))
        yield "0", ImageError("the line was lost")

    def fit(readings: Iterable[Reading], *_: object) -> object:
        fitted_to.extend(reading.text for reading in readings)
        return model

    monkeypatch.setattr("detector.reading.reader.live_pictures", frames)
    monkeypatch.setattr("detector.reading.reader.fit_string_model", fit)
    monkeypatch.setattr("detector.reading.reader.FIRST_LEARNT", 4)
    by_model = reader.fitted_to(pictures)
    fitted_to.clear()
    learnt = list[object]()
    *streamed, (_, lost) = reader.learning_stream("0", learnt.append)
    assert isinstance(lost, Failure) and "lost" in lost.reason
    assert learnt == [model] and len(fitted_to) == len(set(fitted_to)) == 4
    first = next(n for n in range(len(shown)) if {reader.read(p).text for p in shown[:n]} - {""} == set(fitted_to))
    for number, (picture, (_, reading)) in enumerate(zip(shown, streamed, strict=True)):
        assert reading == (reader if number < first else by_model).read(picture)
