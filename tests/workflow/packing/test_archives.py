"""Tar files: pictures with the texts beside them, and members that are not what they seem."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from detector.data.images import read_file
from detector.errors import ImageError, SourceError
from detector.workflow.packing.archives import read_archives, tar_files
from tests.builders import encoded, noise_picture, write_pictures

PNG, JPEG = (encoded(noise_picture(16, 8), kind) for kind in ("PNG", "JPEG"))

Member = tuple[str, bytes | str]


def tar(file: Path, members: list[Member], mode: str = "w") -> Path:
    """An archive; a member whose content is a string is a symbolic link to it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, mode) as archive:  # type: ignore[call-overload]
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return file


def read(path: Path, labelled: bool = True, text_column: str | None = None) -> list[tuple[str, str | None, Any]]:
    """(id, text, bytes or the reason) of each input."""
    rows = []
    for item in read_archives(tar_files(path), labelled, text_column).items():
        try:
            rows.append((item.id, item.text, item.read()))
        except ImageError as error:
            rows.append((item.id, item.text, str(error)))
    return rows


GOOD: dict[str, tuple[list[Member], list[tuple[str, str | None, bytes]]]] = {
    "texts": ([("a.png", PNG), ("a.txt", b"AB\n"), ("b.txt", "京 ".encode()), ("b.jpg", JPEG)],
              [("a.png", "AB", PNG), ("b.jpg", "京 ", JPEG)]),
    "JSON": ([("x/a.json", b'{"label": "0012", "width": 3}'), ("x/a.png", PNG), ("b.png", PNG), ("b.json", b'"CD"')],
             [("x/a.png", "0012", PNG), ("b.png", "CD", PNG)]),
    "numbers": ([("a.png", PNG), ("a.json", b'{"text": 12}')], [("a.png", "12", PNG)]),
    "a text goes before JSON": ([("a.png", PNG), ("a.json", b'{"text": "X"}'), ("a.txt", b"Y")], [("a.png", "Y", PNG)]),
    "JSON without a text": ([("a.png", PNG), ("a.json", b'{"url": "x"}')], [("a.png", None, PNG)]),
    "no labels": (
        [("x/a.b.png", PNG), ("x/c.png", PNG)], [("x/a.b.png", None, PNG), ("x/c.png", None, PNG)]
    ),
    "two pictures of a key": (
        [("a.left.png", PNG), ("a.right.png", PNG), ("a.txt", b"AB")],
        [("a.left.png", "AB", PNG), ("a.right.png", "AB", PNG)]
    ),
    "dots in all names": (
        [("1.1-0.png", PNG), ("1.1-0.txt", b"AB"), ("1.1-1.txt", b"CD"), ("1.1-1.png", PNG), ("1.1-2.png", PNG)],
        [("1.1-0.png", "AB", PNG), ("1.1-1.png", "CD", PNG), ("1.1-2.png", None, PNG)]
    ),
    "a label with a longer name": ([("a.png", PNG), ("a.text.txt", b"AB")], [("a.png", "AB", PNG)]),
    "other members": (
        [("README.md", b"x"), ("._a.png", b"x"), ("a.png", PNG), ("a.npy", b"x")], [("a.png", None, PNG)]
    ),
    "nothing": ([], []),
}  # fmt: skip


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tgz"])
@pytest.mark.parametrize(("members", "rows"), GOOD.values(), ids=GOOD)
def test_members(tmp_path: Path, suffix: str, members: list[Member], rows: list[Any]) -> None:
    file = tar(tmp_path / f"shard.{suffix}", members, "w" if suffix == "tar" else "w:gz")
    assert read(file) == rows
    assert read(file, labelled=False) == [(name, None, data) for name, _, data in rows]


def test_a_folder_of_archives(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in (10, 9):
        tar(tmp_path / f"{number}.tar", [("a.png", PNG), ("a.txt", str(number).encode())])
    assert [row[:2] for row in read(tmp_path)] == [("9.tar/a.png", "9"), ("10.tar/a.png", "10")]
    with_pictures = write_pictures(tmp_path, ["images/a.png"])
    assert not tar_files(with_pictures) and "left out, as pictures lie beside it" in caplog.text


def test_the_key_of_the_text_may_be_named(tmp_path: Path) -> None:
    file = tar(tmp_path / "a.tar", [("a.png", PNG), ("a.json", b'{"text": "A", "code": "B", "label": "C"}')])
    assert read(file, text_column="code") == [("a.png", "B", PNG)]
    reason = "its label a.json has 2 keys that may be the text; its keys are 'text', 'code', 'label'"
    assert read(file) == [("a.png", None, reason)]
    assert "has 0 keys that may be the text" in read(file, text_column="none")[0][2]


BAD: dict[str, tuple[Member, str]] = {
    "out of the archive": (("../a.png", PNG), "its name leads out of the archive"),
    "absolute": (("/etc/a.png", PNG), "its name leads out of the archive"),
    "on a drive": (("C:\\a.png", PNG), "its name leads out of the archive"),
    "a link": (("a.png", "/etc/passwd"), "a link or a device, and not a file"),
    "a label alone": (("b.txt", b"AB"), "a label without its picture: members of one key follow each other"),
}


@pytest.mark.parametrize(("member", "said"), BAD.values(), ids=BAD)
def test_members_that_are_refused(tmp_path: Path, member: Member, said: str) -> None:
    file = tar(tmp_path / "a.tar", [("0.png", PNG), member, ("z.png", JPEG)])
    assert read(file) == [("0.png", None, PNG), (member[0], None, said), ("z.png", None, JPEG)]


LABELS: dict[str, tuple[Member, str]] = {
    "not UTF-8": (("a.txt", b"\xff"), "its label a.txt is not UTF-8"),
    "no JSON": (("a.json", b"{"), "its label a.json is no JSON object"),
    "deep JSON": (("a.json", b"[" * 100_000), "its label a.json is no JSON object"),
    "a list": (("a.json", b'{"text": [1, 2]}'), "its label a.json: 'text' is not a string"),
    "a book": (("a.txt", b"x" * 1_000_001), "its label a.txt: 1 MB, and at most 1 MB are read"),
    "a link": (("a.txt", "/etc/passwd"), "its label a.txt: a link or a device, and not a file"),
}


@pytest.mark.parametrize(("label", "said"), LABELS.values(), ids=LABELS)
def test_labels_that_cannot_be_read(tmp_path: Path, label: Member, said: str) -> None:
    assert read(tar(tmp_path / "a.tar", [("a.png", PNG), label])) == [("a.png", None, said)]


def test_a_name_twice(tmp_path: Path) -> None:
    file = tar(tmp_path / "a.tar", [("a.png", PNG), ("b.png", PNG), ("a.png", JPEG)])
    assert read(file)[2] == ("a.png", None, "an earlier member of the archive has its name")


def test_a_picture_that_no_memory_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detector.workflow.packing.archives.MAX_BYTES", 100)
    assert "MB are read" in read(tar(tmp_path / "a.tar", [("a.png", PNG)]))[0][2]


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE])
def test_a_header_that_no_memory_holds(tmp_path: Path, kind: bytes) -> None:
    """Two kilobytes here, and as many as one likes: 16 MB of a compressed file are 16 GB."""
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a.png"), io.BytesIO())
        header = tarfile.TarInfo("text")
        header.type, header.size = kind, 2_000_000
        archive.addfile(header, io.BytesIO(bytes(header.size)))
        archive.addfile(tarfile.TarInfo("b.png"), io.BytesIO())
    with pytest.raises(SourceError, match=r"a\.tar\.gz cannot .*\(a header has 2000000 bytes of text, and at most"):
        read(tmp_path / "a.tar.gz")


SPARSE: dict[str, dict[str, str]] = {"GNU": {}, "pax": {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}}


@pytest.mark.parametrize("headers", SPARSE.values(), ids=SPARSE)
def test_tables_of_sparse_files_are_not_read(tmp_path: Path, headers: dict[str, str]) -> None:
    """They follow their header, as long as one likes, and the library takes them into memory."""
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("a.png"), io.BytesIO())
        info = tarfile.TarInfo("b.png")
        info.type, info.pax_headers = tarfile.REGTYPE if headers else tarfile.GNUTYPE_SPARSE, headers
        info.size = len(PNG)
        archive.addfile(info, io.BytesIO(PNG))
    with pytest.raises(SourceError, match=r"a\.tar cannot .*\(a member is a sparse file, .* tar.s option sparse"):
        read(tmp_path / "a.tar")


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE])
def test_a_size_below_nothing(tmp_path: Path, kind: bytes) -> None:
    """Python would go back by it, to read the same member without end."""
    file = tar(tmp_path / "a.tar", [("a.png", PNG)])
    whole, header = file.read_bytes(), tarfile.TarInfo("b.png")
    place = 512 + -(-len(PNG) // 512) * 512
    header.type, header.size = kind, -512
    file.write_bytes(whole[:place] + header.tobuf(tarfile.GNU_FORMAT) + whole[place:])
    with pytest.raises(SourceError, match=r"a\.tar cannot .*\(a header gives its size as -\d+ bytes\)"):
        read(file)


def test_pictures_of_one_key_are_not_all_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key ends at the first dot, so that dates in names make it that of a whole archive."""
    monkeypatch.setattr("detector.workflow.packing.archives._MAX_GROUP_BYTES", 4000)
    file = tar(tmp_path / "a.tar", [(f"2026.11.{day}.png", PNG) for day in range(10, 30)])
    archives, unread = tarfile.TarFile.next, 20

    def following(archive: tarfile.TarFile) -> Any:
        nonlocal unread
        unread -= 1
        return archives(archive)

    monkeypatch.setattr(tarfile.TarFile, "next", following)
    for labelled in (True, False):
        unread = 20
        items = read_archives([file], labelled, None).items()
        assert next(items).read() == PNG and unread > 12
        assert [item.text for item in items] == [None] * 19


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
@pytest.mark.parametrize("end", [0, 1, 300, 700, 3 * 512 + 100, -1100, -20])
def test_an_archive_that_was_cut(tmp_path: Path, suffix: str, end: int) -> None:
    members: list[Member] = [(f"{i}.png", encoded(noise_picture(40, 20, i), "PNG")) for i in range(3)]
    data = read_file(tar(tmp_path / "whole.tar", members, "w" if suffix == "tar" else "w:gz"))
    if suffix == "tar":  # as written, without what only fills the last record
        data = data[: sum(512 + -(-len(content) // 512) * 512 for _, content in members) + 1024]
    file = tmp_path / f"a.{suffix}"
    file.write_bytes(data[:end])
    if suffix == "tar" and end == -20:  # within the second block of the mark at the end
        assert len(read(file)) == 3
        return
    with pytest.raises(SourceError, match=r"a\.tar.* (cannot be read as a tar file|is damaged or cut at byte)"):
        read(file)


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_a_compressed_archive_that_was_damaged(tmp_path: Path, kind: str) -> None:
    """A picture that may be decoded, and is another: the checksum alone tells, at the very end of gzip."""
    file = tar(tmp_path / f"a.tar.{kind}", [("a.png", noise_picture(400, 300).tobytes())], f"w:{kind}")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)
    with pytest.raises(SourceError, match=rf"a\.tar\.{kind} cannot be read as a tar file"):
        read(file)


def test_an_archive_without_its_end_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tar(tmp_path / "a.tar", [("a.png", PNG)])
    file.write_bytes(file.read_bytes()[: 512 + -(-len(PNG) // 512) * 512])
    assert len(read(file)) == 1
    assert "has no mark at its end: if it was cut, pictures are missing" in caplog.text


def test_what_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"PK\x03\x04" * 500)
    with pytest.raises(SourceError, match=r"a\.tar cannot be read as a tar file"):
        read(tmp_path / "a.tar")
    assert not tar_files(tmp_path / "none.tar") and not tar_files(write_pictures(tmp_path / "x", ["a.png"]))
