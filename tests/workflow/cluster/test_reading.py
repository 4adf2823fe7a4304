"""Shards read into files of readings: row for row, gone on with after any stop, nothing of others replaced."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import detector
from detector.cli import app
from detector.data.atomic import part_name
from detector.errors import ArgumentError, DatasetError, DependencyError, ImageError, SourceError
from detector.reading.inputs import named_pictures
from tests.builders import contents
from tests.conftest import Toy, ToyRun
from tests.workflow.cluster.object_store import object_store

pa = pytest.importorskip("pyarrow", reason="shards need the extra shards")
parquet = pytest.importorskip("pyarrow.parquet")

from pyarrow import fs  # noqa: E402

from detector.data.packs.shards import ShardPicture, write_shards  # noqa: E402
from detector.workflow.cluster import lost_jobs, machines, places, shard_readings  # noqa: E402
from detector.workflow.cluster.places import Place, shards_of  # noqa: E402

ROWS = 8


@pytest.fixture(scope="module")
def pictures(toy: Toy) -> list[ShardPicture]:
    """Twenty pictures of the toy, one that is no picture, and one without bytes."""
    files = sorted(toy.source.iterdir())[:20]
    named = [ShardPicture(file.name, file.read_bytes()) for file in files]
    return [*named[:5], ShardPicture("broken.png", b"no picture"), *named[5:], ShardPicture("empty.png", b"")]


@pytest.fixture
def packed(pictures: list[ShardPicture], tmp_path: Path) -> Path:
    folder = tmp_path / "shards"
    folder.mkdir()
    assert len(list(write_shards(pictures, folder, rows=ROWS))) == 3
    return folder


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [row for file in sorted(folder.glob("*.parquet")) for row in parquet.read_table(file).to_pylist()]


def test_rows_are_what_a_reader_reads_in_the_order_of_the_shards(
    packed: Path, pictures: list[ShardPicture], toy_run: ToyRun, tmp_path: Path
) -> None:
    read = detector.predict_shards(toy_run.weights, packed, tmp_path / "out", alternatives=1, device="cpu")
    rows = rows_of(tmp_path / "out")
    assert [row["id"] for row in rows] == [picture.id for picture in pictures]
    reader = detector.Reader(toy_run.weights, device="cpu", alternatives=1)
    fitted, readings = reader.fitted_stream([picture.data or b"" for picture in pictures])
    for row, (_, reading) in zip(rows, readings, strict=True):
        told = {name: value for name, value in row.items() if value is not None and name != "id"}
        assert told == ({"error": reading.reason} if isinstance(reading, detector.Failure) else reading.to_dict())
    assert (read.shards, read.pictures, read.failed, read.rejected) == (3, 22, 2, 0)
    assert read.string_model == fitted.string_model and os.fspath(read) == str(tmp_path / "out")
    assert not {row["id"]: row["error"] for row in rows}[pictures[0].id]


def test_rows_are_the_lines_of_predict(packed: Path, toy_run: ToyRun, tmp_path: Path) -> None:
    schema = parquet.read_schema(packed / "part-00000.parquet").remove(1).insert(1, pa.field("bytes", pa.binary()))
    row = {"id": "none", "bytes": None, "width": 0, "height": 0}
    parquet.write_table(pa.Table.from_pylist([row], schema), packed / "part-00009.parquet")
    arguments = ["predict", str(toy_run.weights), str(packed), "--device", "cpu"]
    lines = CliRunner().invoke(app, [*arguments, "--format", "json"]).stdout.splitlines()
    CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out")])
    rows = [{name: value for name, value in row.items() if value is not None} for row in rows_of(tmp_path / "out")]
    assert len(lines) == 23
    assert rows == [{"id": line.pop("image"), **line} for line in map(json.loads, lines)]


def test_what_is_lost_is_read_again_and_the_rest_is_not(packed: Path, toy_run: ToyRun, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = detector.predict_shards(toy_run.weights, packed, out, device="cpu")
    before, times = contents(out), {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    (out / "part-00001.parquet").unlink()
    alive = part_name("part-00002.parquet")
    (out / alive.replace(f"-{os.getpid()}-", "-999999999-")).write_bytes(b"of a killed worker")
    others = {alive: b"of a process that writes it at the moment", "mine.part": b"of somebody else"}
    for name, content in others.items():
        (out / name).write_bytes(content)
    again = detector.predict_shards(toy_run.weights, packed, out, device="cpu")
    assert contents(out) == {**before, **others}
    assert [again.pictures, again.failed] == [told.pictures, told.failed]
    kept = {name for name in times if (out / name).stat().st_mtime_ns == times[name]}
    assert kept == {"part-00000.parquet", "part-00002.parquet"}


def test_a_shard_that_has_changed_is_read_again(
    packed: Path, pictures: list[ShardPicture], toy_run: ToyRun, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    detector.predict_shards(toy_run.weights, packed, out, string_format=False, device="cpu")
    list(write_shards(pictures[:3], packed, first=2))
    again = detector.predict_shards(toy_run.weights, packed, out, string_format=False, device="cpu")
    assert again.pictures == 2 * ROWS + 3 and len(rows_of(out)) == 2 * ROWS + 3


def test_a_shard_that_was_replaced_by_one_of_its_size_is_read_again(
    packed: Path, pictures: list[ShardPicture], toy_run: ToyRun, tmp_path: Path
) -> None:
    arguments: dict[str, Any] = {"string_format": False, "device": "cpu"}
    before = detector.predict_shards(toy_run.weights, packed, tmp_path / "out", **arguments)
    shard, data = packed / "part-00000.parquet", pictures[0].data
    assert data is not None
    shard.write_bytes(shard.read_bytes().replace(data, bytes(len(data))))
    after = detector.predict_shards(toy_run.weights, packed, tmp_path / "out", **arguments)
    assert (after.pictures, after.failed) == (before.pictures, before.failed + 1)
    (row, *_) = rows_of(tmp_path / "out")
    assert row["id"] == pictures[0].id and row["error"]


def test_files_of_others_are_never_replaced(packed: Path, toy_run: ToyRun, tmp_path: Path) -> None:
    out = tmp_path / "out"
    detector.predict_shards(toy_run.weights, packed, out, device="cpu")
    before = contents(out)
    with pytest.raises(DatasetError, match=r"part-00000\.parquet is of other weights or options"):
        detector.predict_shards(toy_run.weights, packed, out, min_confidence=0.5, device="cpu")
    assert contents(out) == before
    for content in (b"", b"a letter"):
        (out / "part-00000.parquet").write_bytes(content)
        with pytest.raises(DatasetError, match="not of this package"):
            detector.predict_shards(toy_run.weights, packed, out, device="cpu")
        assert (out / "part-00000.parquet").read_bytes() == content


def test_a_broken_shard_is_named_when_all_others_are_read(packed: Path, toy_run: ToyRun, tmp_path: Path) -> None:
    good = (packed / "part-00001.parquet").read_bytes()
    (packed / "part-00001.parquet").write_bytes(good[: len(good) // 2])
    parquet.write_table(pa.table({"id": ["a"]}), packed / "part-00003.parquet")
    out = tmp_path / "out"
    with pytest.raises(SourceError, match=r"2 of 4 shards could not be read.*part-00001.*part-00003.*'bytes'"):
        detector.predict_shards(toy_run.weights, packed, out, string_format=False, device="cpu")
    assert sorted(contents(out)) == ["part-00000.parquet", "part-00002.parquet"]
    (packed / "part-00001.parquet").write_bytes(good)
    (packed / "part-00003.parquet").unlink()
    assert detector.predict_shards(toy_run.weights, packed, out, string_format=False, device="cpu").pictures == 22


WRONG: dict[str, tuple[list[str], str, type[Exception], str]] = {
    "nothing there": (["{}/nothing"], "out", SourceError, "There is no .*/nothing"),
    "a folder without shards": (["{}"], "out", SourceError, "There are no .parquet files in"),
    "names twice": (["{}/shards", "{}/shards/part-00000.parquet"], "out", ArgumentError, "the same name"),
    "among the shards": (["{}/shards"], "shards", ArgumentError, "holds the shards themselves"),
    "a file in the way": (
        ["{}/shards"],
        "shards/part-00000.parquet/out",
        DatasetError,
        r"part-00000\.parquet is no fold",
    ),
    "a name that is not UTF-8": (["{}/shards\udcff"], "out", SourceError, "the name is not UTF-8, .* rename it"),
    "an unknown kind of address": (["nowhere://x/y"], "out", SourceError, "nowhere://x/y cannot be opened"),
}


@pytest.mark.parametrize(("sources", "out", "error", "told"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_read_is_said_before_weights_are_opened(
    sources: list[str], out: str, error: type[Exception], told: str, packed: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=told):
        detector.predict_shards("no.pt", [one.format(tmp_path) for one in sources], tmp_path / out)


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes, and links")
def test_what_else_lies_there_is_passed_over(packed: Path, toy_run: ToyRun, tmp_path: Path) -> None:
    (packed / "\udcff.txt").touch()
    (packed / "loop").symlink_to(packed / "loop")
    assert [shard.name for shard in shards_of([packed])] == [f"part-0000{i}.parquet" for i in range(3)]
    assert len(list(named_pictures(packed))) == 22
    (packed / "part-00003.parquet").symlink_to(packed / "part-00003.parquet")
    with pytest.raises(SourceError, match=r"1 of 4 shards could not be read.*part-00003"):
        detector.predict_shards(toy_run.weights, packed, tmp_path / "out", string_format=False, device="cpu")
    (packed / "part-00003.parquet").rename(packed / "\udcff.parquet")
    with pytest.raises(SourceError, match="the name is not UTF-8"):
        shards_of([packed])
    *_, (name, problem) = named_pictures(packed)
    assert name.endswith("\udcff.parquet") and isinstance(problem, ImageError)


def test_a_shard_that_ends_its_workers_is_named_when_all_others_are_read(
    packed: Path, toy_run: ToyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Machines(machines.ThisProcess):
        def map(self, function: Any, jobs: Any, gpu: bool = False) -> Iterator[Any]:
            yield from super().map(function, jobs[1:])
            raise lost_jobs.LostJobsError(jobs[:1])

    monkeypatch.setattr("detector.workflow.cluster.reading.machines_of", lambda address: nullcontext(Machines()))
    with pytest.raises(SourceError, match=r"1 of 3 shards .*part-00000\.parquet ended 9 workers that read it"):
        detector.predict_shards(toy_run.weights, packed, tmp_path / "out", string_format=False, device="cpu")
    assert sorted(contents(tmp_path / "out")) == ["part-00001.parquet", "part-00002.parquet"]


def test_addresses_are_taken_as_paths_are(packed: Path, toy_run: ToyRun, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"string_format": False, "device": "cpu"}
    detector.predict_shards(toy_run.weights, packed, tmp_path / "out", **arguments)
    detector.predict_shards(toy_run.weights, f"file://{packed}", f"file://{tmp_path}/other", **arguments)
    assert contents(tmp_path / "out") == contents(tmp_path / "other")


@pytest.mark.parametrize("kind", ["mock", "s3"], ids=["a drive", "an object store"])
def test_files_of_other_file_systems_appear_whole(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "s3":
        monkeypatch.setattr(places, "_ATOMIC_SYSTEMS", ("mock",))
    place = Place(fs._MockFileSystem(), "bucket") / "part-00000.parquet"
    assert not place.is_local and not place.info().is_file
    if kind == "s3":
        place.filesystem.create_dir("bucket")
    place.write(b"whole")
    place.write(b"again")
    (info,) = place.filesystem.get_file_info(fs.FileSelector("bucket"))
    assert (info.path, info.size) == (place.path, 5)


def test_shards_of_other_file_systems_are_read_as_local_ones(
    packed: Path, toy_run: ToyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = fs._MockFileSystem()
    remote.create_dir("bucket/shards")
    for path in packed.iterdir():
        with remote.open_output_stream(f"bucket/shards/{path.name}") as stream:
            stream.write(path.read_bytes())
    real = fs.FileSystem.from_uri

    class Addresses:
        @staticmethod
        def from_uri(address: str) -> Any:
            return (remote, address.removeprefix("s3://")) if address.startswith("s3://") else real(address)

    monkeypatch.setattr(fs, "FileSystem", Addresses)
    assert [shard.name for shard in shards_of(["s3://bucket/shards"])] == sorted(p.name for p in packed.iterdir())
    detector.predict_shards(toy_run.weights, packed, tmp_path / "out", device="cpu")
    for _ in range(2):  # the second goes on
        detector.predict_shards(toy_run.weights, "s3://bucket/shards", "s3://bucket/out", device="cpu")
    written = {
        info.base_name: remote.open_input_file(info.path).read()
        for info in remote.get_file_info(fs.FileSelector("bucket/out"))
    }
    assert written == contents(tmp_path / "out")


def test_an_object_store_is_read_and_written_as_a_disk(packed: Path, toy_run: ToyRun, tmp_path: Path) -> None:
    """By pyarrow's own client of S3."""
    detector.predict_shards(toy_run.weights, packed, tmp_path / "out", device="cpu")
    objects = {f"bucket/shards/{name}": content for name, content in contents(packed).items()}
    with object_store(objects) as options:
        shards, out = (f"s3://key:secret@bucket/{folder}?{options}" for folder in ("shards", "readings"))
        for lost in ("part-00000.parquet", "part-00001.parquet"):
            detector.predict_shards(toy_run.weights, shards, out, device="cpu")
            written = {name: content for name, content in objects.items() if name.startswith("bucket/readings/")}
            assert written == {f"bucket/readings/{name}": c for name, c in contents(tmp_path / "out").items()}
            del objects[f"bucket/readings/{lost}"]
        with pytest.raises(SourceError, match=r"There is no s3://.*none"):
            shards_of([shards.replace("shards", "none")])


def test_readings_of_another_package_or_weights_are_not_made(
    packed: Path, toy_run: ToyRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = shard_readings.make_request(str(toy_run.weights), {"device": "cpu"}, shards_of([packed]), False)
    monkeypatch.setattr(shard_readings, "package_hash", lambda: "another")
    with pytest.raises(detector.DetectorError, match="or another version of this package"):
        request.open()


def test_exported_folders_are_told_apart(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"2"), ("same", b"1")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "reader.bin").write_bytes(content)
    first, other, same = (shard_readings.hash_of_weights(tmp_path / name) for name in ("a", "b", "same"))
    assert first == same != other


KILLED = """
import os, signal, sys
import detector
from detector.workflow.cluster import shard_readings
real, left = shard_readings.parquet.ParquetWriter.write_table, int(sys.argv[4])
def write_table(*args, **named):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    real(*args, **named)
shard_readings.parquet.ParquetWriter.write_table = write_table
detector.predict_shards(sys.argv[1], sys.argv[2], sys.argv[3], string_format=False, device="cpu")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="processes are killed by a signal")
def test_a_run_that_was_killed_is_gone_on_with(packed: Path, toy_run: ToyRun, tmp_path: Path) -> None:
    detector.predict_shards(toy_run.weights, packed, tmp_path / "expected", string_format=False, device="cpu")
    out = tmp_path / "out"
    code = [sys.executable, "-c", KILLED, str(toy_run.weights), str(packed), str(out), "1"]
    done = subprocess.run(code, cwd=Path(detector.__file__).parents[1], timeout=600)
    assert done.returncode == -signal.SIGKILL and len(contents(out)) == 1
    detector.predict_shards(toy_run.weights, packed, out, string_format=False, device="cpu")
    assert contents(out) == contents(tmp_path / "expected")


# The command

LINES: dict[str, tuple[list[str], int, str]] = {
    "Ray without files": (["--ray"], 2, "say --out FOLDER"),
    "Ray at an address without files": (["--ray", "auto"], 2, "say --out FOLDER"),
    "a format of lines": (["--out", "o", "--format", "json"], 2, "--format json has no effect"),
}


@pytest.mark.parametrize(("options", "code", "told"), LINES.values(), ids=LINES.keys())
def test_options_that_do_not_go_together(options: list[str], code: int, told: str, packed: Path) -> None:
    done = CliRunner().invoke(app, ["predict", "shipped", *options, str(packed)])
    assert isinstance(done.exception, ArgumentError) and done.exception.exit_code == code
    assert told in str(done.exception)


ADDRESSES: dict[str, tuple[list[str], str]] = {
    "at the end": (["--ray"], ""),
    "before another option": (["--ray", "--trust"], ""),
    "auto": (["--ray", "auto"], "auto"),
    "a host": (["--ray", "10.0.0.1:6379"], "10.0.0.1:6379"),
    "a client": (["--ray", "ray://head:10001"], "ray://head:10001"),
    "with =": (["--ray=head"], "head"),
}


@pytest.mark.parametrize(("options", "address"), ADDRESSES.values(), ids=ADDRESSES.keys())
def test_an_address_may_be_left_out(
    options: list[str], address: str, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detector.workflow.cluster import reading

    asked: list[Any] = []

    def predict_shards(weights: str, shards: list[str], out: str, **named: Any) -> Any:
        asked.append((shards, named["ray"]))
        return reading.ShardReadings(out, 1, 2, 0, 0, None, 1.0)

    monkeypatch.setattr(reading, "predict_shards", predict_shards)
    done = CliRunner().invoke(app, ["predict", "shipped", "--out", "o", str(packed), *options])
    assert done.exit_code == 0 and done.stdout == "o\n" and asked == [([str(packed)], address)]
    first = CliRunner().invoke(app, ["predict", *options, "shipped", str(packed), "--out", "o"])
    assert first.exit_code == 0 and asked[1] == asked[0]


def test_the_command_counts_what_could_not_be_read(packed: Path, toy_run: ToyRun, tmp_path: Path) -> None:
    arguments = ["predict", str(toy_run.weights), str(packed), "--out", str(tmp_path / "out"), "--device", "cpu"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 3 and done.stdout == f"{tmp_path / 'out'}\n"
    assert "22 pictures of 3 shards read" in done.stderr and "2 pictures could not be read" in done.stderr


def test_ray_that_is_not_installed_is_named(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from detector import errors

    monkeypatch.setattr(errors, "is_installed", lambda module: module != "ray")
    with pytest.raises(DependencyError, match=r"needs ray: run `pip install 'string-detector\[ray\]'`"):
        detector.predict_shards("shipped", packed, tmp_path / "out", ray="local")
