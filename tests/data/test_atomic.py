"""Full disks, and what processes leave that are killed."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from detector.data.atomic import atomic_write, writing
from detector.data.folders.temporary import folder_beside
from detector.data.folders.user_cache import cache_folder, keep_newest, private_folder
from detector.errors import DatasetError, DiskFullError


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
from detector.data.folders.temporary import folder_beside
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
    for age, name in enumerate(("new.json", "writing.json.part", "old.json", "killed.json.part", "other.npy")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    keep_newest(tmp_path, "*.json", 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.json", "other.npy", "writing.json.part"]
