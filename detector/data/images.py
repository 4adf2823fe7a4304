"""Decode pictures; nothing else in the package does.

From a path, the bytes of a file, a Pillow image or an array, :func:`read_image` returns ``uint8`` pixels of shape
(H, W, 3) in BGR order: upright, contiguous, never shared with the caller.

Ordinary JPEG and PNG files are decoded by OpenCV. What OpenCV decodes wrongly (CMYK, transparent palettes, an EXIF
rotation in a PNG) and all other formats go through Pillow, and where it keeps too few of 16 bits a colour, through
OpenCV again. Truncated files are refused, since OpenCV would return them half grey.
"""

from __future__ import annotations

import io
import os
import stat
import zlib
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from detector.data import jpeg
from detector.data.folders.image_files import MAX_BYTES
from detector.data.packs.shard_rows import read_row
from detector.errors import DependencyError, ImageError

# Also for opencv-python: both packages own the folder cv2/, and the last one installed is imported.
_HEADLESS = "`pip install --force-reinstall --no-deps opencv-python-headless`"

try:
    import cv2
except ImportError as error:
    if getattr(error, "name", None) == "cv2":
        raise DependencyError(f"OpenCV is not installed: run {_HEADLESS}.") from error
    raise DependencyError(
        f"OpenCV cannot start, for a library of the system is missing ({error}). Install it: on Debian or Ubuntu "
        "`apt-get install libgl1 libglib2.0-0`, on Fedora `dnf install mesa-libGL glib2`; or, on a machine without a "
        f"screen, run {_HEADLESS}, which does without."
    ) from error

Picture = str | os.PathLike[str] | bytes | Image.Image | NDArray[Any]
"""What :func:`read_image` takes."""

_PILLOW_FORMATS = "PNG JPEG MPO BMP DIB WEBP TIFF GIF PPM AVIF JPEG2000".split()

MAX_PIXELS = 50_000_000
"""Maximum pixels of a picture: a file of one megabyte may decode to a thousand times as many."""

MIN_SIDE = 4
"""Minimum side of a picture in pixels."""

_ORIENTATION = 0x112  # EXIF's tag

_DARK = 64  # of 255: where no sample is above it, the highest two of 16 bits may be unused

_PNG_NOTES = frozenset(b"iCCP sRGB gAMA cHRM sBIT hIST pHYs sPLT tEXt zTXt iTXt tIME oFFs pCAL sCAL".split())
"""Chunks that change no pixel that OpenCV decodes."""


def read_image(picture: Picture, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode one picture.

    Transparency is blended over white if it varies in the picture, otherwise ignored. Of 16-bit samples the highest
    eight bits in use are kept, since many hold 8, 10 or 12 bits. Of an animation the first frame is taken; a TIFF of
    several pages is refused. An EXIF rotation is applied.

    Args:
        picture: a path; the bytes of an image file; a Pillow image; or an array of ``uint8``, ``uint16`` or
            ``bool`` and shape (H, W), (H, W, 1), (H, W, 3) in BGR or (H, W, 4) in BGRA order.
        max_pixels: maximum of a file or a Pillow image; larger ones are refused before they are decoded.

    Returns:
        Shape (H, W, 3), BGR, contiguous; the caller may change it.

    Raises:
        ImageError: with the reason only ("no such file", "truncated …"); the caller adds the name.
    """
    try:
        pixels = _decoded(picture, max_pixels)
    except MemoryError:
        raise ImageError("it needs more memory than there is") from None
    height, width = pixels.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise ImageError(f"{width}x{height} pixels: too small to hold text")
    return np.ascontiguousarray(pixels)


def _decoded(picture: Picture, max_pixels: int) -> NDArray[np.uint8]:
    if isinstance(picture, np.ndarray):
        return _from_array(np.asarray(picture))  # a matrix has no third dimension, and would keep it from others
    if isinstance(picture, Image.Image):
        return _from_pillow(picture, max_pixels)
    if isinstance(picture, bytes | bytearray | memoryview):
        return _from_bytes(bytes(picture), max_pixels)
    if isinstance(picture, str | os.PathLike):
        return _from_bytes(read_file(picture), max_pixels)
    raise ImageError(f"{type(picture).__name__} is no picture: give a path, bytes, a Pillow image or an array")


def picture_size_wh(data: bytes) -> tuple[int, int]:
    """Width and height of an upright picture, from the header of its file; (0, 0) where it cannot be opened."""
    is_png = data.startswith(b"\x89PNG\r\n\x1a\n")
    try:
        if data.startswith(b"\xff\xd8\xff"):
            _check_size(jpeg.read_header(data).size_wh, MAX_PIXELS)
        elif is_png:
            _check_size(_png_size_wh(data), MAX_PIXELS)
        with Image.open(io.BytesIO(data), formats=_formats()) as opened:
            _check_size(opened.size, MAX_PIXELS)
            width, height = opened.size
            # Of a TIFF Pillow gives the upright size; of a PNG without the chunk it would decode all pixels to look
            # for one behind them.
            has_orientation = opened.format != "TIFF" and (not is_png or b"eXIf" in data)
            is_turned = has_orientation and opened.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
            return (height, width) if is_turned else (width, height)
    except Exception:  # a damaged header makes Pillow's readers raise nearly anything
        return 0, 0


def _png_size_wh(data: bytes) -> tuple[int, int]:
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _check_size(size_wh: tuple[int, int], max_pixels: int) -> None:
    width, height = size_wh
    if width * height > max_pixels:
        raise ImageError(
            f"{width}x{height}: {width * height / 1e6:.0f} megapixels, and at most {max_pixels / 1e6:g} are decoded"
        )


def read_file(path: str | os.PathLike[str], max_bytes: int | None = None) -> bytes:
    """Read a regular file, for a pipe might never end; or one picture of a shard, by its path there.

    Raises:
        ImageError: with the reason only.
    """
    try:
        status = os.stat(path)
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise ImageError("not a regular file (a pipe, a socket or a device)")
        limit = MAX_BYTES if max_bytes is None else max_bytes
        if status.st_size > limit:
            raise ImageError(f"{status.st_size / 1e6:.0f} MB, and files of at most {limit / 1e6:.0f} MB are read")
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        if (data := read_row(path)) is not None:
            return data
        raise ImageError("no such file") from None
    except IsADirectoryError:
        raise ImageError("a folder, not an image file") from None
    except (OSError, ValueError) as error:
        raise ImageError(f"cannot be opened: {getattr(error, 'strerror', None) or error}") from error


def _from_bytes(data: bytes, max_pixels: int) -> NDArray[np.uint8]:
    if not data:
        raise ImageError("empty file (0 bytes)")
    flag, header, encoded = None, None, data  # flag and bytes for OpenCV; None goes to Pillow
    if data.startswith(b"\xff\xd8\xff"):
        header = jpeg.read_header(data)
        _check_size(header.size_wh, max_pixels)
        if jpeg.lacks_restarts(data, header):
            raise ImageError("damaged (restart markers of the JPEG are missing, and parts of the picture with them)")
        # OpenCV decodes grey and three colours correctly, EXIF rotation included, but not CMYK.
        flag = cv2.IMREAD_COLOR if header.scans and len(header.components) in (1, 3) else None
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        _check_size(_png_size_wh(data), max_pixels)
        flag, encoded = _png_for_opencv(data)
    if flag is not None:
        try:
            pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), flag)
        except cv2.error:  # more pixels than OpenCV allows; Pillow's message is clearer
            pixels = None
        if pixels is not None:
            if header is not None and _is_cut(data, header, pixels):
                raise ImageError("truncated (the JPEG's data end before its picture does)")
            return _from_array(pixels) if flag == cv2.IMREAD_UNCHANGED else np.asarray(pixels, np.uint8)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        _check_sums(data)
    try:
        opened = Image.open(io.BytesIO(data), formats=_formats())
    except UnidentifiedImageError:
        if data.startswith((b"II*\0", b"MM\0*")):
            raise ImageError("damaged, or a TIFF of other samples: save it with 8 or 16 bits a sample") from None
        raise ImageError(f"not an image (the file starts with {data[:8]!r})") from None
    except MemoryError:
        raise
    except Exception as error:  # a damaged header makes Pillow's readers raise nearly anything
        raise ImageError(f"damaged or too large: {error}") from error
    with opened:
        if opened.format == "TIFF" and _has_pages(data):
            raise ImageError("several pages: save each of them as a picture of its own")
        return _from_pillow(opened, max_pixels, encoded)


def _has_pages(data: bytes) -> bool:
    """Test whether another page of the same size follows the first of a TIFF; smaller ones are thumbnails of it."""
    try:
        with Image.open(io.BytesIO(data), formats=("TIFF",)) as tiff:
            size = tiff.size
            tiff.seek(1)
            return tiff.size == size
    except Exception:  # none follows, or a damaged header, which makes Pillow's readers raise nearly anything
        return False


@cache
def _formats() -> tuple[str, ...]:
    """Pillow's names of the formats that are decoded; of others one, EPS, would start a program that runs the file."""
    Image.init()
    return tuple(name for name in _PILLOW_FORMATS if name in Image.OPEN)


def _is_cut(data: bytes, header: jpeg.Jpeg, pixels: NDArray[Any]) -> bool:
    """Test whether a JPEG lacks data at its end, where its pixels are grey like missing data, or where it has scans."""
    # Its last pixels may be in any corner, for EXIF may have turned it.
    ends_grey = bool((pixels[[0, 0, -1, -1], [0, -1, 0, -1]] == 128).all(1).any())
    if (ends_grey or header.kind == jpeg.PROGRESSIVE) and jpeg.lacks_scans(data):
        return True
    if not ends_grey:
        return False
    try:  # in Pillow, for OpenCV writes a line to stderr where it passes over bytes
        one, other = (
            Image.open(io.BytesIO(jpeg.with_more_data(data, seed)), formats=("JPEG",)).tobytes() for seed in (1, 2)
        )
    except MemoryError:
        raise
    except Exception:  # a note in its header makes Pillow's reader raise nearly anything, and is nothing to OpenCV
        return False
    return one != other


def _png_for_opencv(data: bytes) -> tuple[int | None, bytes]:
    """Flag with which OpenCV decodes a PNG, None for a transparent palette or EXIF; and the PNG without its notes.

    Walks all chunks. Of each note that it does not like libpng writes a line to stderr that names no file, and pictures
    of some cameras and programs all have one.
    """
    depth, colour_type = data[24:26] if len(data) > 25 else (8, 0)  # 4 and 6 have an alpha channel
    flag: int | None = cv2.IMREAD_UNCHANGED if colour_type in (4, 6) or depth == 16 else cv2.IMREAD_COLOR
    parts, start, has_pixels = list[bytes](), 0, False
    for kind, at, end in _png_chunks(data):
        if kind in (b"tRNS", b"eXIf"):
            flag = None
        elif kind == b"IDAT":
            has_pixels = True
        elif kind in _PNG_NOTES and not has_pixels:
            parts.append(data[start:at])
            start = end
    return flag, b"".join([*parts, data[start:]]) if parts else data


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each chunk of a PNG, the last one included, where it begins and where it ends."""
    kind, at = b"", 8
    while kind != b"IEND":
        if at + 12 > len(data):
            raise ImageError("truncated (the PNG ends before its last chunk)")
        kind, end = data[at + 4 : at + 8], at + 12 + int.from_bytes(data[at : at + 4], "big")
        yield kind, at, end
        at = end


def _check_sums(data: bytes) -> None:
    """Refuse a PNG with a wrong checksum, as OpenCV does: Pillow compares none of those of pixels."""
    for kind, at, end in _png_chunks(data):
        is_needed = kind[:1].isupper() or kind in (b"tRNS", b"eXIf")
        if is_needed and zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise ImageError(f"damaged (the checksum of the PNG's chunk {kind.decode('latin-1')!a} is wrong)")


def _from_pillow(image: Image.Image, max_pixels: int, encoded: bytes = b"") -> NDArray[np.uint8]:
    _check_size(image.size, max_pixels)
    try:
        is_deep = _is_deep(image)
        upright = ImageOps.exif_transpose(image)
        mode = upright.mode
        if mode.startswith("I"):  # 16 or 32 bits of grey
            return _from_array(_narrow(np.asarray(upright)))
        if mode != "F":
            has_alpha = upright.has_transparency_data
            colour = np.asarray(upright.convert("RGBA" if has_alpha else "RGB"))[:, :, [2, 1, 0, 3][: 3 + has_alpha]]
            if image.format == "JPEG2000" and _has_deep_colours(encoded):  # Pillow makes black of their white
                return _from_array(_all_bits(colour, encoded, cv2.IMREAD_UNCHANGED))
            samples = np.asarray(upright) if mode == "CMYK" else colour[:, :, :3]
            if is_deep and samples.max(initial=0) <= _DARK:
                return _from_array(_all_bits(colour, encoded, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH))
            return _from_array(colour)
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # damaged data makes Pillow's decoders raise nearly anything
        word = "truncated" if "truncated" in str(error) else "damaged"
        raise ImageError(f"{word} ({error})") from error
    raise ImageError("pixels are 32-bit floats: save the picture with 8 or 16 bits a sample")


def _is_deep(image: Image.Image) -> bool:
    """Test whether an image that is not loaded has 16 bits a sample in its file; of JPEG 2000 Pillow does not tell."""
    tiles = [tile.args for tile in getattr(image, "tile", [])]
    return any(";16" in str(args) or (image.format == "PPM" and args[1:] == (65535,)) for args in tiles)


def _has_deep_colours(encoded: bytes) -> bool:
    """Test whether a JPEG 2000 has several components of more than eight bits (ITU-T T.800, A.5.1)."""
    size = encoded[max(0, encoded.find(b"\xff\x4f\xff\x51")) :][40:43]
    return len(size) == 3 and size[:2] > b"\0\1" and size[2] & 127 > 7


def _all_bits(colour: NDArray[np.uint8], encoded: bytes, flag: int) -> NDArray[np.uint16]:
    """Decode a file of more than eight bits a colour by OpenCV, with all of them.

    Args:
        colour: shape (H, W, 3 or 4), BGR or BGRA: the highest eight, from Pillow.
        encoded: the file; empty if there is none.
        flag: OpenCV's.
    """
    try:
        deep = np.asarray(cv2.imdecode(np.frombuffer(encoded, np.uint8), flag))
    except cv2.error:  # there is no file, or it is of a kind that OpenCV does not know
        deep = np.zeros(0)
    # OpenCV has to have made the same picture, as upright and as coloured; 10 and 12 bits of JPEG 2000 fill no 16.
    if deep.dtype == np.uint16 and deep.shape[:2] == colour.shape[:2] and deep.shape[2:] in ((3,), (4,)):
        samples, shown = np.asarray(deep, np.uint16), colour[:, :, :3]
        for bits in (8, 6, 4, 2):
            if ((samples[:, :, :3] >> bits).astype(np.uint8) - shown + np.uint8(1) <= 2).all():  # modulo 256
                alpha = colour[:, :, 3:].astype(np.uint16) * 257 if samples.shape[2] == 3 else samples[:, :, 3:]
                return np.concatenate([samples[:, :, :3], alpha], 2)
    raise ImageError("more than 8 bits a colour, in a form that is not decoded: save it as PNG, and give that file")


def _narrow(grey: NDArray[Any]) -> NDArray[np.uint16]:
    """Convert Pillow's integer grey, (H, W), to 16 bits; it often comes in 32."""
    if grey.dtype != np.uint16 and grey.size and (grey.min() < 0 or grey.max() > 65535):
        raise ImageError("pixels are 32-bit integers: save the picture with 8 or 16 bits a sample")
    return np.asarray(grey, np.uint16)


def _eight_bits(array: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Convert 16-bit samples (H, W, channels) to the highest eight bits in use, rounded up to an even number of bits.

    Sensors of 10 and 12 bits, and tools that only change the type, leave the high bits empty: such a picture would be
    black. Alpha, the fourth channel, always uses all 16 bits.
    """
    colour = array[:, :, :3]
    used = int(colour.max()).bit_length() if colour.size else 16
    narrowed = (colour >> max(0, used + used % 2 - 8)).astype(np.uint8)
    alpha = array[:, :, 3:]
    if not alpha.size:
        return narrowed
    return np.concatenate([narrowed, (alpha >> (0 if alpha.max() <= 255 else 8)).astype(np.uint8)], 2)


def _from_array(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Copy an array to shape (H, W, 3)."""
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        channels_first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        hint = "; channels come last: use array.transpose(1, 2, 0)" if channels_first else ""
        raise ImageError(f"array of shape {array.shape}: want (H, W), (H, W, 1), (H, W, 3) or (H, W, 4){hint}")
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    elif array.dtype == np.uint16:
        array = _eight_bits(array)
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
            dark = (255 - colour) * alpha.astype(np.uint16) + 128  # distance from white times 255, plus 1/2
            return np.asarray(255 - (dark + (dark >> 8) >> 8), np.uint8)  # exact division by 255
    return np.array(colour, order="C")
