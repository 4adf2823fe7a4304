"""What comes with the package, and where weights lie."""

from __future__ import annotations

import os
from pathlib import Path

from detector.errors import WeightsError
from detector.text.alphabet import DEFAULT_SYMBOLS

NETWORK = Path(__file__).parent / "models" / "char.yaml"
"""The network that training starts from where no weights are given or fit."""

SHIPPED = Path(__file__).parent / "weights" / "detector.pt"
"""The detector that comes with the package: the default alphabet, trained on artificial pictures."""


def shipped_detector(symbols: str) -> Path | None:
    """Return the packaged detector's weights, if they know any of these symbols."""
    return None if set(symbols).isdisjoint(DEFAULT_SYMBOLS) or not SHIPPED.is_file() else SHIPPED


def weights_path(weights: str | os.PathLike[str] | None) -> Path:
    """Return the path of weights; None and "shipped" are the package's own.

    Raises:
        WeightsError: if there is nothing, or it is no path.
    """
    if not isinstance(weights, (str, os.PathLike, type(None))):
        raise WeightsError(f"{weights!r} is no path of weights: give a file that `detector train` wrote, or 'shipped'.")
    path = SHIPPED if weights is None or weights == "shipped" else Path(weights)
    if not path.exists():
        name, equals, _ = str(weights).partition("=")
        spelt = " The weights come first, without a name and '='." if equals and name.isidentifier() else ""
        raise WeightsError(
            f"There are no weights at {path}: give a file that `detector train` wrote, or 'shipped'.{spelt}"
        )
    return path
