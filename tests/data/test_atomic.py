"""Full disks, and what processes leave that are killed."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch

from detector.data.atomic import atomic_create, atomic_write, folder_beside, part_name, writing, written_as
from detector.data.folders.user_cache import cache_folder, keep_newest, private_folder
from detector.errors import DatasetError, DetectorError, DiskFullError


def no_room(code: int = errno.ENOSPC) -> OSError:
    return OSError(code, os.strerror(code))


def of_a_library() -> RuntimeError:
    """As torch has it: the first error is the context of its own."""
    error = RuntimeError("unexpected pos 704 vs 598")
    error.__context__ = no_room()
    return error


@pytest.mark.parametrize(
    "error", [no_room(), no_room(errno.EDQUOT), of_a_library()], ids=["disk", "quota", "after a library's own"]
)
def test_a_full_disk_is_an_error_that_names_the_place_and_the_next_step(error: Exception, tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_text("before", encoding="utf-8")
    with (
        pytest.raises(DiskFullError) as caught,
        writing(tmp_path, lambda: "the same call"),
        atomic_write(tmp_path / "weights.pt") as part,
    ):
        part.write_text("half", encoding="utf-8")
        raise error
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'weights.pt'} cannot be written: ")
    assert message.endswith("Make room there, or choose another place. With room there, the same call goes on.")
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == {"weights.pt": "before"}


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "no"), ValueError("x"), DatasetError("y")])
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, writing("there", lambda: "nothing"):
        raise error
    assert caught.value is error


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_what_torch_says_of_a_full_disk() -> None:
    said = pytest.raises(DiskFullError, match=r"^x\.pt cannot be written: No space left")
    with said, writing("x.pt"), open("/dev/full", "wb") as full:
        torch.save({"model": torch.zeros(100_000)}, full)


KILLED = """
import sys, time
from pathlib import Path
from detector.data.atomic import folder_beside
with folder_beside(Path(sys.argv[1])) as folder:
    (folder / "half.onnx").write_text("x")
    print("there", flush=True)
    time.sleep(600)
"""


def test_folders_of_processes_that_were_killed_are_deleted_and_others_are_not(tmp_path: Path) -> None:
    users = tmp_path / ".mine.part"
    users.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "a.onnx")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "there\n"
        [theirs] = tmp_path.glob(".a.onnx.*.part")
        with folder_beside(tmp_path / "a.onnx") as folder:
            assert folder != theirs and (theirs / "half.onnx").exists(), "it lives"
        process.send_signal(signal.SIGKILL)
    assert sorted(tmp_path.iterdir()) == sorted([theirs, users]), "this is what a kill leaves"
    with folder_beside(tmp_path / "b.onnx") as folder:
        assert sorted(tmp_path.iterdir()) == sorted([folder, users])
    assert [*tmp_path.iterdir()] == [users]


KILLED_WRITING = """
import sys, time
from pathlib import Path
from detector.data.atomic import atomic_write
with atomic_write(Path(sys.argv[1])) as part:
    part.write_text("half")
    print("there", flush=True)
    time.sleep(600)
"""


def test_files_of_processes_that_were_killed_are_deleted_and_others_are_not(tmp_path: Path) -> None:
    users = {name: name for name in ("a.txt", "a.txt.part", ".a.txt.part", ".a.txt.mine.part", ".a.txt.12.part")}
    for name, content in users.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_WRITING, str(tmp_path / "a.txt")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "there\n"
        [theirs] = {path.name for path in tmp_path.iterdir()} - {*users}
        with atomic_write(tmp_path / "a.txt") as part:
            part.write_text("new", encoding="utf-8")
            assert (tmp_path / theirs).read_text(encoding="utf-8") == "half", "it lives"
        process.send_signal(signal.SIGKILL)
    users["a.txt"] = "new"
    assert {path.name for path in tmp_path.iterdir()} == {*users, theirs}, "this is what a kill leaves"
    with atomic_write(tmp_path / "b.txt") as part:
        part.write_text("b.txt", encoding="utf-8")
    users["b.txt"] = "b.txt"
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == users


def write(path: Path) -> None:
    with atomic_write(path) as part:
        part.write_text("x", encoding="utf-8")


def test_a_process_looks_for_strays_once_where_nobody_else_writes(tmp_path: Path) -> None:
    """A folder may hold millions of files; what is killed later is for the next process, a forked one, too."""
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    write(folders[0] / "first")
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    strays = [folder / part_name("x").replace(f"-{os.getpid()}-", f"-{dead.pid}-") for folder in folders]
    for stray in strays:
        stray.touch()
    for folder in folders:
        write(folder / "second")
    assert [stray.exists() for stray in strays] == [True, False]
    process = multiprocessing.get_context("fork" if os.name == "posix" else "spawn").Process(
        target=write, args=(folders[0] / "third",)
    )
    process.start()
    process.join()
    assert sorted(path.name for path in folders[0].iterdir()) == ["first", "second", "third"]


def test_what_another_machine_writes_is_a_stray_after_a_day(tmp_path: Path) -> None:
    names = [f".a.{'0' * 12}-1-{age:08x}.part" for age in range(2)]
    for name, age in zip(names, (3600, 90_000), strict=True):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    with atomic_write(tmp_path / "b"):
        assert {path.name for path in tmp_path.glob(".a.*")} == {names[0]}


@pytest.mark.parametrize("before", ["old", None], ids=["a file", "nothing yet"])
def test_a_link_stays_and_the_file_that_it_leads_to_is_written(before: str | None, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    real, near, far = tmp_path / "elsewhere" / "real.csv", tmp_path / "near.csv", tmp_path / "far.csv"
    if before is not None:
        real.write_text(before, encoding="utf-8")
    near.symlink_to(Path("elsewhere", "real.csv"))
    far.symlink_to(near)
    with atomic_write(far, through_link=True) as part:
        part.write_text("new", encoding="utf-8")
    assert real.read_text(encoding="utf-8") == "new"
    assert far.readlink() == near and near.readlink() == Path("elsewhere", "real.csv")
    assert [*real.parent.iterdir()] == [real] and sorted(tmp_path.iterdir()) == sorted([real.parent, near, far])


def test_a_link_in_a_folder_of_others_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("old", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    with atomic_write(tmp_path / "link") as part:
        part.write_text("new", encoding="utf-8")
    assert (tmp_path / "mine").read_text(encoding="utf-8") == "old" and not (tmp_path / "link").is_symlink()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_or_a_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    pipe, link, device = tmp_path / "pipe", tmp_path / "link", tmp_path / "null"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    device.symlink_to(os.devnull)
    for path in (pipe, link, device):
        said = pytest.raises(DetectorError, match=f"^{path} is a device, a pipe or a socket, .*: choose another path")
        with said, atomic_write(path):
            pytest.fail("nothing is made for it")
    assert pipe.is_fifo() and link.is_symlink() and Path(os.devnull).is_char_device()
    assert sorted(tmp_path.iterdir()) == sorted([pipe, link, device])


def test_two_that_write_one_file_at_once_both_write_it_whole(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a") as slow:
        slow.write_text("slow", encoding="utf-8")
        with atomic_write(tmp_path / "a") as fast:
            fast.write_text("fast", encoding="utf-8")
        assert (tmp_path / "a").read_text(encoding="utf-8") == "fast"
    assert (tmp_path / "a").read_text(encoding="utf-8") == "slow" and len([*tmp_path.iterdir()]) == 1


@pytest.mark.parametrize("name", ["a", ".a", "a.part", "ä" * 127, "\udcff", "a\nb"])
def test_any_name_that_a_file_can_have(name: str, tmp_path: Path) -> None:
    with atomic_write(tmp_path / name) as part:
        part.write_bytes(b"x")
    assert [*tmp_path.iterdir()] == [tmp_path / name]
    assert len(name) > 100 or written_as(f"x/{part_name(name)}") == f"x/{name}"


def test_a_folder_that_is_not_there_is_named_by_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, atomic_write(tmp_path / "no" / "a.csv"):
        pass
    assert caught.value.filename == str(tmp_path / "no" / "a.csv")


def test_a_stray_with_a_link_for_its_lock_is_left_alone(tmp_path: Path) -> None:
    """To open it would empty what it leads to."""
    (tmp_path / "precious").write_text("x", encoding="utf-8")
    stray = tmp_path / ".a.onnx.1.part"
    stray.mkdir()
    (stray / "detector.lock").symlink_to(tmp_path / "precious")
    with folder_beside(tmp_path / "a.onnx"):
        pass
    assert stray.exists() and (tmp_path / "precious").read_text(encoding="utf-8") == "x"


@pytest.fixture
def homeless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A process without a home; where its temporary files lie."""

    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", none)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_processes_without_a_home_share_one_private_folder(homeless: Path) -> None:
    folders = set()
    for _ in range(3):
        private_folder.cache_clear()  # as in a process of its own
        folders.add(cache_folder("onnx"))
    private_folder.cache_clear()
    assert len(folders) == 1 and len([*homeless.iterdir()]) == 1
    [private] = homeless.iterdir()
    assert private.stat().st_mode & 0o777 == 0o700 and folders.pop().is_relative_to(private)


@pytest.mark.parametrize("kind", ["open to all", "a link"])
def test_a_folder_that_others_could_have_made_is_not_used(homeless: Path, kind: str) -> None:
    place = homeless / f"detector-{os.getuid()}"
    if kind == "a link":
        (homeless / "elsewhere").mkdir()
        place.symlink_to(homeless / "elsewhere")
    else:
        place.mkdir(mode=0o700)
        place.chmod(0o777)
    private_folder.cache_clear()
    assert private_folder() != place and private_folder().stat().st_mode & 0o777 == 0o700
    private_folder.cache_clear()


def test_of_a_cache_the_newest_stay_and_what_kills_left_goes_with_the_others(tmp_path: Path) -> None:
    half, killed = part_name("new.json"), part_name("old.json")
    for age, name in enumerate(("new.json", half, "old.json", killed, "other.npy")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    keep_newest(tmp_path, "*.json", 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [half, "new.json", "other.npy"]


@pytest.mark.parametrize("links", [True, False])
def test_what_is_created_replaces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    """Also on file systems that have no links."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "a"
    with atomic_create(path) as part:
        part.write_text("one")
    assert path.read_text() == "one"
    with pytest.raises(FileExistsError), atomic_create(path) as part:
        part.write_text("two")
    path.unlink()
    with pytest.raises(FileExistsError), atomic_create(path) as part:
        part.write_text("three")
        path.write_text("one")
    assert path.read_text() == "one" and [file.name for file in tmp_path.iterdir()] == ["a"]
    path.unlink()
    path.symlink_to("nowhere")
    with pytest.raises(FileExistsError), atomic_create(path) as part:
        part.write_text("four")
    assert path.is_symlink() and not path.exists()
