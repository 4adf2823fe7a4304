"""Confusion channel of the shipped weights, on artificial pictures of all typefaces.

    python tools/weights/lookalikes.py [--pictures 6000] [--seed 24]

Readings with as many characters as the text are compared place by place. For each true symbol the network's scores of
all symbols, normalised to a sum of 1 at each place, are averaged. Prints the pairs with a mean of at least --min, the
true symbol first, for LOOKALIKES in `detector/text/forms/lookalikes.py`.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

import detector
from detector.text.forms.lookalikes import confusion_counts


def confusion(pictures: int, seed: int) -> NDArray[np.float64]:
    """Measure the confusion channel, (classes, classes): rows are true symbols and sum to 1."""
    synthesizer = detector.Synthesizer(detector.SynthConfig(seed=seed))
    reader = detector.Reader()
    symbols = reader.config.symbols
    samples = [synthesizer(index) for index in range(pictures)]
    readings = [r for r in reader.read_many([s.image for s in samples]) if isinstance(r, detector.Reading)]
    counts = confusion_counts(readings, [sample.text for sample in samples], symbols)
    return counts / np.maximum(counts.sum(1, keepdims=True), 1e-9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=24)
    parser.add_argument("--min", type=float, default=0.005, help="minimum share of a pair that is printed")
    args = parser.parse_args()
    shares = confusion(args.pictures, args.seed)
    symbols = detector.Reader().config.symbols
    np.fill_diagonal(shares, 0.0)
    rows, columns = np.nonzero(shares >= args.min)
    pairs = {symbols[i] + symbols[j]: round(float(shares[i, j]), 3) for i, j in zip(rows, columns, strict=True)}
    print(", ".join(f'"{pair}": {share}' for pair, share in sorted(pairs.items(), key=lambda item: -item[1])))


if __name__ == "__main__":
    main()
