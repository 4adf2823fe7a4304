"""Fit of string models to known grammars: which formats they find, and how much likelihood they lose; no pictures.

    python tools/reading/grammars.py [--counts 10 30 100 300 1000] [--draws 10]

String models are fitted to strings that are drawn from known grammars, as labels and as readings in which every O is a
0 and every I a 1. The table has for each number of strings the most frequent description of the model, and the mean
loss in nats a string: the log-likelihood of 1,000 other strings of the grammar by the grammar minus that by the model,
in the mean of --draws draws. No model counts as uniform over all strings of the observed lengths. Prints a Markdown
table.
"""

from __future__ import annotations

import argparse
import math
import random
from collections import Counter
from collections.abc import Callable

import numpy as np

from detector.text.alphabet import DEFAULT_SYMBOLS
from detector.text.detections import Character, Reading
from detector.text.forms.fitting import fit_string_model, fit_string_model_to_labels
from detector.text.forms.string_model import StringModel

DIGITS, LETTERS = DEFAULT_SYMBOLS[:10], DEFAULT_SYMBOLS[10:]
POOLS = {"9": DIGITS, "A": LETTERS, "X": DEFAULT_SYMBOLS}
HELD_OUT_COUNT = 1000

GRAMMARS: dict[str, dict[str, float]] = {
    "AAA9999": {"AAA9999": 1.0},
    "AAA9999 and 99AAAAA, 9 to 1": {"AAA9999": 0.9, "99AAAAA": 0.1},
    "AAA9999 and AA999, 9 to 1": {"AAA9999": 0.9, "AA999": 0.1},
    "W, then A9999": {"WA9999": 1.0},
    "XXXXXX": {"XXXXXX": 1.0},
    "X, 4 to 8 of them": {"X" * n: 0.2 for n in range(4, 9)},
}
"""Grammars: their formats with shares; W is the letter itself."""


def draw_strings(grammar: dict[str, float], count: int, rng: random.Random) -> list[str]:
    """Draw strings of a grammar."""
    forms = rng.choices(list(grammar), list(grammar.values()), k=count)
    return ["".join(rng.choice(POOLS.get(sign, sign)) for sign in form) for form in forms]


def log_likelihood(text: str, grammar: dict[str, float]) -> float:
    """Return the log-likelihood of a string, in nats, by the grammar that it was drawn from."""
    total = 0.0
    for form, share in grammar.items():
        pools = [POOLS.get(sign, sign) for sign in form]
        if len(pools) == len(text) and all(symbol in pool for symbol, pool in zip(text, pools, strict=True)):
            total += share / math.prod(map(len, pools))
    return math.log(total)


def log_likelihood_by(text: str, model: StringModel | None, lengths: Counter[int]) -> float:
    """Return the log-likelihood of a string, in nats, by a model.

    Args:
        text: the string.
        model: None is uniform over all strings of a length.
        lengths: of the strings that the model was fitted to.
    """
    n, classes = len(text), len(DEFAULT_SYMBOLS)
    log_length_share = math.log((lengths[n] + 0.5) / (lengths.total() + 0.5 * max(1, len(lengths))))
    if model is None or n not in model.formats:
        return log_length_share - n * math.log(classes)
    ids = [DEFAULT_SYMBOLS.index(symbol) for symbol in text]
    return log_length_share + math.log(
        sum(f.weight * float(f.symbols[np.arange(n), ids].prod()) for f in model.formats[n])
    )


def as_read(text: str) -> Reading:
    """Return a sure reading of a text, on a typeface whose O is its 0 and whose I is its 1."""
    signs = text.replace("O", "0").replace("I", "1")
    characters = tuple(Character(sign, 0.97, (0.0, 0.0, 1.0, 1.0), ((sign, 0.97),)) for sign in signs)
    return Reading(signs, 0.9, characters)


def measure(
    grammar: dict[str, float], count: int, learn: Callable[[list[str]], StringModel | None], draws: int, seed: int
) -> tuple[str, float]:
    """Fit models to strings of a grammar; return the most frequent description, and the mean loss in nats a string.

    Args:
        grammar: formats and their shares.
        count: number of strings to fit to.
        learn: fits a model.
        draws: number of models.
        seed: of the strings.
    """
    descriptions: Counter[str] = Counter()
    mean_loss = 0.0
    for draw in range(draws):
        rng = random.Random(f"{seed} {draw}")
        texts = draw_strings(grammar, count, rng)
        model, lengths = learn(texts), Counter(map(len, texts))
        descriptions[
            " ".join(part for part in str(model or "nothing").split() if "(" not in part and "%" not in part)
        ] += 1
        held_out = draw_strings(grammar, HELD_OUT_COUNT, rng)
        losses = [log_likelihood(text, grammar) - log_likelihood_by(text, model, lengths) for text in held_out]
        mean_loss += sum(losses) / HELD_OUT_COUNT / draws
    return descriptions.most_common(1)[0][0].rstrip(","), mean_loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=(10, 30, 100, 300, 1000))
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    ways: dict[str, Callable[[list[str]], StringModel | None]] = {
        "labels": lambda texts: fit_string_model_to_labels(texts, DEFAULT_SYMBOLS),
        "readings": lambda texts: fit_string_model([as_read(text) for text in texts], DEFAULT_SYMBOLS),
    }
    print("| grammar | from | " + " | ".join(f"{count} strings" for count in args.counts) + " |")
    print("|---" * (2 + len(args.counts)) + "|")
    for name, grammar in GRAMMARS.items():
        for way, learn in ways.items():
            cells = [measure(grammar, count, learn, args.draws, args.seed) for count in args.counts]
            print(f"| {name} | {way} | " + " | ".join(f"{text}: {nats:.2f}" for text, nats in cells) + " |")


if __name__ == "__main__":
    main()
