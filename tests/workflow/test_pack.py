"""Packing: what is in the shards, that nothing is lost, and that a stopped call goes on to the same bytes."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from detector import PackReport, pack
from detector.conversion.convert import convert
from detector.data.images import picture_size_wh
from detector.data.labels.sources import read_source
from detector.data.packs.shards import ShardPicture
from detector.data.sets.yolo_dataset import read_manifest, read_rejects
from detector.errors import ArgumentError, DatasetError, DependencyError, SourceError
from detector.workflow.fit_folder import pictures_of
from tests.builders import (
    contents,
    encoded,
    label_file,
    labelled_folder,
    noise_picture,
    read_shards,
    toy_folder,
    write_pictures,
    write_shard,
)
from tests.kills import killed

pytest.importorskip("pyarrow", reason="Parquet needs the extra shards")

PNG = encoded(noise_picture(16, 8), "PNG")


def rows(out: Path | PackReport) -> list[ShardPicture]:
    return list(read_shards(out))


def texts(out: Path | PackReport) -> dict[str, str | None]:
    return {row.id: row.text for row in rows(out)}


def test_a_labelled_folder(tmp_path: Path) -> None:
    source = labelled_folder(
        tmp_path / "plates", {"a.png": "ＡＢ ", "b.png": "", "c.png": "CD", "d.png": "EF"}, missing=["c.png"]
    )
    (source / "images" / "d.png").write_bytes(b"no picture")
    report = pack(source, tmp_path / "out", rows=2)
    assert (report.inputs, report.pictures, report.labelled, report.shards, report.refused) == (4, 3, 3, 2, 1)
    assert rows(report) == [
        ShardPicture("images/a.png", (source / "images" / "a.png").read_bytes(), "ＡＢ ", 16, 8),
        ShardPicture("images/b.png", (source / "images" / "b.png").read_bytes(), "", 16, 8),
        ShardPicture("images/d.png", b"no picture", "EF", 0, 0),
    ], "texts as they are spelt, and no file judged"
    assert sorted(path.name for path in report.out.iterdir()) == [
        "part-00000.parquet", "part-00001.parquet", "rejects.csv",
    ]  # fmt: skip
    assert [row.source for row in read_rejects(report.out)] == ["images/c.png"]
    assert "no such file" in next(iter(report.examples.values())) and report.rejects.is_file()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("out")] == ["out"]


def frames(folder: Path) -> Path:
    writer = cv2.VideoWriter(str(folder / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5, (32, 16))
    for level in (0, 255):
        writer.write(np.full((16, 32, 3), level, np.uint8))
    writer.release()
    return folder


UNLABELLED: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "a folder": (lambda root: write_pictures(root, ["IMG_1.png", "x/IMG_2.png"]), ["IMG_1.png", "x/IMG_2.png"]),
    "a folder with a video": (
        lambda root: frames(write_pictures(root, ["a.png"])), ["a.png", "clip.avi#1.png", "clip.avi#2.png"],
    ),
    "a list": (lambda root: label_file(root, "list.txt", "b.png\na.png\n") / "list.txt", ["b.png", "a.png"]),
    "one picture": (lambda root: write_pictures(root, ["a.png"]) / "a.png", ["a.png"]),
    "a pattern": (lambda root: write_pictures(root, ["a.png", "b.png"]) / "*.png", ["a.png", "b.png"]),
    "shards with texts": (lambda root: write_shard(root / "s.parquet", [("x", PNG, "AB")]), ["x"]),
}  # fmt: skip


@pytest.mark.parametrize(("write", "ids"), UNLABELLED.values(), ids=UNLABELLED)
def test_pictures_without_labels(tmp_path: Path, write: Callable[[Path], Any], ids: list[str]) -> None:
    source = write(tmp_path / "new") if (tmp_path / "new").mkdir() is None else None
    report = pack(source, tmp_path / "out", labels="none")
    assert texts(report) == dict.fromkeys(ids)
    assert (report.labelled, report.refused) == (0, 0)
    assert all((row.width, row.height) == picture_size_wh(row.data or b"") != (0, 0) for row in rows(report))


def test_what_is_packed_is_packed_again_to_the_same_bytes(tmp_path: Path) -> None:
    source = labelled_folder(tmp_path / "plates", {f"{i}.png": f"A{i}" for i in range(7)})
    first = pack(source, tmp_path / "a", rows=3)
    assert contents(pack(first, tmp_path / "b", rows=3).out) == contents(first.out)


def test_a_packed_folder_becomes_the_set_of_the_folder(tmp_path: Path) -> None:
    toy_folder(tmp_path / "pictures", 30, alphabet="ABCDEFHK", spaces=0.0)
    packed = pack(tmp_path / "pictures", tmp_path / "shards", rows=11)
    folder, shards = read_source(tmp_path / "pictures"), read_source(packed)
    assert [(i.name, i.text) for i in shards.items] == [(i.name, i.text) for i in folder.items]
    for source in ("pictures", "shards"):
        convert(tmp_path / source, tmp_path / f"set-{source}", device="cpu", val=0.2)
    assert read_manifest(tmp_path / "set-shards") == read_manifest(tmp_path / "set-pictures")


def test_a_reader_of_shards_is_called_by_their_folder(tmp_path: Path) -> None:
    packed = pack(labelled_folder(tmp_path / "x", {"a.png": "A", "b.png": "B"}), tmp_path / "plates", rows=1)
    assert pictures_of(read_source(packed)) == pictures_of(read_source(packed.out / "part-00001.parquet")) == packed.out


def test_prelabels_are_no_labels(tmp_path: Path) -> None:
    table = (
        "image,text,confidence,status\na.png,AB,0.99,sure\nb.png,CD,1,person\nc.png,EF,0.2,doubtful\nd.png,,1,dropped\n"
    )
    source = label_file(tmp_path / "new", "labels.csv", table, ("a.png", "b.png", "c.png", "d.png"))
    report = pack(source, tmp_path / "out")
    assert texts(report) == {"a.png": None, "b.png": "CD", "c.png": None}
    assert [row.reason for row in read_rejects(report.out)] == ["a person dropped it (line 5)"]


REFUSED: dict[str, tuple[Callable[[Path], Any], dict[str, Any], type[Exception], str]] = {
    "missing": (lambda root: root / "none", {}, SourceError, "There is no file or folder"),
    "names are no texts": (
        lambda root: write_pictures(root, [f"IMG_{i:04}.png" for i in range(9)]), {}, SourceError,
        "do not look like their texts.*Without texts the pictures are packed with labels='none'",
    ),
    "nothing can be packed": (
        lambda root: labelled_folder(root, {"a.png": "A"}, missing=["a.png"]), {}, SourceError,
        "no picture to pack: images/a.png",
    ),
    "a camera": (lambda root: "0", {"labels": "none"}, SourceError, "0 has no end"),
    "other labels of shards": (
        lambda root: write_shard(root / "s.parquet", [("a.png", PNG, "A")]), {"labels": "csv"}, SourceError,
        "leave out labels='csv'",
    ),
    "no rows": (lambda root: write_pictures(root, ["A.png"]), {"rows": 0}, ArgumentError, "1 or more, got 0"),
    "broken shards": (
        lambda root: label_file(root, "s.parquet", b"PAR1", ()), {}, SourceError, "cannot be read as Parquet",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("write", "options", "error", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_packed(
    tmp_path: Path, write: Callable[[Path], Any], options: dict[str, Any], error: type[Exception], said: str
) -> None:
    (tmp_path / "new").mkdir()
    with pytest.raises(error, match=said):
        pack(write(tmp_path / "new"), tmp_path / "out", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_nothing_is_replaced(tmp_path: Path) -> None:
    source = write_pictures(tmp_path / "new", ["AB.png"])
    (tmp_path / "out").mkdir()
    with pytest.raises(DatasetError, match="out exists: choose another folder"):
        pack(source, tmp_path / "out")
    with pytest.raises(DatasetError, match="lies inside"):
        pack(source, source / "out")
    write_pictures(tmp_path / "other.part", ["part-00000.parquet"])
    with pytest.raises(DatasetError, match=r"other\.part is needed .* and holds part-00000\.parquet: move it away"):
        pack(source, tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "other.part", "out"]


# Stopped calls


def pack_in_three(source: Path) -> None:
    pack(source, "out", rows=3)


def stopped(source: Path, out: Path, after: int) -> None:
    """The same, stopped by Ctrl-C when so many inputs were taken."""

    def progress(stage: str, done: int, total: int) -> None:
        if done == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(source, out, rows=3, progress=progress)


def test_a_killed_call_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    names = {f"{i}.png": f"A{i}" for i in range(8)}
    source = labelled_folder(tmp_path / "plates", names, missing=["1.png", "7.png"])
    pack(source, tmp_path / "whole", rows=3)
    kills = 0
    while killed(pack_in_three, source, root=tmp_path, step=3):
        kills += 1
        done = tmp_path / "out.part" if (tmp_path / "out.part").is_dir() else tmp_path / "out"
        for shard in done.glob("*.parquet"):
            assert shard.read_bytes() == (tmp_path / "whole" / shard.name).read_bytes(), "whole, or not there"
    assert kills >= 2
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert not (tmp_path / "out.part").exists()


def test_a_call_that_was_killed_when_all_was_there_is_through(tmp_path: Path) -> None:
    source = labelled_folder(tmp_path / "plates", {f"{i}.png": f"A{i}" for i in range(8)}, missing=["1.png"])
    whole = pack(source, tmp_path / "whole", rows=3)
    assert killed(pack_in_three, source, root=tmp_path, name="out/part-00001.json", step=0)
    assert (tmp_path / "out" / "request.json").is_file()
    report = pack(source, tmp_path / "out", rows=3)
    assert contents(report.out) == contents(whole.out)
    assert (report.inputs, report.labelled, report.reasons) == (whole.inputs, whole.labelled, whole.reasons)


CHANGES: dict[str, Callable[[Path], Any]] = {
    "nothing": lambda source: None,
    "another picture": lambda source: (source / "images" / "4.png").write_bytes(PNG),
    "the first picture": lambda source: (source / "images" / "0.png").write_bytes(PNG),
    "fewer": lambda source: (source / "labels.csv").write_text("image,text\nimages/0.png,A0\n", encoding="utf-8"),
    "another label": lambda source: (source / "labels.csv").write_text(
        (source / "labels.csv").read_text(encoding="utf-8").replace("A1", "B1"), encoding="utf-8"
    ),
    "the missing one is there": lambda source: (source / "images" / "6.png").write_bytes(PNG),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_source_that_has_changed_is_packed_as_it_is(tmp_path: Path, change: Callable[[Path], Any]) -> None:
    names = {f"{i}.png": f"A{i}" for i in range(9)}
    source = labelled_folder(tmp_path / "plates", names, missing=["6.png"])
    stopped(source, tmp_path / "out", 8)
    before = (tmp_path / "out.part" / "part-00000.parquet").stat().st_mtime_ns
    change(source)
    pack(source, tmp_path / "out", rows=3)
    pack(source, tmp_path / "anew", rows=3)
    assert contents(tmp_path / "out") == contents(tmp_path / "anew")
    kept = (tmp_path / "out" / "part-00000.parquet").stat().st_mtime_ns == before
    assert kept is (change in (CHANGES["nothing"], CHANGES["another picture"], CHANGES["the missing one is there"]))


def test_a_stopped_call_goes_through_the_source_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tar file is read from its beginning: twice would be hours."""
    source = tmp_path / "a.tar"
    with tarfile.open(source, "w") as archive:
        for i in range(8):
            (tmp_path / "new.png").write_bytes(PNG)
            archive.add(tmp_path / "new.png", f"{i}.png")
    whole = pack(source, tmp_path / "whole", rows=3)
    assert killed(pack_in_three, source, root=tmp_path, name="part-00001.json.part", step=0)
    opened = []
    tar_open = tarfile.open
    monkeypatch.setattr(tarfile, "open", lambda *args, **named: opened.append(args) or tar_open(*args, **named))
    assert contents(pack(source, tmp_path / "out", rows=3).out) == contents(whole.out)
    assert len(opened) == 1


def test_another_request_begins_anew(tmp_path: Path) -> None:
    source = labelled_folder(tmp_path / "plates", {f"{i}.png": f"A{i}" for i in range(8)})
    stopped(source, tmp_path / "out", 5)
    assert [row.id for row in rows(pack(source, tmp_path / "out", rows=5))] == [f"images/{i}.png" for i in range(8)]


def test_memory_does_not_grow_with_the_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every picture is a link to one of 4 MB; more than a row group of them is never in memory."""
    alive = most = 0

    class Bytes(bytes):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def read(path: Path) -> bytes:
        nonlocal alive, most
        alive += 1
        most = max(most, alive)
        return Bytes(4_000_000)

    monkeypatch.setattr("detector.workflow.packing.sources.read_file", read)
    monkeypatch.setattr("detector.data.parallel.cores", lambda: 2)
    source = write_pictures(tmp_path / "new", [f"A{i}.png" for i in range(60)])
    assert pack(source, tmp_path / "out").pictures == 60
    assert most <= 12


def test_the_extra_is_named_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_pictures(tmp_path / "new", ["AB.png"])
    monkeypatch.setattr("detector.errors.is_installed", lambda module: module != "pyarrow")
    with pytest.raises(DependencyError, match=r"^Packing needs pyarrow: run `pip install '.*\[shards\]'`\.$"):
        pack(source, tmp_path / "out")
    assert os.listdir(tmp_path) == ["new"]


def test_a_folder_with_no_pictures_left_is_no_longer_the_source(tmp_path: Path) -> None:
    source = labelled_folder(tmp_path / "plates", {f"{i}.png": f"A{i}" for i in range(8)})
    stopped(source, tmp_path / "out", 7)
    shutil.rmtree(source / "images")
    with pytest.raises(SourceError):
        pack(source, tmp_path / "out", rows=3)
