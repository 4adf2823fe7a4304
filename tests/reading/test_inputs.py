"""What a reader is pointed at: videos, patterns, lists, folders of both, streams; and what is not there."""

from __future__ import annotations

import functools
import http.server
import io
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageSequence

from detector import Failure, Reader, Reading
from detector.data.images import read_image
from detector.errors import DetectorError, ImageError, SourceError
from detector.reading.inputs import is_live, named_pictures
from detector.reading.live import live_frames
from tests.builders import forbid, write_pictures, write_shard
from tests.conftest import Toy

FRAMES = 5


def names(source: object) -> list[str]:
    return [name for name, _ in named_pictures(source)]  # type: ignore[arg-type]


@pytest.fixture
def video(toy: Toy, tmp_path: Path) -> Path:
    """Motion JPEG, which every build of OpenCV writes: the toy's first pictures, twice as large."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (192, 64))
    for file in sorted(toy.source.iterdir())[:FRAMES]:
        writer.write(cv2.resize(read_image(file), (192, 64)))
    writer.release()
    return path


def test_names_on_stdin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [str(tmp_path / name) for name in ("two.png", "one.png")]
    for name in names:
        cv2.imwrite(name, np.zeros((8, 8, 3), np.uint8))
    monkeypatch.setattr("sys.stdin", io.StringIO("\ufeff" + " \n\n".join([*names, "none.png"])))
    assert [name for name, _ in named_pictures("-")] == [*names, "none.png"]


def test_an_empty_name_is_not_this_folder() -> None:
    with pytest.raises(SourceError, match="An empty name is no source"):
        named_pictures("")
    assert [str(problem) for _, problem in named_pictures(["", " "])] == ["an empty name"] * 2


def test_frames_of_a_video_are_read_and_named(reader: Reader, toy: Toy, video: Path) -> None:
    found = list(reader.stream(video))
    assert [name for name, _ in found] == [f"{video}#{i}" for i in range(1, FRAMES + 1)]
    still = [reader.read(path).text for path in sorted(toy.source.iterdir())[:FRAMES]]
    moving = [reading.text for _, reading in found if isinstance(reading, Reading)]
    assert sum(a == b for a, b in zip(still, moving, strict=True)) >= FRAMES - 1, "JPEG may cost one"


def test_a_folder_of_pictures_and_videos(video: Path) -> None:
    write_pictures(video.parent, ["a.png", "z.png", "deep/b.png"])
    folder = video.parent
    frames = [f"{video}#{i}" for i in range(1, FRAMES + 1)]
    assert names(folder) == [str(folder / "a.png"), *frames, str(folder / "z.png"), str(folder / "deep/b.png")]


def test_patterns(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["a.png", "b.jpg", "deep/c.png"])
    assert names(str(tmp_path / "*.png")) == [str(tmp_path / "a.png")]
    assert names(str(tmp_path / "**/*.png")) == [str(tmp_path / "a.png"), str(tmp_path / "deep/c.png")]
    assert names([str(tmp_path / "*.jpg"), tmp_path / "a.png"]) == [str(tmp_path / "b.jpg"), str(tmp_path / "a.png")]
    with pytest.raises(SourceError, match=r"No file fits .*\*\.bmp"):
        named_pictures(str(tmp_path / "*.bmp"))


def test_a_name_that_looks_like_a_pattern_is_a_name(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["a[1].png", "a1.png"])
    assert names(str(tmp_path / "a[1].png")) == [str(tmp_path / "a[1].png")]


def test_lists(reader: Reader, video: Path) -> None:
    folder = write_pictures(video.parent, ["a.png", "more/b.png"])
    (folder / "list.txt").write_text("a.png\n\nmore\nclip.avi\nnone.png\n")
    wanted = ["a.png", "more/b.png", *(f"clip.avi#{i}" for i in range(1, FRAMES + 1)), "none.png"]
    assert names(folder / "list.txt") == [str(folder / name) for name in wanted]
    found = dict(reader.stream(str(folder / "list.txt")))
    assert [Path(name).name for name, reading in found.items() if isinstance(reading, Failure)] == ["none.png"]


def test_names_in_lists_are_as_they_are_spelt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blanks around a name, and signs that end lines elsewhere."""
    spelt = [" a.png", "b.png ", "c\u2028d.png", "e\x85f.png"]
    (tmp_path / "list.txt").write_text("\r\n".join([*spelt, " g.png"]), encoding="utf-8")
    write_pictures(tmp_path, [*spelt, "g.png"])
    assert names(tmp_path / "list.txt") == [str(tmp_path / name) for name in [*spelt, "g.png"]]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((tmp_path / "list.txt").read_bytes())))
    assert names("-") == [*spelt, "g.png"]


def test_a_list_of_a_line_without_end(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.png\n" + "b" * 1_000_000)
    with pytest.raises(SourceError, match=r"list\.txt, line 2: more than 65536 characters; a name takes"):
        named_pictures(tmp_path / "list.txt")


def test_a_list_that_names_itself(tmp_path: Path) -> None:
    """`ls > list.txt` does."""
    write_pictures(tmp_path, ["a.png", "b.png"])
    (tmp_path / "list.txt").write_text("a.png\nb.png\nother.txt\n*.txt\nrtsp://10.0.0.1/a\n")
    (tmp_path / "other.txt").write_text("list.txt\n")
    found = [(Path(name).name, str(p)) for name, p in named_pictures(tmp_path / "list.txt")]
    assert [name for name, _ in found[:3]] == ["a.png", "b.png", "list.txt"]
    assert found[2][1] == "the list names itself"
    assert "belong into a .streams file" in found[-1][1]
    assert len(found) < 8


def test_a_pattern_in_a_list_whose_folder_has_brackets_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "new [1]"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(b"")
    (folder / "list.txt").write_text("*.png\n*.jpg\n")
    assert names(folder / "list.txt") == [str(folder / name) for name in ("a.png", "b.png", "*.jpg")]


def test_an_object_that_is_filled_anew_is_read_each_time(reader: Reader, toy: Toy, tmp_path: Path) -> None:
    """Pages of a TIFF are one Pillow image, frames of a capture may be one array: all that is taken ahead is copied."""
    files = sorted(toy.source.iterdir())[:8]
    wanted = [reader.read(file).text for file in files]
    first, *others = [Image.open(file).convert("RGB") for file in files]
    first.save(tmp_path / "pages.tif", save_all=True, append_images=others)
    with Image.open(tmp_path / "pages.tif") as pages:
        assert [r.text for r in reader.read_many(ImageSequence.Iterator(pages))] == wanted
    frame = np.zeros_like(read_image(files[0]))

    def frames() -> Iterator[np.ndarray]:
        for file in files:
            frame[:] = read_image(file)
            yield frame

    assert [r.text for _, r in reader.stream(frames())] == wanted  # type: ignore[union-attr]


def test_videos_that_are_none_are_named(reader: Reader, tmp_path: Path) -> None:
    write_pictures(tmp_path, ["a.png"])
    (tmp_path / "b.mp4").write_bytes(b"junk")
    found = dict(reader.stream(tmp_path))
    assert isinstance(found[str(tmp_path / "a.png")], Reading)
    failure = found[str(tmp_path / "b.mp4")]
    assert isinstance(failure, Failure) and "video" in failure.reason
    ((_, missing),) = named_pictures([str(tmp_path / "none.mp4")])
    assert isinstance(missing, ImageError)


def test_a_list_of_streams(reader: Reader, video: Path) -> None:
    """Frames are dropped where reading is slower, so that how many come is not fixed."""
    streams = video.parent / "cameras.streams"
    streams.write_text(f"{video}\n")
    found = list(reader.stream(streams))
    assert 1 <= len(found) <= FRAMES
    assert all(name.endswith(f"#{number}") and reading for number, (name, reading) in enumerate(found, 1))


def test_what_is_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_live(0) and is_live("0") and is_live("rtsp://camera/1") and is_live("gates.streams") is False
    monkeypatch.chdir(write_pictures(tmp_path, ["a.png"]))
    shutil.copyfile("a.png", "0")
    assert not is_live("0"), "a file of this name comes first"
    assert not is_live("a.png") and not is_live([np.zeros((8, 8, 3), np.uint8)])


@pytest.mark.parametrize("password", ["secret", "se@cret", "s@e@cret", ""])
def test_a_password_is_never_shown(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detector.reading.live._opened", lambda source: cv2.VideoCapture())
    with pytest.raises(SourceError, match=r"^rtsp://camera:554/1\?of=a@b cannot be opened"):
        next(live_frames(f"rtsp://user:{password}@camera:554/1?of=a@b"))
    with pytest.raises(SourceError, match=r"^rtsp://camera\?of=a@b cannot be opened"):
        next(live_frames("rtsp://camera?of=a@b"))


@pytest.mark.filterwarnings("ignore")
def test_a_camera_that_is_not_there(reader: Reader) -> None:
    with pytest.raises(SourceError, match="99 cannot be opened as a camera or stream"):
        next(iter(reader.stream(99)))


def test_a_folder_below_that_cannot_be_read_is_one_failure(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path, ["a.png", "b/c.png"])
    forbid(tmp_path / "b", monkeypatch)
    found = dict(reader.stream(tmp_path))
    failure = found[str(tmp_path / "b")]
    assert len(found) == 2 and isinstance(failure, Failure) and "Permission denied" in failure.reason
    assert isinstance(dict(named_pictures([tmp_path / "b"]))[str(tmp_path / "b")], ImageError)
    with pytest.raises(SourceError, match="cannot be read"):
        reader.stream(tmp_path / "b")


@pytest.mark.parametrize("none", [None, 5, 0.5], ids=repr)
def test_what_is_no_picture_is_not_many(reader: Reader, none: Any) -> None:
    with pytest.raises(DetectorError, match=f"read_many takes many pictures, and got {none}: give a list"):
        reader.read_many(none)


@pytest.mark.parametrize(
    "one", ["a.png", Path("a.png"), b"\x89PNG", np.zeros((8, 8, 3), np.uint8), Image.new("L", (8, 8))], ids=type
)
def test_one_picture_is_not_many(reader: Reader, one: Any) -> None:
    with pytest.raises(DetectorError, match=r"read_many takes many pictures.* put it into a list, or use read"):
        reader.read_many(one)
    if not isinstance(one, (str, Path)):
        with pytest.raises(DetectorError, match="stream takes many pictures"):
            reader.stream(one)
    assert len(reader.read_many(np.zeros((2, 32, 96, 3), np.uint8))) == 2, "a batch is many"


def test_all_frames_of_a_video_that_says_it_has_fewer(reader: Reader, tmp_path: Path) -> None:
    parts = []
    for part in range(2):
        path = tmp_path / f"{part}.ts"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mpg2"), 25, (64, 32))
        for _ in range(3):
            writer.write(np.full((32, 64, 3), 200, np.uint8))
        writer.release()
        parts.append(path.read_bytes())
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(parts))
    assert len(list(reader.stream(joined))) == 6


def test_a_name_that_is_too_long_and_a_list_that_is_no_text_do_not_end_a_run(reader: Reader, tmp_path: Path) -> None:
    folder = write_pictures(tmp_path, ["a.png"])
    (folder / "notes.txt").write_bytes("Größe".encode("latin-1"))
    long = "x" * 300
    found = list(reader.stream([str(folder / "a.png"), long, str(folder / "notes.txt"), str(folder / "a.png")]))
    assert [isinstance(read, Failure) for _, read in found] == [False, True, True, False]
    with pytest.raises(SourceError):
        reader.stream(folder / "notes.txt")
    with pytest.raises(SourceError):
        reader.stream(long)


def test_lists_that_each_name_the_next_one_twice(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number}.txt").write_text(f"{number + 1}.txt\n" * 2, encoding="utf-8")
    (tmp_path / "40.txt").write_text("a.png\n", encoding="utf-8")
    found = list(named_pictures(tmp_path / "0.txt"))
    assert len(found) == 41 and sum(not isinstance(held, ImageError) for _, held in found) == 1
    assert str(found[1][1]) == "the list is named more than once: what it names was read already"


def test_lists_in_lists_without_end(tmp_path: Path) -> None:
    for number in range(2000):
        (tmp_path / f"{number}.txt").write_text(f"{number + 1}.txt\n", encoding="utf-8")
    ((name, problem),) = named_pictures(tmp_path / "0.txt")
    assert name.endswith("51.txt") and "more than 50 lists in one another" in str(problem)


def long_video(path: Path, frames: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (96, 32))
    rng = np.random.default_rng(0)
    for _ in range(frames):
        writer.write(cv2.resize(rng.integers(0, 256, (4, 12, 3), np.uint8), (96, 32)))
    writer.release()
    return path


@pytest.mark.parametrize("lost", [[11], [11, 12, 13], [4, 29], [29, 30]], ids=str)
def test_damaged_frames_end_no_video(lost: list[int], tmp_path: Path) -> None:
    path = long_video(tmp_path / "clip.avi", 30)
    data = bytearray(path.read_bytes())
    starts = [found.start() for found in re.finditer(rb"00dc....\xff\xd8", data, re.DOTALL)]
    for number in lost:
        size = int.from_bytes(data[starts[number - 1] + 4 : starts[number - 1] + 8], "little")
        data[starts[number - 1] + 8 : starts[number - 1] + 8 + size] = bytes(size)
    path.write_bytes(data)
    found = list(named_pictures(path))
    told = [(Path(name).name, str(held)) for name, held in found if isinstance(held, ImageError)]
    assert len(found) - len(told) == 30 - len(lost)
    if lost[-1] < 30:
        assert told == [(f"clip.avi#{n}", "a damaged frame") for n in lost]
        assert [Path(name).name for name, _ in found] == [f"clip.avi#{n}" for n in range(1, 31)]
    else:
        assert told == [("clip.avi", f"the video ends after {30 - len(lost)} of its 30 frames")]


def test_the_end_of_a_video_is_missing(tmp_path: Path) -> None:
    path = long_video(tmp_path / "clip.avi", 30)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    *frames, (name, problem) = named_pictures(path)
    assert name == str(path) and str(problem) == f"the video ends after {len(frames)} of its 30 frames"
    assert 5 < len(frames) < 25 and all(isinstance(held, np.ndarray) for _, held in frames)


class Camera(http.server.BaseHTTPRequestHandler):
    """Sends a few frames each time that it is asked, as often as it is told to, then nobody is there."""

    def do_GET(self) -> None:
        self.server.times += 1  # type: ignore[attr-defined]
        if self.server.times > self.server.most:  # type: ignore[attr-defined]
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=f")
        self.end_headers()
        for shade in range(5):
            jpeg = cv2.imencode(".jpg", np.full((32, 64, 3), 50 + 40 * shade, np.uint8))[1].tobytes()
            head = b"--f\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
            self.wfile.write(head + jpeg + b"\r\n")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], str]]:
    servers = []

    def started(most: int) -> str:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
        server.times, server.most = 0, most  # type: ignore[attr-defined]
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}/gate"

    monkeypatch.setattr("detector.reading.live.AGAIN_SECONDS", (0.05, 0.05))
    yield started
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_camera_that_drops_the_line(camera: Callable[[int], str]) -> None:
    """No frame is made up, and the loss is told where a reading would be."""
    address = camera(1)
    found = list(Reader(device="cpu").stream(address))
    *frames, (name, last) = found
    assert name == address and isinstance(last, Failure)
    assert re.fullmatch(r"the line was lost after \d+ frames", last.reason)
    assert [name for name, _ in frames] == [f"{address}#{number}" for number in range(1, len(frames) + 1)]
    assert 1 <= len(frames) <= 5


def test_a_camera_that_comes_back(camera: Callable[[int], str]) -> None:
    found = list(live_frames(camera(3)))
    assert any(isinstance(held, np.ndarray) for _, held in found)
    assert all(held.mean() > 40 for _, held in found if isinstance(held, np.ndarray)), "none is black"
    assert re.fullmatch(r"the line was lost after \d+ frames", str(found[-1][1]))


def test_a_file_at_an_address_has_an_end(reader: Reader, toy: Toy, video: Path, tmp_path: Path) -> None:
    """A camera's frames are passed over where reading is slow; those of a file are not."""
    write_pictures(tmp_path, ["a.png"])
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        found = list(reader.stream(f"{address}/{video.name}"))
        assert [name for name, _ in found] == [f"{address}/{video.name}#{i}" for i in range(1, FRAMES + 1)]
        assert [name for name, _ in live_frames(f"{address}/a.png?size=9")] == [f"{address}/a.png?size=9#1"]
        server.shutdown()


CASES = Path(__file__).parents[3] / "shared" / "cases"


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not here")
def test_the_cases() -> None:
    damaged, cut = (list(named_pictures(CASES / "video" / name)) for name in ("damaged.avi", "cut.avi"))
    assert len(damaged) == 30 and [i for i, (_, held) in enumerate(damaged, 1) if isinstance(held, ImageError)] == [11]
    assert len(cut) == 21 and str(cut[-1][1]) == "the video ends after 20 of its 30 frames"
    assert len(list(named_pictures(CASES / "lists" / "l0.txt"))) < 100


def test_shards_are_named_by_ids(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="Parquet needs the extra shards")
    some = [write_pictures(tmp_path, [f"{number}.png"], (16 + number, 8)) / f"{number}.png" for number in range(4)]
    data = [path.read_bytes() for path in some]
    folder = tmp_path / "shards"
    one = write_shard(folder / "a.parquet", [("../x/0", data[0], "T"), ("1.png", None, None)])
    write_shard(folder / "b.parquet", [("0", data[2], None), ("0", data[3], None)])
    (folder / "c.parquet").write_bytes(b"PAR1")
    expected = ["../x/0", "1.png", "0", "0", str(folder / "c.parquet")]
    assert names(folder) == expected
    assert names([folder, some[0]]) == [*expected, str(some[0])]
    assert names(one) == names(str(tmp_path / "shards" / "a*")) == expected[:2]
    pictures = [picture for _, picture in named_pictures(folder)]
    assert [pictures[0], pictures[2], pictures[3]] == [data[0], data[2], data[3]]
    assert [str(pictures[i]).partition(" (")[0] for i in (1, 4)] == [
        "the row has no bytes", f"{folder / 'c.parquet'} cannot be read as Parquet"
    ]  # fmt: skip


def test_shards_are_read_as_their_pictures_are(reader: Reader, toy: Toy, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="Parquet needs the extra shards")
    files = sorted(toy.source.iterdir())[:5]
    write_shard(tmp_path / "a.parquet", [(file.name, file.read_bytes(), None) for file in files], group=2)
    read = list(reader.stream(tmp_path))
    assert [name for name, _ in read] == [file.name for file in files]
    assert [reading for _, reading in read] == reader.read_many(files)
