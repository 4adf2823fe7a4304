"""What every network offers, whatever runs it: letterboxed pictures in, candidates out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from detector.data.parallel import chunked
from detector.errors import WeightsError
from detector.text.detections import CharDetections
from detector.text.reading_config import ReadingConfig

log = logging.getLogger("detector")

OTHER = "\N{REPLACEMENT CHARACTER}"
"""Last class of weights that see characters of other alphabets, too: readers ignore these, a set with unknown symbols
finds and learns them by this class."""

MAX_BATCH = 32
"""Pictures that a network is given in one call, and the most that a TensorRT engine is made for."""

Result = TypeVar("Result")


class Network(Protocol):
    """Letterboxed pictures in, candidates out."""

    names: dict[int, str]
    config: ReadingConfig | None
    """As the file holds them; None where it holds none."""
    shape_hw: tuple[int, int] | None
    """The one input that the file takes; None where it takes any."""

    def __call__(self, images: NDArray[np.uint8]) -> list[CharDetections]:
        """Detect candidates in pixels of the letterboxed pictures, uint8 (n, H, W, 3) BGR."""

    def output(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return raw output (n, 4 + classes, places) of letterboxed pictures: cx, cy, w, h in their pixels, scores."""


def in_batches(
    call: Callable[[NDArray[np.uint8]], Iterable[Result]], images: Sequence[NDArray[np.uint8]]
) -> list[Result]:
    """Call a network on pictures of any shapes (H, W, 3); those of one shape go together, :data:`MAX_BATCH` at most.

    Args:
        call: of pictures (n, H, W, 3), gives a result for each.
        images: letterboxed.

    Returns:
        The results in the order of the pictures.
    """
    rows_by_shape: dict[tuple[int, ...], list[int]] = {}
    for row, image in enumerate(images):
        rows_by_shape.setdefault(image.shape, []).append(row)
    results: dict[int, Result] = {}
    for rows in rows_by_shape.values():
        for batch in chunked(rows, MAX_BATCH):
            results.update(zip(batch, call(np.stack([images[row] for row in batch])), strict=True))
    return [results[row] for row in range(len(images))]


def of_symbols(output: Any, names: dict[int, str]) -> Any:
    """Drop the class :data:`OTHER`, where the network has it, from a raw output (n, 4 + classes, places)."""
    return output[:, :-1] if names[max(names)] == OTHER else output


def config_of(network: Network, path: Path) -> ReadingConfig:
    """Return a network's reading config: its file's, or one of its class names where the file has none.

    Raises:
        WeightsError: if it detects other things than single characters.
    """
    if network.config is not None:
        return network.config
    symbols = single_symbols(network.names)
    if symbols is None:
        names = ", ".join(list(network.names.values())[:5])
        raise WeightsError(f"{path} detects {names} …, not single characters: it is no reader's weights.")
    config = ReadingConfig(symbols, shape_hw=network.shape_hw)
    log.warning(
        "%s says nothing of the strings: at most %d symbols are read and no spaces. `detector train` and "
        "`detector export` write weights that say it.", path, config.length,
    )  # fmt: skip
    return config


def single_symbols(names: dict[int, str]) -> str | None:
    """Return class names as an alphabet, if each is one character."""
    ordered = [names[i] for i in sorted(names)]
    return "".join(ordered) if all(len(n) == 1 for n in ordered) else None


def known_as(symbol: str, names: Collection[str]) -> str | None:
    """Return the class of a symbol: its own, or the same letter's in the other case; None where there is none."""
    return next((name for name in (symbol, symbol.upper(), symbol.lower()) if name in names), None)
