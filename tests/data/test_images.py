"""Every kind of picture that users have, and every way in which one is broken."""

from __future__ import annotations

import inspect
import io
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from detector.data.folders.image_files import image_files, picture_suffix
from detector.data.images import picture_size_wh, read_image
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
def test_16_bit_grey_that_uses_all_bits_keeps_the_high_byte(kind: str) -> None:
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
def test_16_bit_colour_that_uses_all_bits_keeps_the_high_byte(channels: int) -> None:
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


def test_notes_of_a_png_change_no_pixel_and_are_no_line_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    """A million pictures of one camera would fill the log with lines that name none of them."""
    plain = encoded(noise_picture(), "PNG")
    notes = b""
    for kind, content in (
        (b"sBIT", b"\x09" * 3),
        (b"gAMA", b"\0\0\x55\xf0"),
        (b"iCCP", b"icc\0\0" + zlib.compress(b"x")),
    ):
        notes += len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")
    header_end = 33
    assert (read_image(plain[:header_end] + notes + plain[header_end:]) == read_image(plain)).all()
    assert capfd.readouterr().err == ""


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


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_a_matrix_is_a_grey_picture() -> None:
    assert np.array_equal(read_image(np.asmatrix(BGR[:, :, 0])), np.repeat(BGR[:, :, :1], 3, axis=2))


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


CHECKSUMS = {
    "RGB": (encoded(noise_picture(), "PNG"), "IHDR IDAT"),
    "stored": (encoded(noise_picture(), "PNG", compress_level=0), "IDAT"),
    "palette": (encoded(noise_picture().quantize(16), "PNG"), "PLTE IDAT"),
    "transparent palette": (encoded(palette_with_transparency(), "PNG", transparency=1), "PLTE tRNS IDAT"),
    "turned": (rotated_by_exif(noise_picture(), 6, "PNG"), "IHDR eXIf IDAT"),
    "16 bits": (encoded(Image.fromarray(sixteen_bit()), "PNG"), "IDAT"),
}


@pytest.mark.parametrize("kind", CHECKSUMS)
def test_wrong_checksums_of_a_png_are_told(kind: str) -> None:
    """Of any chunk that makes pixels, whichever library decodes it, and wherever in the chunk a bit is another."""
    data, chunks = CHECKSUMS[kind]
    assert read_image(data).size
    for chunk in chunks.split():
        at = data.index(chunk.encode())
        size = int.from_bytes(data[at - 4 : at], "big")
        for place in {at + 4 + i for i in (0, size // 3, size - 1, size, size + 3)}:
            damaged = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
            # what a header says may be refused before its checksum is compared
            words = None if chunk == "IHDR" else f"^damaged .the checksum of the PNG's chunk '{chunk}' is wrong"
            with pytest.raises(ImageError, match=words):
                read_image(damaged)
                pytest.fail(f"{chunk}, byte {place - at}")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"])
def test_no_prefix_of_a_file_is_accepted(kind: str) -> None:
    data = encoded(noise_picture(24, 16), kind)
    for end in range(0, len(data) - 1, max(1, len(data) // 40)):
        with pytest.raises(ImageError):
            read_image(data[:end])


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_samples_of_other_kinds_say_what_to_do(kind: Any) -> None:
    data = cv2.imencode(".tiff", np.full((20, 40), 0.5, kind))[1].tobytes()
    with pytest.raises(ImageError, match=r"save (it|the picture) with 8 or 16 bits a sample"):
        read_image(data)


def test_pages_of_a_tiff_are_not_passed_over() -> None:
    """A smaller picture of the first is no page, and a header that leads to itself none either."""
    first, other = noise_picture(40, 20), noise_picture(40, 20, seed=1)
    with pytest.raises(ImageError, match="several pages: save each of them"):
        read_image(encoded(first, "TIFF", save_all=True, append_images=[other]))
    with_thumbnail = encoded(first, "TIFF", save_all=True, append_images=[other.resize((10, 5))])
    loop = bytearray(encoded(first, "TIFF"))
    at = int.from_bytes(loop[4:8], "little")
    end = at + 2 + 12 * int.from_bytes(loop[at : at + 2], "little")
    loop[end : end + 4] = loop[4:8]
    for data in (with_thumbnail, bytes(loop)):
        assert (read_image(data) == np.asarray(first)[:, :, ::-1]).all()


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
        (
            "raise ModuleNotFoundError(\"No module named 'cv2'\", name='cv2')",
            "pip install --force-reinstall --no-deps opencv-python-headless",
        ),
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


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM", "colour PNG", "with opacity", "array", "32 bits"])
def test_16_bits_that_hold_fewer(kind: str, bits: int) -> None:
    """The picture is that of 8 bits, not black."""
    plain = (sixteen_bit() >> 8).astype(np.uint8)
    samples = plain.astype(np.uint16) << (bits - 8)
    colour = np.stack([samples] * 3, axis=2)
    opaque = np.concatenate([colour, np.full((20, 30, 1), 65535, np.uint16)], axis=2)
    held: Any = {
        "colour PNG": lambda: cv2.imencode(".png", colour)[1].tobytes(),
        "with opacity": lambda: cv2.imencode(".png", opaque)[1].tobytes(),
        "array": lambda: colour, "32 bits": lambda: Image.fromarray(samples.astype(np.int32)),
    }.get(kind, lambda: encoded(Image.fromarray(samples), kind))()  # fmt: skip
    np.testing.assert_array_equal(read_image(held), np.repeat(plain[:, :, None], 3, axis=2))


def deep_colour(kind: str, samples: Any) -> bytes:
    """A file of 16 bits a colour; shape (H, W, 3 or 4), BGR or BGRA."""
    options = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000] if kind == ".jp2" else []  # lossless
    ok, data = cv2.imencode(kind, samples, options)
    assert ok
    return bytes(data.tobytes())


def turned_png(data: bytes, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = exif.tobytes().removeprefix(b"Exif\0\0")
    size, checksum = len(content).to_bytes(4, "big"), zlib.crc32(b"eXIf" + content).to_bytes(4, "big")
    return data[:33] + size + b"eXIf" + content + checksum + data[33:]


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("kind", [".tiff", ".jp2", ".ppm", ".png"])
def test_16_bits_a_colour_of_all_formats(kind: str, bits: int) -> None:
    """Also those that Pillow decodes, which keeps the highest eight bits, and of JPEG 2000 makes white black."""
    plain = np.asarray(blots(160, 80, "RGB"))[:, :, ::-1].copy()
    plain[:8], plain[8:16] = 255, 0
    data = deep_colour(kind, plain.astype(np.uint16) << (bits - 8) | (1 << (bits - 8)) - 1)
    np.testing.assert_allclose(read_image(data).astype(int), plain, atol=1)  # Pillow rounds those of a PPM
    if kind == ".png":
        np.testing.assert_array_equal(read_image(turned_png(data, 1)), plain)
        np.testing.assert_array_equal(read_image(turned_png(data, 6)), np.rot90(plain, -1))


@pytest.mark.parametrize("kind", [".jp2", ".png"])
def test_16_bits_a_colour_with_opacity(kind: str) -> None:
    plain = np.asarray(blots(160, 80, "RGB"))[:, :, ::-1]
    alpha = np.full((80, 160, 1), 65535, np.uint16)
    alpha[:40] = 0
    data = deep_colour(kind, np.concatenate([plain.astype(np.uint16) << 2, alpha], 2))
    for held in (data, turned_png(data, 1)) if kind == ".png" else (data,):
        pixels = read_image(held)
        assert (pixels[:40] == 255).all()
        np.testing.assert_array_equal(pixels[40:], plain[40:])


def test_16_bits_a_colour_of_which_eight_were_lost() -> None:
    """Pillow opened the file, or it is in colours that OpenCV does not decode; where all bits are used, none matter."""
    samples = np.asarray(blots(160, 80, "RGB"))[:, :, ::-1].astype(np.uint16)
    shallow, full = deep_colour(".tiff", samples), deep_colour(".tiff", samples * 257)
    cmyk = bytearray(deep_colour(".tiff", np.concatenate([samples, samples[:, :, :1]], 2)))
    cmyk[cmyk.index(b"\x06\x01\x03\0\x01\0\0\0", int.from_bytes(cmyk[4:8], "little")) + 8] = (
        5  # PhotometricInterpretation
    )
    for held in (Image.open(io.BytesIO(shallow)), bytes(cmyk)):
        with pytest.raises(ImageError, match=r"^more than 8 bits a colour.*save it as PNG"):
            read_image(held)
    np.testing.assert_array_equal(read_image(Image.open(io.BytesIO(full))), samples)


def big_png(width: int, height: int) -> bytes:
    """A file that says that it is so large."""
    data = bytearray(encoded(Image.new("L", (8, 8)), "PNG"))
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return bytes(data)


def big_jpeg(width: int, height: int) -> bytes:
    data = bytearray(encoded(Image.new("L", (8, 8)), "JPEG"))
    at = data.find(b"\xff\xc0")
    data[at + 5 : at + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(data)


BOMBS: dict[str, Any] = {
    "PNG": lambda: big_png(30_000, 30_000),
    "JPEG": lambda: big_jpeg(60_000, 60_000),
    "TIFF": lambda: encoded(Image.new("1", (8_000, 8_000)), "TIFF", compression="group4"),
    "GIF": lambda: encoded(Image.new("P", (8_000, 8_000)), "GIF"),
    "a Pillow image": lambda: Image.new("1", (8_000, 8_000)),
}


@pytest.mark.parametrize("make", BOMBS.values(), ids=BOMBS.keys())
def test_bombs_are_refused_from_their_header(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    held = make()

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(cv2, "imdecode", forbidden)
    monkeypatch.setattr(Image.Image, "convert", forbidden)
    with pytest.raises(ImageError, match=r"^\d+x\d+: \d+ megapixels, and at most 50 are decoded$"):
        read_image(held)


def test_the_limit_is_an_argument() -> None:
    picture = encoded(Image.new("RGB", (30, 20)), "PNG")
    assert read_image(picture, max_pixels=600).shape == (20, 30, 3)
    with pytest.raises(ImageError, match="30x20: 0 megapixels"):
        read_image(picture, max_pixels=599)


def test_files_that_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(encoded(noise_picture(), "PNG"))
    monkeypatch.setattr("detector.data.images.MAX_BYTES", 1000)
    with pytest.raises(ImageError, match="and files of at most 0 MB are read"):
        read_image(path)


def test_no_memory_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: Any, **__: Any) -> None:
        raise MemoryError

    for owner, name in ((cv2, "imdecode"), (Image, "open")):
        monkeypatch.setattr(owner, name, none_left)
        with pytest.raises(ImageError, match="needs more memory than there is"):
            read_image(encoded(noise_picture(), "PNG" if owner is cv2 else "GIF"))


JPEGS = [
    {"quality": quality, "subsampling": subsampling, "progressive": progressive, "optimize": progressive, **restarts}
    for quality in (50, 95) for subsampling in (0, 1, 2) for progressive in (False, True)
    for restarts in ({}, {"restart_marker_rows": 1})
]  # fmt: skip


def blots(width: int, height: int, mode: str) -> Image.Image:
    rng = np.random.default_rng(1)
    coarse = rng.integers(60, 200, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR).convert(mode)


@pytest.mark.parametrize("how", JPEGS, ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpegs_that_are_cut_and_have_their_end_marker(mode: str, how: dict[str, Any]) -> None:
    """Refused, or hardly another picture."""
    chosen = how if mode == "RGB" else {k: v for k, v in how.items() if k != "subsampling"}
    for size in ((256, 64), (250, 61), (40, 100)):
        data = encoded(blots(*size, mode), "JPEG", **chosen)
        whole, start = read_image(data), data.find(b"\xff\xda")
        for share in (0.02, 0.2, 0.45, 0.7, 0.9):
            cut = data[: start + 14 + int(share * (len(data) - start - 16))] + b"\xff\xd9"
            try:
                got = read_image(cut)
            except ImageError as error:
                assert str(error).startswith(("truncated", "damaged"))
                continue
            assert (np.abs(got.astype(int) - whole).max(2) > 12).mean() < 0.05, share


@pytest.mark.parametrize("how", JPEGS, ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpegs_that_are_grey(mode: str, how: dict[str, Any]) -> None:
    """The grey of missing data is also a colour of pictures."""
    chosen = how if mode == "RGB" else {k: v for k, v in how.items() if k != "subsampling"}
    for width, height in ((256, 64), (250, 61), (17, 9), (8, 8), (100, 100)):
        grey = np.full((height, width, 3), 128, np.uint8)
        for written in (False, True):
            if written:
                grey[: height // 2, : width // 2] = np.asarray(blots(width // 2, height // 2, "RGB"))
            picture = Image.fromarray(grey).convert(mode)
            assert read_image(encoded(picture, "JPEG", **chosen)).shape == (height, width, 3)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("how", [{}, {"restart_marker_blocks": 1}, {"restart_marker_blocks": 3}, {"progressive": True}])
@pytest.mark.parametrize("orientation", [1, 6])
def test_jpegs_with_grey_margins(orientation: int, how: dict[str, Any], subsampling: int, capfd: Any) -> None:
    """Beside a picture, around it, or of noise that is grey once it is rounded; taken without a line on stderr."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    pictures = {"noise": Image.fromarray(np.random.default_rng(0).normal(128.2, 0.5, (61, 160)).astype(np.uint8))}
    for margin in (3, 12, 15, 40):
        for left, top in ((0, 0), (margin, 0), (0, margin), (margin, margin)):
            picture = Image.new("RGB", (160, 61), "#808080")
            picture.paste(blots(160 - margin, 61 - margin, "RGB"), (left, top))
            pictures[f"{margin} pixels beside {left}, {top}"] = picture
        picture = Image.new("RGB", (160, 2 * margin + 20), "#808080")
        picture.paste(blots(160 - 2 * margin, 20, "RGB"), (margin, margin))
        pictures[f"{margin} pixels around"] = picture
    for name, picture in pictures.items():
        for quality in (75, 95, 100):
            data = encoded(picture.convert("RGB"), "JPEG", quality=quality, subsampling=subsampling, exif=exif, **how)
            assert read_image(data).size == 3 * picture.width * picture.height, name
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("rest", [b"\xff\xe1", b"\xff\xe1\0"])
def test_a_comment_over_the_end_of_a_grey_jpeg_is_not_walked_for_ever(rest: bytes) -> None:
    data = encoded(Image.new("RGB", (64, 64), "#808080"), "JPEG")
    assert read_image(data[:-2] + b"\xff\xfe\0\x04\xff\xd9" + rest).shape == (64, 64, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_jpegs_that_are_cut(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(blots(256, 64, "RGB"), "JPEG", exif=exif)
    assert read_image(data).size == 256 * 64 * 3
    with pytest.raises(ImageError, match="the JPEG's data end before its picture does"):
        read_image(data[: len(data) * 3 // 4] + b"\xff\xd9")


def _restart_markers(data: bytes) -> list[int]:
    return [match.start() for match in re.finditer(rb"\xff[\xd0-\xd7]", data)]


@pytest.mark.parametrize("how", [how for how in JPEGS if "restart_marker_rows" in how], ids=str)
def test_jpegs_without_all_of_their_restart_markers(how: dict[str, Any]) -> None:
    data = encoded(blots(250, 61, "RGB"), "JPEG", **how)
    at, dri = _restart_markers(data), data.index(b"\xff\xdd")
    whole = read_image(data + b"\xff\xd0")  # what follows the end does not count
    assert whole.shape == (61, 250, 3)
    np.testing.assert_array_equal(
        read_image(data[:-2] + b"\xff\xd3\xff\xd9"), whole
    )  # one more at the end, as some write
    damaged = {
        "a marker": data[: at[1]] + data[at[1] + 2 :],
        "a part": data[: at[0]] + data[at[1] :],
        "two parts in each other's place": data[: at[0]] + data[at[1] : at[2]] + data[at[0] : at[1]] + data[at[2] :],
        "what says how many there are": data[:dri] + data[dri + 6 :],
    }
    for lost, held in damaged.items():
        with pytest.raises(ImageError, match="restart markers of the JPEG are missing"):
            read_image(held)
            pytest.fail(lost)


def test_a_jpeg_of_too_many_scans() -> None:
    """Each takes as long as a picture, and a few bytes; decoders pass over what is between them."""
    data = encoded(Image.new("L", (64, 64), 128), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    assert read_image(data[:-2] + 40 * scan + b"\xff\xd9").shape == (64, 64, 3)
    for junk in (b"", b"\0", b"\xff\x01\xff\0", b"\xff\xfe\0\x06\xff\xd9.."):
        with pytest.raises(ImageError, match=r"^[0-9]+ scans, and a JPEG of at most 100 is decoded"):
            read_image(data[:-2] + 200 * (junk + scan) + b"\xff\xd9")
    assert read_image(data + 200 * scan).shape == (64, 64, 3)  # after the end anything may follow


@pytest.mark.parametrize("kind", ["EPS", "PDF", "TGA", "ICO"])
def test_formats_that_are_none_of_ours_are_not_opened(kind: str, tmp_path: Path) -> None:
    """Of an EPS Pillow would run what the file says, in Ghostscript."""
    file = tmp_path / "picture.png"
    file.write_bytes(encoded(corner_picture(), kind))
    with pytest.raises(ImageError, match=r"^not an image"):
        read_image(file)


CASES = Path(__file__).parents[3] / "shared" / "cases"


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not here")
def test_the_cases() -> None:
    for path in (CASES / "half_jpeg").iterdir():
        with pytest.raises(ImageError, match="truncated"):
            read_image(path)
    for path in (CASES / "bombs").iterdir():
        with pytest.raises(ImageError, match="megapixels"):
            read_image(path)
    for path in (CASES / "sixteen-bit").iterdir():
        assert read_image(path).max() > 200


SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "BMP": ".bmp", "GIF": ".gif", "WEBP": ".webp", "TIFF": ".tif", "PPM": ".ppm"}


@pytest.mark.parametrize(("kind", "suffix"), [*SUFFIXES.items(), ("JPEG2000", ".jp2"), ("AVIF", ".avif")])
def test_files_are_known_by_their_beginning(kind: str, suffix: str) -> None:
    data = encoded(noise_picture(40, 20), kind)
    assert picture_suffix(data[:16]) == suffix
    assert picture_size_wh(data) == (40, 20)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_sizes_are_those_of_the_upright_picture(kind: str, orientation: int) -> None:
    data = rotated_by_exif(corner_picture(40, 20), orientation, kind)
    assert picture_size_wh(data) == read_image(data).shape[1::-1] == (40, 20)


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a"])
def test_what_cannot_be_opened_has_no_size(data: bytes) -> None:
    assert picture_size_wh(data) == (0, 0)


def test_a_header_of_too_many_pixels_is_no_size() -> None:
    data = bytearray(encoded(noise_picture(16, 8), "PNG"))
    data[16:24] = (1 << 30).to_bytes(4, "big") * 2
    assert picture_size_wh(bytes(data)) == (0, 0)
