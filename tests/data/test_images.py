"""Every kind of picture that users have, and every way in which one is broken."""

from __future__ import annotations

import inspect
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from detector.data.images import image_files, read_image
from detector.errors import ImageError, SourceError
from tests.builders import (
    bad_files,
    corner_picture,
    encoded,
    forbid,
    noise_picture,
    rotated_by_exif,
    sixteen_bit,
    write_pictures,
)

CORNER_BGR = np.asarray(corner_picture())[:, :, ::-1]


def transparent_corner() -> Image.Image:
    """The white part of the corner picture as black, wholly transparent pixels."""
    rgba = np.zeros((20, 40, 4), np.uint8)
    rgba[:10, :20] = (255, 0, 0, 255)
    return Image.fromarray(rgba)


def palette_with_transparency() -> Image.Image:
    picture = Image.new("P", (40, 20), 1)
    picture.putpalette([255, 0, 0, 0, 0, 0])
    picture.paste(0, (0, 0, 20, 10))
    return picture


def animation(kind: str) -> bytes:
    return encoded(corner_picture(), kind, save_all=True, append_images=[noise_picture(40, 20)], lossless=True)


EXACT: dict[str, bytes] = {
    "PNG": encoded(corner_picture(), "PNG"),
    "PNG with trailing bytes": encoded(corner_picture(), "PNG") + b"more",
    "palette PNG": encoded(corner_picture().convert("P", palette=Image.Palette.ADAPTIVE, colors=2), "PNG"),
    "palette PNG with transparency": encoded(palette_with_transparency(), "PNG", transparency=1),
    "RGBA PNG": encoded(transparent_corner(), "PNG"),
    "RGBA WebP": encoded(transparent_corner(), "WEBP", lossless=True),
    "RGBA of constant alpha 0": encoded(
        Image.merge("RGBA", [*corner_picture().split(), Image.new("L", (40, 20))]), "PNG"
    ),
    "BMP": encoded(corner_picture(), "BMP"),
    "TIFF": encoded(corner_picture(), "TIFF"),
    "GIF": encoded(corner_picture(), "GIF"),
    "PPM": encoded(corner_picture(), "PPM"),
    "lossless WebP": encoded(corner_picture(), "WEBP", lossless=True),
    "animated GIF": animation("GIF"),
    "animated WebP": animation("WEBP"),
    "CMYK TIFF": encoded(corner_picture().convert("CMYK"), "TIFF"),
}
LOSSY: dict[str, bytes] = {
    "JPEG": encoded(corner_picture(), "JPEG", quality=95, subsampling=0),
    "JPEG with trailing bytes": encoded(corner_picture(), "JPEG", quality=95, subsampling=0) + b"\0" * 99,
    "progressive JPEG": encoded(corner_picture(), "JPEG", quality=95, subsampling=0, progressive=True),
    "CMYK JPEG": encoded(corner_picture().convert("CMYK"), "JPEG", quality=95),
    **{f"JPEG turned by EXIF {o}": rotated_by_exif(corner_picture(), o) for o in range(1, 9)},
    **{f"PNG turned by EXIF {o}": rotated_by_exif(corner_picture(), o, "PNG") for o in range(1, 9)},
    **{f"WebP turned by EXIF {o}": rotated_by_exif(corner_picture(), o, "WEBP") for o in (3, 6, 8)},
    **{f"TIFF turned by EXIF {o}": rotated_by_exif(corner_picture(), o, "TIFF") for o in (3, 6, 8)},
}


def is_one_of_ours(pixels: Any) -> bool:
    return bool(pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.flags.c_contiguous)


@pytest.mark.parametrize("data", EXACT.values(), ids=EXACT.keys())
def test_lossless_files_give_the_exact_pixels(data: bytes) -> None:
    pixels = read_image(data)
    assert is_one_of_ours(pixels)
    np.testing.assert_array_equal(pixels, CORNER_BGR)


@pytest.mark.parametrize("data", LOSSY.values(), ids=LOSSY.keys())
def test_lossy_and_turned_files_are_upright(data: bytes) -> None:
    pixels = read_image(data)
    assert is_one_of_ours(pixels)
    assert pixels.shape == (20, 40, 3)
    for y, x in ((3, 5), (3, 35), (16, 5), (16, 35)):  # the four quarters, away from edges
        np.testing.assert_allclose(pixels[y, x].astype(int), CORNER_BGR[y, x].astype(int), atol=60)


def test_path_bytes_and_pillow_give_the_same(tmp_path: Path) -> None:
    file = write_pictures(tmp_path, ["a.png"]) / "a.png"
    pixels = read_image(file)
    for other in (str(file), file.read_bytes(), Image.open(file)):
        np.testing.assert_array_equal(read_image(other), pixels)
    np.testing.assert_array_equal(pixels, cv2.imread(str(file)))


def test_suffix_does_not_matter(tmp_path: Path) -> None:
    file = tmp_path / "wrong.jpg"
    file.write_bytes(EXACT["GIF"])
    np.testing.assert_array_equal(read_image(file), CORNER_BGR)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_the_high_byte(kind: str) -> None:
    ramp = sixteen_bit()
    pixels = read_image(encoded(Image.fromarray(ramp), kind))
    np.testing.assert_array_equal(pixels, np.repeat((ramp >> 8)[:, :, None], 3, axis=2))


def test_grey_in_32_bits_is_as_deep_as_it_says() -> None:
    """As Pillow makes it of 8 bits, and of 16."""
    shallow = (sixteen_bit() >> 8).astype(np.int32)
    for samples in (shallow, shallow * 257):
        pixels = read_image(Image.fromarray(samples))
        np.testing.assert_array_equal(pixels, np.repeat(shallow[:, :, None], 3, axis=2))


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colour_keeps_the_high_byte(channels: int) -> None:
    samples = np.stack([sixteen_bit()] * 2 + [np.full((20, 30), 65535, np.uint16)] * (channels - 2), axis=2)
    ok, data = cv2.imencode(".png", samples)
    assert ok
    np.testing.assert_array_equal(read_image(data.tobytes()), (samples >> 8)[:, :, :3])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I"])
def test_every_pillow_mode_of_one_grey(mode: str) -> None:
    value = {"I;16": 65535, "I": 65535, "1": 1}.get(mode, 255)
    picture = (
        Image.new("L", (20, 10), 255).convert(mode) if not mode.startswith("I") else Image.new(mode, (20, 10), value)
    )
    before = picture.tobytes()
    np.testing.assert_array_equal(read_image(picture), np.full((10, 20, 3), 255, np.uint8))
    assert picture.tobytes() == before


def test_half_transparent_black_is_grey_on_white() -> None:
    bgra = np.zeros((10, 10, 4), np.uint8)
    bgra[:, :5, 3], bgra[:, 5:, 3] = 128, 255
    pixels = read_image(bgra)
    assert np.all(pixels[:, :5] == 127)
    assert np.all(pixels[:, 5:] == 0)


def test_grey_with_transparency_is_laid_on_white() -> None:
    picture = Image.new("LA", (40, 20), (0, 0))
    picture.paste((0, 255), (0, 0, 20, 10))
    pixels = read_image(encoded(picture, "PNG"))
    assert pixels[0, 0].tolist() == [0, 0, 0]
    assert pixels[-1, -1].tolist() == [255, 255, 255]


BGR = np.asarray(noise_picture())[:, :, ::-1]
ARRAYS: dict[str, tuple[Any, Any]] = {
    "(H, W)": (BGR[:, :, 0], np.repeat(BGR[:, :, :1], 3, axis=2)),
    "(H, W, 1)": (BGR[:, :, :1], np.repeat(BGR[:, :, :1], 3, axis=2)),
    "(H, W, 3)": (BGR, BGR),
    "(H, W, 3) contiguous": (np.ascontiguousarray(BGR), BGR),
    "(H, W, 4) opaque": (np.dstack([BGR, np.full(BGR.shape[:2], 255, np.uint8)]), BGR),
    "uint16": (BGR.astype(np.uint16) * 257, BGR),
    "bool": (BGR[:, :, 0] > 100, np.repeat(np.where(BGR[:, :, :1] > 100, 255, 0), 3, axis=2)),
}


@pytest.mark.parametrize(("array", "expected"), ARRAYS.values(), ids=ARRAYS.keys())
def test_arrays(array: Any, expected: Any) -> None:
    before = array.copy()
    pixels = read_image(array)
    assert is_one_of_ours(pixels)
    np.testing.assert_array_equal(pixels, expected)
    assert not np.shares_memory(pixels, array)
    np.testing.assert_array_equal(array, before)


BAD_ARRAYS: dict[str, tuple[Any, str]] = {
    "float": (np.zeros((20, 20, 3), np.float32), "float type float32"),
    "int64": (np.zeros((20, 20, 3), np.int64), "int64"),
    "channels first": (np.zeros((3, 20, 20), np.uint8), "transpose"),
    "a batch": (np.zeros((2, 20, 20, 3), np.uint8), "shape"),
    "one axis": (np.zeros(20, np.uint8), "shape"),
    "empty": (np.zeros((0, 20, 3), np.uint8), "20x0 pixels: too small"),
    "empty with alpha": (np.zeros((0, 0, 4), np.uint8), "0x0 pixels: too small"),
    "1 pixel": (np.zeros((1, 1), np.uint8), "1x1 pixels: too small"),
}


@pytest.mark.parametrize(("array", "words"), BAD_ARRAYS.values(), ids=BAD_ARRAYS.keys())
def test_bad_arrays(array: Any, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        read_image(array)


REASONS = {
    "zero bytes": r"^empty file \(0 bytes\)$",
    "not an image": "^not an image",
    "1-pixel PNG": "^1x1 pixels: too small to hold text$",
    "1-pixel JPEG": "^1x1 pixels: too small to hold text$",
    "1 pixel high": "^100x1 pixels",
    "float TIFF": "32-bit floats",
    "damaged PNG": "^damaged",
    "truncated WebP": "^(truncated|damaged)",
}


@pytest.mark.parametrize(("kind", "data"), bad_files().items(), ids=bad_files().keys())
def test_bad_files_are_refused_in_the_users_terms(kind: str, data: bytes) -> None:
    with pytest.raises(ImageError, match=REASONS.get(kind, "^truncated")):
        read_image(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"])
def test_no_prefix_of_a_file_is_accepted(kind: str) -> None:
    data = encoded(noise_picture(24, 16), kind)
    for end in range(0, len(data) - 1, max(1, len(data) // 40)):
        with pytest.raises(ImageError):
            read_image(data[:end])


def test_bad_paths(tmp_path: Path) -> None:
    for path, words in (
        (tmp_path / "none.png", "^no such file$"),
        (tmp_path, "^a folder"),
        ("a\0b.png", "cannot be opened"),
    ):
        with pytest.raises(ImageError, match=words):
            read_image(path)
    with pytest.raises(ImageError, match="NoneType is no picture"):
        read_image(None)  # type: ignore[arg-type]


def test_a_lazily_opened_truncated_pillow_image() -> None:
    with pytest.raises(ImageError, match="truncated"):
        read_image(Image.open(io.BytesIO(bad_files()["truncated JPEG"])))


def test_image_files_are_found_in_natural_order(tmp_path: Path) -> None:
    names = ["a10.png", "a2.PNG", "b/c1.jpg", "b/a.webp", "A.tiff", ".hidden.png", ".git/x.png", "notes.txt", "a/z.bmp"]
    write_pictures(tmp_path, names)
    (tmp_path / "folder.png").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path, _ in image_files(tmp_path)]
    assert found == ["A.tiff", "a2.PNG", "a10.png", "a/z.bmp", "b/a.webp", "b/c1.jpg"]


def test_a_link_to_itself_and_deep_folders_do_not_end_a_folder(tmp_path: Path) -> None:
    write_pictures(tmp_path, ["a.png"])
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "b.png").symlink_to("b.png")
    write_pictures(tmp_path / "/".join("d" * 150), ["z.png"])
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 100)  # folders deeper than the real limit, pytest could not remove
    try:
        found = [path.name for path, problem in image_files(tmp_path) if problem is None]
    finally:
        sys.setrecursionlimit(before)
    assert found == ["a.png", "b.png", "z.png"]
    with pytest.raises(ImageError, match="cannot be opened"):
        read_image(tmp_path / "b.png")


def test_a_folder_below_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pictures(tmp_path, ["a.png", "b/c.png", "d/e.png"])
    forbid(tmp_path / "b", monkeypatch)
    found = {path.relative_to(tmp_path).as_posix(): str(problem) for path, problem in image_files(tmp_path)}
    assert found == {"a.png": "None", "b": "the folder cannot be read: Permission denied", "d/e.png": "None"}
    with pytest.raises(SourceError, match="cannot be read: Permission denied"):
        image_files(tmp_path / "b")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jpg")
    with pytest.raises(ImageError, match="not a regular file"):
        read_image(tmp_path / "x.jpg")


def test_image_files_of_nothing(tmp_path: Path) -> None:
    assert list(image_files(tmp_path)) == []
    with pytest.raises(SourceError, match="No such folder"):
        image_files(tmp_path / "none")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise ImportError('libGL.so.1: cannot open shared object file')", "apt-get install libgl1 libglib2.0-0"),
        ("raise ModuleNotFoundError(\"No module named 'cv2'\", name='cv2')", "pip install opencv-python"),
    ],
)
def test_opencv_that_cannot_start_is_one_sentence(tmp_path: Path, code: str, words: str) -> None:
    (tmp_path / "cv2.py").write_text(code)
    program = (
        "from detector.errors import DependencyError\n"
        "try:\n    import detector.data.images\nexcept DependencyError as error:\n    print(error)"
    )
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    assert words in done.stdout
    assert "\n" not in done.stdout.strip()
