"""How often one symbol is seen as another: shipped weights on artificial pictures of all typefaces.

    python tools/weights/lookalikes.py [--pictures 6000] [--seed 24]

Readings of as many characters as the text has are compared place by place: of each true symbol, the mean of the
network's scores, each place's summing to 1. Prints the pairs, the true symbol first, of at least --min, which
`detector/text/forms/lookalikes.py` takes as LOOKALIKES.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

import detector


def confusion(pictures: int, seed: int) -> NDArray[np.float64]:
    """(classes, classes): rows are true symbols, columns what they are seen as; rows sum to 1."""
    synthesizer = detector.Synthesizer(detector.SynthConfig(seed=seed))
    reader = detector.Reader()
    symbols = reader.config.symbols
    counts = np.zeros((len(symbols), len(symbols)))
    samples = [synthesizer(index) for index in range(pictures)]
    for sample, reading in zip(samples, reader.read_many([s.image for s in samples]), strict=True):
        text = sample.text.replace(" ", "")
        if isinstance(reading, detector.Failure) or len(reading.characters) != len(text):
            continue
        for true, character in zip(text, reading.characters, strict=True):
            scores = np.zeros(len(symbols))
            for symbol, score in character.likely:
                scores[symbols.index(symbol)] = score
            if scores.sum() > 0:
                counts[symbols.index(true)] += scores / scores.sum()
    return counts / np.maximum(counts.sum(1, keepdims=True), 1e-9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=24)
    parser.add_argument("--min", type=float, default=0.005, help="share from which on a pair is told")
    args = parser.parse_args()
    shares = confusion(args.pictures, args.seed)
    symbols = detector.Reader().config.symbols
    np.fill_diagonal(shares, 0.0)
    rows, columns = np.nonzero(shares >= args.min)
    pairs = {symbols[i] + symbols[j]: round(float(shares[i, j]), 3) for i, j in zip(rows, columns, strict=True)}
    print(", ".join(f'"{pair}": {share}' for pair, share in sorted(pairs.items(), key=lambda item: -item[1])))


if __name__ == "__main__":
    main()
