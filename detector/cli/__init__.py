"""The command ``detector``: registers the commands and turns errors into messages and exit codes."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys

import typer

from detector import __version__
from detector.cli.commands import (
    convert,
    demo,
    evaluate,
    export,
    fit,
    label,
    predict,
    profile,
    review,
    serve,
    train,
)
from detector.cli.commands.sources import pack, synth
from detector.cli.ray_address import RayAddress
from detector.cli.renamed import RenamedOptions
from detector.cli.terminal import PrintableFormatter, hush, say
from detector.data import switches
from detector.data.atomic import writing
from detector.data.folders.user_cache import cache_folder
from detector.errors import DetectorError, DiskFullError, arguments_as_options, missing_extra

app = typer.Typer(
    name="detector",
    help="Pictures of short codes and their strings in, a reader out. "
    "Exit codes: 0 done, 3 done but some inputs were refused, 2 wrong arguments, others an error that is named.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)


def _version(is_requested: bool) -> None:
    if is_requested:
        typer.echo(f"detector {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    context: typer.Context,
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Only results and errors."),
    _: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    context.with_resource(arguments_as_options())
    for stream in (sys.stdout, sys.stderr):  # names of files need not be UTF-8
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    hush(quiet)
    if quiet:
        switches.hush()
    switches.keep_in(str(cache_folder()))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING if quiet else logging.INFO, handlers=[handler])


app.command("fit", short_help="Labelled pictures -> a reader: convert, train, evaluate.")(fit.command)
app.command("convert", short_help="Pictures + strings -> a YOLO dataset, every box inferred.", cls=RayAddress)(
    convert.command
)
app.command(
    "train",
    short_help="`yolo train` on a converted set, which also compares strings.",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(train.command)
app.command("label", short_help="Propose the strings of pictures that have none.")(label.command)
app.command("predict", short_help="Read pictures, a line each.", cls=RayAddress)(predict.command)
app.command("evaluate", short_help="Read labelled pictures: how many are right, what is wrong.", cls=RenamedOptions)(
    evaluate.command
)
app.command("review", short_help="A page to decide on doubtful labels and readings.")(review.command)
app.command("export", short_help="Weights -> ONNX, OpenVINO or TensorRT, alphabet inside.")(export.command)
app.command("serve", short_help="Read pictures that come over HTTP; a page to drop them on.")(serve.command)
app.command("pack", short_help="Pictures and their labels -> Parquet shards.")(pack.command)
app.command("synth", short_help="Artificial labelled pictures, with their true boxes.", cls=RenamedOptions)(
    synth.command
)
app.command("profile", short_help="Where a training step's time goes, and what to change.")(profile.command)
app.command("demo", short_help="The whole path once, on artificial pictures, in minutes.")(demo.command)


def _forget_stdout() -> None:
    """Discard what could not be written, so that Python does not try again when it ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_streams() -> None:
    """Open what was closed, as by ``>&-`` of a shell, to nowhere.

    A file that is opened would otherwise have the number of stderr, and libraries in C write there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)  # Python had none to begin with
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


def main() -> None:
    """Entry point: errors of ours end in one message and their exit code."""
    _open_streams()
    try:
        with writing("the output"):
            try:
                app()
            except ModuleNotFoundError as error:
                if (missing := missing_extra(error)) is None:
                    raise
                raise missing from error
            finally:
                sys.stdout.flush()  # Python's own flush at the end would have no one to tell
    except DetectorError as error:
        say(f"detector: {error}", always=True)
        if isinstance(error, DiskFullError):
            _forget_stdout()
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `detector predict ... | head`: nobody is left to tell
        _forget_stdout()
        sys.exit(DetectorError.exit_code)
    except OSError as error:  # say a folder that nobody may write to
        file = "" if error.filename is None else f": {error.filename}"
        say(f"detector: {error.strerror or error}{file}", always=True)
        _forget_stdout()
        sys.exit(DetectorError.exit_code)
    except SystemExit as system_exit:
        # The library that runs the commands makes an exit code of Ctrl-C, and says nothing.
        if isinstance(getattr(system_exit.__context__, "__cause__", None), KeyboardInterrupt):
            say("detector: stopped by Ctrl-C.", always=True)
        raise
