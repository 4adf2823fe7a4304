"""Arguments that benchmarks have in common; no command."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from tools.results import DATA, ROOT

# At the top nothing but the standard library: peers' Pythons, which have no detector, import this file too.


def add_out(parser: argparse.ArgumentParser, name: str) -> None:
    """Add --out, by default runs/``name``."""
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / name, help="folder to work in")


def add_data_and_out(parser: argparse.ArgumentParser, name: str) -> None:
    """Add --data, and --out, by default runs/``name``."""
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the sets")
    add_out(parser, name)


def add_sample(parser: argparse.ArgumentParser, sets: Sequence[str], default: Sequence[str], pictures: int) -> None:
    """Add --sets, --data, --pictures and --seed, by which pictures of sets are drawn.

    Args:
        parser: to add them to.
        sets: that can be chosen.
        default: those that are taken if none is chosen.
        pictures: of each set, unless another number is given.
    """
    parser.add_argument("--sets", nargs="+", choices=sets, default=list(default), metavar="SET", help=", ".join(sets))
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the sets")
    parser.add_argument("--pictures", type=int, default=pictures, help="of each set; 0 takes all")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of pictures")


def parse_arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Return the arguments with absolute paths of --data and --out; create --out, and print the package's log."""
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    if "data" in args:
        args.data = args.data.resolve()
    return args
