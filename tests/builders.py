"""Tiny datasets and pictures, made in code."""

from __future__ import annotations

import errno
import io
import os
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from detector.text.alphabet import DEFAULT_SYMBOLS
from detector.text.detections import CharDetections

RED, WHITE = (255, 0, 0), (255, 255, 255)


def corner_picture(width: int = 40, height: int = 20) -> Image.Image:
    """White, RGB, with a red top left quarter: shows which way up it is, and which channel is first."""
    pixels = np.full((height, width, 3), 255, np.uint8)
    pixels[: height // 2, : width // 2] = RED
    return Image.fromarray(pixels)


def noise_picture(width: int = 64, height: int = 48, seed: int = 0) -> Image.Image:
    """RGB noise, which no format compresses to nothing."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of a file; ``kind`` is Pillow's name of the format."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def rotated_by_exif(image: Image.Image, orientation: int, kind: str = "JPEG") -> bytes:
    """A file whose pixels are stored so that the EXIF ``orientation`` (1-8) turns them into ``image``."""
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    exif = Image.Exif()
    exif[0x112] = orientation
    return encoded(image if undo is None else image.transpose(undo), kind, exif=exif)


def write_pictures(folder: Path, names: Iterable[str], size_wh: tuple[int, int] = (16, 8)) -> Path:
    """One small PNG a name (any suffix), every one with other bytes; folders are made. Returns ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(noise_picture(*size_wh, seed=seed), "PNG"))
    return folder


def labelled_folder(folder: Path, texts: Mapping[str, str], *, missing: Iterable[str] = ()) -> Path:
    """``labels.csv`` (``image,text``) over ``images/``; the files in ``missing`` are listed, not written."""
    gone = set(missing)
    write_pictures(folder / "images", [name for name in texts if name not in gone])
    lines = ["image,text", *(f"images/{name},{text}" for name, text in texts.items())]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def label_file(folder: Path, name: str, content: str | bytes, images: tuple[str, ...] = ("a.png", "b.png")) -> Path:
    """A label file of any content beside some pictures. Returns ``folder``."""
    write_pictures(folder, images)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def label_files(folder: Path, contents: Mapping[str, str], images: Sequence[str] = ("a.png", "b.png")) -> Path:
    """Files of any content beside pictures of 40 x 20 pixels. Returns ``folder``."""
    write_pictures(folder, images, size_wh=(40, 20))
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def contents(root: Path) -> dict[str, bytes]:
    """Every file below a folder by its path there."""
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def pairs(source: Any) -> dict[str, str]:
    """The texts of a source by the names of their pictures."""
    return {item.name: item.text for item in source.items}


def forbid(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listing ``folder`` is denied, to the super-user, too."""
    real = os.scandir

    def scandir(path: Any = ".") -> Any:
        if os.fspath(path) == str(folder):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)


def bad_files() -> dict[str, bytes]:
    """Files that are no picture that can be read, by what is wrong with them."""
    png, jpeg = encoded(noise_picture(), "PNG"), encoded(noise_picture(), "JPEG")
    thumbnail = b"\xff\xe1" + (10).to_bytes(2, "big") + b"\xff\xd8..\xff\xd9.."  # ends like a JPEG, inside its header
    middle = len(png) // 2
    return {
        "zero bytes": b"",
        "not an image": b"<html>404</html>",
        "truncated PNG": png[:middle],
        "PNG without its end": png[:-12],
        "PNG of a signature only": png[:8],
        "damaged PNG": png[:middle] + bytes([png[middle] ^ 255]) + png[middle + 1 :],
        "truncated JPEG": jpeg[: len(jpeg) // 2],
        "JPEG without its end": jpeg[:-2],
        "JPEG cut in its header": jpeg[:30],
        "truncated JPEG with a thumbnail": jpeg[:2] + thumbnail + jpeg[2 : len(jpeg) // 2],
        "truncated GIF": encoded(noise_picture(), "GIF")[:-200],
        "truncated WebP": encoded(noise_picture(), "WEBP")[:-200],
        "truncated BMP": encoded(noise_picture(), "BMP")[:-200],
        "1-pixel PNG": encoded(Image.new("RGB", (1, 1)), "PNG"),
        "1-pixel JPEG": encoded(Image.new("L", (1, 1)), "JPEG"),
        "1 pixel high": encoded(Image.new("RGB", (100, 1)), "PNG"),
        "float TIFF": encoded(Image.new("F", (20, 20)), "TIFF"),
    }


def sixteen_bit(height: int = 20, width: int = 30) -> NDArray[np.uint16]:
    """A grey ramp over all 16 bits, shape (height, width)."""
    return np.linspace(0, 65535, height * width).astype(np.uint16).reshape(height, width)


TOY_SYMBOLS, TOY_LENGTH, TOY_SIZE_WH = "7AKT", 4, (96, 32)  # in code-point order
TOY_OPTIONS: dict[str, Any] = {"alphabet": TOY_SYMBOLS, "length": TOY_LENGTH, "space": "_", "device": "cpu"}
"""What a conversion is told of the toy."""


def dejavu(name: str = "DejaVuSans-Bold") -> Path:
    """A font that every machine with matplotlib has."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"


def toy_synthesizer(**changes: Any) -> Any:
    """Dark text of four unlike symbols on white, in one font: what a network learns in seconds."""
    from detector.synth import SynthConfig, Synthesizer
    from detector.text.alphabet import Alphabet

    if isinstance(changes.get("alphabet"), str):
        changes["alphabet"] = Alphabet(changes["alphabet"])
    choices: dict[str, Any] = {
        "alphabet": Alphabet(TOY_SYMBOLS), "length": TOY_LENGTH, "min_length": 3, "size_wh": TOY_SIZE_WH,
        "styles": ("plain",), "fonts": (dejavu(),), "spaces": 0.2,
    }  # fmt: skip
    return Synthesizer(SynthConfig(**{**choices, **changes}))


def toy_folder(folder: Path, count: int, start: int = 0, **changes: Any) -> Path:
    """``TEXT-NUMBER.png`` with ``_`` for spaces, ``count`` pictures of the toy's endless set. Returns ``folder``.

    ``changes`` are those of :func:`toy_synthesizer`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    make = toy_synthesizer(**changes)
    for number in range(start, start + count):
        made = make(number)
        picture = Image.fromarray(made.image[:, :, ::-1])
        (folder / f"{made.text.replace(' ', '_')}-{number}.png").write_bytes(encoded(picture, "PNG"))
    return folder


def write_shard(file: Path, rows: Iterable[tuple[str | None, bytes | None, str | None]], group: int = 1000) -> Path:
    """A Parquet file of (id, bytes, text), as another program writes it. Returns ``file``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
    types = (pa.string(), pa.binary(), pa.string())
    arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(arrays, names=["id", "bytes", "text"]), file, row_group_size=group)
    return file


def read_shards(path: Path, columns: Sequence[str] | None = None) -> Iterator[Any]:
    """The pictures of a shard or of a folder of them, in order."""
    from detector.data.packs.shards import COLUMNS, read_shard, shard_files

    return (picture for file in shard_files(path) for picture in read_shard(file, columns or COLUMNS))


def check_boxes_hold_ink(ink: NDArray[np.bool_], boxes_xyxy: NDArray[np.float32], text: str, slack: int = 2) -> None:
    """All ink (H, W) is in the boxes, and of each reaches within ``slack`` pixels of its sides."""
    ink = ink.copy()
    for x1, y1, x2, y2 in boxes_xyxy.round().astype(int):
        rows, columns = np.nonzero(ink[y1:y2, x1:x2])
        assert max(rows.min(), columns.min(), y2 - y1 - 1 - rows.max(), x2 - x1 - 1 - columns.max()) <= slack, text
        ink[y1:y2, x1:x2] = False
    assert not ink.any(), f"{text}: ink outside of all boxes"


def iou(one_xyxy: NDArray[Any], other_xyxy: NDArray[Any]) -> NDArray[np.float64]:
    """Intersection over union of each pair of boxes, (n,)."""
    one, other = np.asarray(one_xyxy, np.float64), np.asarray(other_xyxy, np.float64)
    sides = np.minimum(one[:, 2:], other[:, 2:]) - np.maximum(one[:, :2], other[:, :2])
    shared = np.clip(sides, 0, None).prod(1)
    areas = (one[:, 2:] - one[:, :2]).prod(1) + (other[:, 2:] - other[:, :2]).prod(1)
    return shared / (areas - shared)


def seen(text: str, objectness: dict[int, float] | None = None) -> CharDetections:
    """A row of candidates that a network is sure of, but for those whose objectness is given."""
    places = np.arange(len(text))
    boxes = np.stack([20 * places, 0 * places, 20 * places + 16, 0 * places + 30], 1)
    present = [(objectness or {}).get(place, 0.97) for place in places]
    return CharDetections(boxes, np.full(len(text), 0.95), [DEFAULT_SYMBOLS.index(sign) for sign in text], present)


def drawn_texts(form: str, count: int, seed: int = 0) -> list[str]:
    """Texts of a format: A is a letter, 9 a digit, X any."""
    pools = {"A": DEFAULT_SYMBOLS[10:], "9": DEFAULT_SYMBOLS[:10], "X": DEFAULT_SYMBOLS}
    rng = random.Random(seed)
    return ["".join(rng.choice(pools[sign]) for sign in form) for _ in range(count)]
