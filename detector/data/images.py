"""The one place where a picture is decoded, and where pictures are found in folders.

Whatever comes in (a path, the bytes of a file, a Pillow image, an array), :func:`read_image` gives the same:
``uint8`` pixels of shape (H, W, 3) in BGR order, upright, contiguous, never shared with the caller's own.

Ordinary JPEG and PNG files are decoded once, by OpenCV. What OpenCV gets wrong (CMYK, transparent palettes, a
rotation noted in a PNG) and every other format go through Pillow. A file that ends too early is refused
before it is decoded: OpenCV would hand it back half grey.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from detector.errors import DependencyError, ImageError, SourceError

try:
    import cv2
except ImportError as error:
    if getattr(error, "name", None) == "cv2":
        raise DependencyError("OpenCV is not installed: run `pip install opencv-python`.") from error
    raise DependencyError(
        f"OpenCV cannot start, for a library of the system is missing ({error}). Install it: on Debian or Ubuntu "
        "`apt-get install libgl1 libglib2.0-0`, on Fedora `dnf install mesa-libGL glib2`; or, on a machine without a "
        "screen, `pip uninstall opencv-python` and `pip install opencv-python-headless`, which does without."
    ) from error

Picture = str | os.PathLike[str] | bytes | Image.Image | NDArray[Any]
"""What :func:`read_image` takes."""

_SUFFIXES = ".png .jpg .jpeg .jpe .jfif .bmp .dib .webp .tif .tiff .gif .ppm .pgm .pbm .pnm .avif .jp2"
IMAGE_SUFFIXES = frozenset(_SUFFIXES.split())
"""Suffixes, in lower case, of the files that count as pictures."""

MIN_SIDE = 4
"""Pixels; a picture with a shorter side holds no text."""

_DIGITS = re.compile(r"[0-9]+")


def read_image(picture: Picture) -> NDArray[np.uint8]:
    """Decode one picture.

    Transparent pixels are laid over white if transparency varies in the picture, otherwise it is ignored.
    16-bit samples keep their high byte. Of an animation the first frame is taken. A rotation noted in EXIF
    is applied.

    Args:
        picture: a path; the bytes of an image file; a Pillow image; or an array of ``uint8``, ``uint16`` or
            ``bool`` and shape (H, W), (H, W, 1), (H, W, 3) in BGR or (H, W, 4) in BGRA order.

    Returns:
        Shape (H, W, 3), BGR, contiguous, the caller's to change.

    Raises:
        ImageError: with the reason alone ("no such file", "truncated …"); the caller knows the name.
    """
    if isinstance(picture, np.ndarray):
        pixels = _from_array(picture)
    elif isinstance(picture, Image.Image):
        pixels = _from_pillow(picture)
    elif isinstance(picture, bytes | bytearray | memoryview):
        pixels = _from_bytes(bytes(picture))
    elif isinstance(picture, str | os.PathLike):
        pixels = _from_bytes(read_file(picture))
    else:
        raise ImageError(f"{type(picture).__name__} is no picture: give a path, bytes, a Pillow image or an array")
    height, width = pixels.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise ImageError(f"{width}x{height} pixels: too small to hold text")
    return np.ascontiguousarray(pixels)


def image_files(
    folder: str | os.PathLike[str], suffixes: frozenset[str] = IMAGE_SUFFIXES
) -> Iterator[tuple[Path, ImageError | None]]:
    """The files in ``folder`` and below that have one of ``suffixes``, by default the pictures; each folder's files
    first, then its subfolders.

    Names are in natural order (``a2`` before ``a10``). Hidden files and folders and links to folders are
    passed over. Memory grows with the largest single folder, not with the tree.

    Returns:
        (path, None) of each file; (path, reason) of each folder below that cannot be read.

    Raises:
        SourceError: at once, if ``folder`` is not a folder, or cannot be read.
    """
    if not os.path.isdir(folder):
        raise SourceError(f"No such folder: {folder}.")
    try:
        os.scandir(folder).close()
    except OSError as error:
        raise SourceError(f"The folder {folder} cannot be read: {error.strerror}.") from error
    return _walk(os.fspath(folder), suffixes)


def is_folder(entry: os.DirEntry[str], *, follow_symlinks: bool = True) -> bool:
    """Whether an entry of a listing is a folder; what cannot be told, say of a link to itself, is none."""
    try:
        return entry.is_dir(follow_symlinks=follow_symlinks)
    except OSError:
        return False


def is_image_name(name: str, suffixes: frozenset[str] = IMAGE_SUFFIXES) -> bool:
    """Whether a file of this name counts as a picture: a known suffix, not hidden."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes


def _walk(root: str, suffixes: frozenset[str]) -> Iterator[tuple[Path, ImageError | None]]:
    left = [root]  # the next one last
    while left:
        folder, files, folders = left.pop(), [], []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if is_image_name(entry.name, suffixes) and not is_folder(entry):
                        files.append(entry.name)
                    elif not entry.name.startswith(".") and is_folder(entry, follow_symlinks=False):
                        folders.append(entry.name)
        except OSError as error:
            yield Path(folder), ImageError(f"the folder cannot be read: {error.strerror}")
            continue
        for name in sorted(files, key=_natural):
            yield Path(folder, name), None
        left += [os.path.join(folder, name) for name in sorted(folders, key=_natural, reverse=True)]


def _natural(name: str) -> tuple[str, str]:
    return _DIGITS.sub(lambda run: run[0].zfill(20), name), name


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a regular file: a pipe might never end.

    Raises:
        ImageError: with the reason alone.
    """
    try:
        kind = os.stat(path).st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise ImageError("not a regular file (a pipe, a socket or a device)")
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        raise ImageError("no such file") from None
    except IsADirectoryError:
        raise ImageError("a folder, not an image file") from None
    except (OSError, ValueError) as error:
        raise ImageError(f"cannot be opened: {getattr(error, 'strerror', None) or error}") from error


def _from_bytes(data: bytes) -> NDArray[np.uint8]:
    if not data:
        raise ImageError("empty file (0 bytes)")
    flag = None  # how OpenCV is to decode it, if it can
    if data.startswith(b"\xff\xd8\xff"):
        flag = _jpeg_flag(data)
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        flag = _png_flag(data)
    if flag is not None:
        try:
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
        except cv2.error:  # more pixels than OpenCV allows; Pillow has the clearer words
            pixels = None
        if pixels is not None:
            return _from_array(pixels) if flag == cv2.IMREAD_UNCHANGED else np.asarray(pixels, np.uint8)
    try:
        opened = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        raise ImageError(f"not an image (the file starts with {data[:8]!r})") from None
    except Exception as error:  # a damaged header makes Pillow's readers raise nearly anything
        raise ImageError(f"damaged or too large: {error}") from error
    with opened:
        return _from_pillow(opened)


def _jpeg_flag(data: bytes) -> int | None:
    """OpenCV is right about grey and three colours, and minds a rotation note; not about CMYK.

    The header's segments are walked to the start of the scan, since a thumbnail inside them has an end
    marker of its own. After the end marker anything may follow (ITU-T T.81, annex B; cameras append).
    """
    at, components = 2, 0
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and at + 9 < len(data):
            components = data[at + 9]
        if marker == 0xDA:
            if data.rfind(b"\xff\xd9", at) < 0:
                raise ImageError("truncated (the JPEG ends before its end marker)")
            return cv2.IMREAD_COLOR if components in (1, 3) else None
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    if at + 4 > len(data):
        raise ImageError("truncated (the JPEG ends within its header)")
    return None


def _png_flag(data: bytes) -> int | None:
    """OpenCV is right but about a palette with transparency and a rotation note. Walks the chunks to the last."""
    colour_type = data[25] if len(data) > 25 else 0  # 4 and 6 have an alpha channel
    flag: int | None = cv2.IMREAD_UNCHANGED if colour_type in (4, 6) else cv2.IMREAD_COLOR
    at = 8
    while at + 12 <= len(data):
        kind = data[at + 4 : at + 8]
        if kind == b"IEND":
            return flag
        if kind in (b"tRNS", b"eXIf"):
            flag = None
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    raise ImageError("truncated (the PNG ends before its last chunk)")


def _from_pillow(image: Image.Image) -> NDArray[np.uint8]:
    try:
        upright = ImageOps.exif_transpose(image)
        mode = upright.mode
        if mode.startswith("I"):  # 16 or 32 bits of grey
            return _from_array(_narrow(np.asarray(upright)))
        if mode != "F":
            if upright.has_transparency_data:
                return _from_array(np.asarray(upright.convert("RGBA"))[:, :, [2, 1, 0, 3]])
            return _from_array(np.asarray(upright.convert("RGB"))[:, :, ::-1])
    except ImageError:
        raise
    except Exception as error:  # damaged data makes Pillow's decoders raise nearly anything
        word = "truncated" if "truncated" in str(error) else "damaged"
        raise ImageError(f"{word} ({error})") from error
    raise ImageError("pixels are 32-bit floats: save the picture with 8 or 16 bits a sample")


def _narrow(grey: NDArray[Any]) -> NDArray[np.uint8 | np.uint16]:
    """Pillow's integer grey, (H, W): 16 bits, often in 32; or 8 there, which would be black if they were 16."""
    if grey.dtype == np.uint16 or not grey.size:
        return np.asarray(grey, np.uint16)
    if grey.min() < 0 or grey.max() > 65535:
        raise ImageError("pixels are 32-bit integers: save the picture with 8 or 16 bits a sample")
    return np.asarray(grey, np.uint8 if grey.max() <= 255 else np.uint16)


def _from_array(array: NDArray[Any]) -> NDArray[np.uint8]:
    """A copy with shape (H, W, 3)."""
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        channels_first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        hint = "; channels come last: use array.transpose(1, 2, 0)" if channels_first else ""
        raise ImageError(f"array of shape {array.shape}: want (H, W), (H, W, 1), (H, W, 3) or (H, W, 4){hint}")
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    elif array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    elif array.dtype != np.uint8:
        kind = "float" if np.issubdtype(array.dtype, np.floating) else "wrong"
        advice = "scale to 0-255 and use array.astype(numpy.uint8)"
        raise ImageError(f"array of {kind} type {array.dtype}: want uint8, uint16 or bool; {advice}")
    if array.shape[2] == 1:
        return np.repeat(array, 3, axis=2)  # (H, W, 3)
    colour = array[:, :, :3]
    if array.shape[2] == 4 and array.size:
        alpha = np.ascontiguousarray(array[:, :, 3:])  # (H, W, 1)
        if alpha.min() != alpha.max():
            dark = (255 - colour) * alpha.astype(np.uint16) + 128  # how far from white, times 255, to be rounded
            return np.asarray(255 - (dark + (dark >> 8) >> 8), np.uint8)  # that is dark / 255
    return np.array(colour, order="C")
