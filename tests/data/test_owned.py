"""Which files of a folder are known as written by this package."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from detector.data.atomic import part_name
from detector.data.folders.owned import LIST, OwnedFiles
from detector.errors import DiskFullError


def folder(root: Path) -> OwnedFiles:
    """Three files, one in a folder with a list of its own."""
    owned = OwnedFiles(root)
    owned.add("a.txt", "below/b.txt", f"inner/{LIST}")
    inner = OwnedFiles(root / "inner")
    inner.add("c.txt")
    for path in ("a.txt", "below/b.txt", "inner/c.txt"):
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(path)
    owned.seal()
    return OwnedFiles(root)


def link_elsewhere(root: Path) -> None:
    (root / "a.txt").unlink()
    (root / "a.txt").symlink_to(root.parent)


HALF = part_name("d.txt")
OTHERS = {
    "put at the top": (lambda root: (root / "mine").write_text("mine"), ["mine"]),
    "put below": (lambda root: (root / "below" / "mine").write_text("mine"), ["below/mine"]),
    "put in a folder with a list": (lambda root: (root / "inner" / "mine").write_text("mine"), ["inner/mine"]),
    "edited": (lambda root: (root / "a.txt").write_text("A.txt"), ["a.txt"]),
    "grown": (lambda root: (root / "below" / "b.txt").write_text("longer"), ["below/b.txt"]),
    "a link in its place": (link_elsewhere, ["a.txt"]),
    "another folder with a list": (lambda root: folder(root / "old"), ["old/a.txt", "old/below/b.txt"]),
    "a list that is gone": (lambda root: (root / "inner" / LIST).unlink(), ["inner/c.txt"]),
    "what a file manager left": (lambda root: (root / ".DS_Store").write_text(""), []),
    "something half written": (lambda root: (root / "inner" / part_name("c.txt")).write_text(""), []),
    "half of the list": (lambda root: (root / part_name(LIST)).write_text(""), []),
    "half of something else": (lambda root: (root / HALF).write_text(""), [HALF]),
    "a user's own": (lambda root: (root / "inner" / "c.txt.part").write_text(""), ["inner/c.txt.part"]),
    "something deleted": (lambda root: (root / "a.txt").unlink(), []),
}


@pytest.mark.parametrize(("change", "others"), OTHERS.values(), ids=OTHERS.keys())
def test_what_is_not_ours(tmp_path: Path, change: object, others: list[str]) -> None:
    owned = folder(tmp_path / "x")
    assert owned.others() == []
    change(tmp_path / "x")  # type: ignore[operator]
    found = owned.others()
    assert [path for path in found if not path.startswith("old/") or path in others] == others


def test_only_ours_is_deleted(tmp_path: Path) -> None:
    root = tmp_path / "x"
    folder(root)
    (root / "below" / "mine").write_text("mine")
    OwnedFiles(root).delete()
    assert [p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()] == ["below/mine"]
    (root / "below" / "mine").unlink()
    folder(root)
    OwnedFiles(root).delete()
    assert not root.exists()


def test_a_folder_may_be_kept(tmp_path: Path) -> None:
    root = tmp_path / "x"
    folder(root)
    OwnedFiles(root).delete(keep="inner")
    assert sorted(p.name for p in root.rglob("*") if p.is_file()) == ["c.txt", LIST, LIST]
    assert OwnedFiles(root).others() == []


@pytest.mark.parametrize("path", ["../victim", "inner/../../victim", "{victim}", "link", "link/../../victim"])
def test_a_list_reaches_no_other_folder(tmp_path: Path, path: str) -> None:
    """A set, and its list, may come from anybody."""
    victim, root = tmp_path / "victim", tmp_path / "x"
    folder(victim)
    folder(root)
    (root / "link").symlink_to(victim)
    with (root / LIST).open("a") as file:
        file.write(f"{path.format(victim=victim)}/{LIST},,\n{path.format(victim=victim)}/a.txt,,\n")
    before = sorted(victim.rglob("*"))
    OwnedFiles(root).delete()
    assert sorted(victim.rglob("*")) == before


def test_a_second_name_of_a_picture_is_not_edited(tmp_path: Path) -> None:
    """Edited where it comes from, it is edited in the set, too: a hard link."""
    root = tmp_path / "x"
    folder(root)
    os.link(root / "a.txt", tmp_path / "source.txt")
    (tmp_path / "source.txt").write_text("edited there")
    assert OwnedFiles(root).others() == []


def test_a_list_that_was_cut_off_while_it_grew(tmp_path: Path) -> None:
    folder(tmp_path / "x").add("more.txt")
    with (tmp_path / "x" / LIST).open("a") as file:
        file.write("half a na")
    assert list(OwnedFiles(tmp_path / "x").rows)[-1] == "more.txt"
    assert OwnedFiles(tmp_path / "x").others() == []
    OwnedFiles(tmp_path / "x").add("later.txt")
    assert list(OwnedFiles(tmp_path / "x").rows)[-2:] == ["more.txt", "later.txt"]


@pytest.mark.parametrize("text", ["", "path\n", "a,b,c\n1,2,3\n", '"'])
def test_a_file_of_that_name_may_be_somebody_else_s(tmp_path: Path, text: str) -> None:
    (tmp_path / LIST).write_text(text)
    assert not OwnedFiles(tmp_path).exists


def test_a_list_that_has_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    owned = OwnedFiles(tmp_path)
    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(DiskFullError, match=rf"^{re.escape(str(tmp_path / LIST))} cannot be written: No space left"):
        owned.add("a.png")
