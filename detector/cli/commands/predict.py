"""``detector predict``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detector.cli import options
from detector.cli.progress import ReadingLog, progress_bar
from detector.cli.summary import say_format_read
from detector.cli.terminal import Results, json_text, put, say, stoppable
from detector.data.labels.prelabels import READING_COLUMNS
from detector.data.text_files import Writer, is_utf8
from detector.errors import SOME_REFUSED, ArgumentError, SourceError, counted

if TYPE_CHECKING:
    from detector.reading.reader import Failure, Reader
    from detector.text.detections import Reading


class Format(StrEnum):
    """What a line of output is."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


def command(
    weights: Annotated[str, typer.Argument(help="Weights; 'shipped' takes those of the package.")],
    source: Annotated[
        list[str],
        typer.Argument(
            help="Pictures, folders, patterns, .txt lists, - for a list on stdin, videos, a camera's index, streams."
        ),
    ],
    output: Annotated[Format, typer.Option("--format", "-f", help="text: NAME<tab>STRING; json: a line a picture.")] = (
        Format.TEXT
    ),
    pattern: Annotated[
        str | None,
        typer.Option(help="What strings look like: AAA9A99|AA 999, or regex:…; '' takes back that of the weights."),
    ] = None,
    min_confidence: Annotated[
        float, typer.Option(help="Refuse readings whose least sure character is below this, 0 to 1.")
    ] = 0.0,
    alternatives: Annotated[int, typer.Option(help="Next likely strings that json tells with each reading.")] = 0,
    two_pass: Annotated[
        bool | None,
        typer.Option(help="Read again what is not read surely. [as the weights say]"),
    ] = None,
    string_format: Annotated[
        bool,
        typer.Option(
            "--format-of-folder/--no-format",
            help="Learn what strings of files look like from the first 2,000 readings, and read all as that has it.",
        ),
    ] = True,
    device: options.Device = None,
    trust: options.Trust = False,
    out: Annotated[
        str | None, typer.Option(help="Read shards of pictures into files of readings here, instead of stdout.")
    ] = None,
    ray: options.Ray = None,
) -> None:
    """Read pictures; a line each on stdout, in order. Pictures that cannot be decoded are named on stderr."""
    if out is not None:
        if output is not Format.TEXT:
            raise ArgumentError(f"--format {output} has no effect: --out writes Parquet files, which hold everything.")
        return _into_files(
            weights, source, out, ray=ray, string_format=string_format, device=device, pattern=pattern,
            min_confidence=min_confidence, alternatives=alternatives, two_pass=two_pass, trust=trust,
        )  # fmt: skip
    if ray is not None:
        raise ArgumentError("--ray reads shards into files: say --out FOLDER, where they go.")
    if alternatives and output is not Format.JSON:
        raise ArgumentError(f"--alternatives {alternatives} has no effect: say --format json, which tells them.")
    from detector.reading.reader import Failure, Reader

    reader = Reader(
        weights, device=device, pattern=pattern, min_confidence=min_confidence, alternatives=alternatives,
        two_pass=two_pass, trust=trust,
    )  # fmt: skip
    writer = Writer(Results())

    def row(fields: tuple[str, ...]) -> None:
        writer.row(fields)
        sys.stdout.flush()  # a camera's readings are wanted as they come

    if output is Format.CSV:
        row(READING_COLUMNS)
    pictures = failed = rejected = 0
    reading_log = ReadingLog()

    def tell_held(count: int) -> None:
        reading_log.report(pictures + count)

    for name, reading in _streamed(reader, source, string_format, tell_held):
        pictures += 1
        if isinstance(reading, Failure):
            failed += 1
            say(f"{name}: {reading.reason}", always=True)
            _print_failure(output, row, name, reading)
        else:
            rejected += not reading.accepted
            _print_reading(output, row, name, reading)
        reading_log.report(pictures)
    reading_log.report(pictures, ended=True)
    if not pictures and source != ["-"]:  # a list that a script makes may well be empty
        raise SourceError(f"There is no picture in {', '.join(source)}.")
    if failed:
        say(f"{counted(failed, 'picture')} could not be read")
    if rejected:
        say(f"rejected {counted(rejected, 'reading')}")
    if failed or rejected:
        raise typer.Exit(SOME_REFUSED)


def _into_files(weights: str, shards: list[str], out: str, **arguments: Any) -> None:
    """Read shards into files of readings."""
    from detector.workflow.cluster.reading import predict_shards

    with stoppable(f"what is in {out} is whole, and the same command goes on."), progress_bar() as progress:
        readings = predict_shards(weights, shards, out, progress=progress, **arguments)
    say_format_read(readings.string_model)
    pictures, shards_read = counted(readings.pictures, "picture"), counted(readings.shards, "shard")
    say(f"{pictures} of {shards_read} read in {readings.seconds:.0f} s")
    if readings.failed:
        say(f"{counted(readings.failed, 'picture')} could not be read: their rows have the reason", always=True)
    if readings.rejected:
        say(f"rejected {counted(readings.rejected, 'reading')}")
    put(out)
    if readings.failed or readings.rejected:
        raise typer.Exit(SOME_REFUSED)


def _print_failure(output: Format, row: Callable[[tuple[str, ...]], None], name: str, failure: Failure) -> None:
    """Print the line of a picture that could not be decoded; text has none."""
    if output is Format.JSON:
        put(_line({"image": name, "error": failure.reason}))
    elif output is Format.CSV:
        row((name, "", "", "", "", failure.reason, ""))


def _print_reading(output: Format, row: Callable[[tuple[str, ...]], None], name: str, reading: Reading) -> None:
    """Print the line of a reading."""
    if output is Format.JSON:
        put(_line({"image": name, **reading.to_dict()}))
    elif output is Format.CSV:
        confidence = f"{reading.confidence:.4f}"
        rejected, unconstrained = reading.rejected or "", reading.unconstrained_text or ""
        row((name, reading.text, confidence, reading.rejected_text, rejected, "", unconstrained))
    elif reading.accepted:
        put(f"{_field(name)}\t{reading.text}")
    else:
        put(f"{_field(name)}\t\trejected {reading.rejected_text!r}: {reading.rejected}")


def _streamed(
    reader: Reader, sources: list[str], string_format: bool, on_held: Callable[[int], None]
) -> Iterator[tuple[str, Reading | Failure]]:
    """Yield readings of all sources in order; files are read as one folder, and a missing one is a failure.

    With ``string_format`` the readings of files are as their common format has them; of what is live, or of a list on
    stdin, which may come slowly, those that come after the first few hundred. ``on_held`` is told of those that are
    kept back.

    Raises:
        SourceError: if there is but one source, and it is missing; if a camera or stream cannot be opened.
    """
    from detector.reading.inputs import is_live

    for live, group in groupby(sources, lambda source: is_live(source) or source == "-"):
        names = list(group)
        for part in names if live or len(sources) == 1 else [names]:
            if not string_format:
                yield from reader.stream(part)
            elif live:
                yield from reader.learning_stream(part, say_format_read)
            else:
                yield from _of_one_format(reader, part, on_held)


def _of_one_format(
    reader: Reader, source: str | list[str], on_held: Callable[[int], None]
) -> Iterator[tuple[str, Reading | Failure]]:
    """Yield readings of files by their common format, and print the format."""
    fitted, readings = reader.fitted_stream(source, on_held)
    if fitted.string_model != reader.string_model:
        say_format_read(fitted.string_model)
    yield from readings


def _line(fields: dict[str, Any]) -> str:
    """Return a JSON object as a line; in ASCII where UTF-8 cannot hold it, as halves of broken names."""
    line = json_text(fields)
    return line if line.isascii() or is_utf8(line) else json.dumps(fields)


def _field(name: str) -> str:
    """Escape tabs and line ends in a name, so that a line keeps its fields."""
    return name.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
