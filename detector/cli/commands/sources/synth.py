"""``detector synth``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from detector.cli.progress import progress_bar
from detector.cli.terminal import put, say
from detector.errors import ArgumentError


def command(
    out: Annotated[Path, typer.Argument(help="Folder to write: images/, labels.csv, boxes.csv.")],
    count: Annotated[int, typer.Option("--count", "-n", help="How many pictures.")] = 1000,
    alphabet: Annotated[str | None, typer.Option(help="Symbols or ranges of them. [0-9A-Z]")] = None,
    length: Annotated[int, typer.Option(help="Symbols of the longest text.")] = 8,
    min_length: Annotated[int | None, typer.Option(help="Symbols of the shortest text. [length]")] = None,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT in pixels.")] = "256x64",
    styles: Annotated[
        str | None,
        typer.Option(
            help="Some of plate,vehicle,captcha,clear,struck,crowded,hollow,inverted,fuzzy,label,embossed,segments,lcd,"
            "led,dots,counter,handwriting,scene,inkjet,engraved,curved,painted,document,plain. [not plain]"
        ),
    ] = None,
    layout: Annotated[str, typer.Option(help="proportional, or fixed (a fixed pitch).")] = "proportional",
    spaces: Annotated[float, typer.Option(help="Share of pictures with spaces inside or at the end.")] = 0.0,
    lines: Annotated[int, typer.Option(help="1 or 2 lines of text.")] = 1,
    pattern: Annotated[
        str | None, typer.Option(help="Format: A letter, 9 digit, X any, others as they are, | between alternatives.")
    ] = None,
    texts: Annotated[Path | None, typer.Option(help="File of texts to draw from, one a line. [made up]")] = None,
    glyphs: Annotated[Path | None, typer.Option(help="Folder of single characters, a class a folder.")] = None,
    font: Annotated[list[Path] | None, typer.Option(help="Font files. [those of the system]")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes. [all cores]")] = None,
    seed: Annotated[int, typer.Option(help="Another seed, other pictures.")] = 0,
) -> None:
    """Artificial labelled pictures, with the true boxes beside them."""
    from detector.synth import STYLES, SynthConfig, read_texts, write_set
    from detector.text.alphabet import Alphabet, symbols_of

    width, _, height = size.lower().partition("x")
    if not (width.isascii() and width.isdigit() and height.isascii() and height.isdigit()):
        raise ArgumentError(f"--size is WIDTHxHEIGHT in pixels, for example 256x64, got {size!r}.")
    config = SynthConfig(
        alphabet=Alphabet() if alphabet is None else Alphabet(symbols_of(alphabet)),
        length=length, min_length=min_length, size_wh=(int(width), int(height)),
        styles=STYLES if styles is None else tuple(name.strip() for name in styles.split(",") if name.strip()),
        layout=layout, spaces=spaces, lines=lines,
        pattern=pattern, texts=read_texts(texts) if texts else None, glyphs=glyphs,
        fonts=tuple(font) if font else None, seed=seed,
    )  # fmt: skip
    picture_count = 0
    with progress_bar() as progress:

        def advance(increment: int) -> None:
            nonlocal picture_count
            picture_count += increment
            progress("pictures", picture_count, count)

        report = write_set(config, out, count, workers=workers, progress=advance)
    rate = report.images / max(report.seconds, 1e-9)
    say(f"{report.images} pictures, {report.characters} characters, {rate:.0f} pictures/s")
    put(report.out / "labels.csv")
