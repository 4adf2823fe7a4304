"""The command ``detector``: registers the commands and turns errors into messages and exit codes."""

from __future__ import annotations

import logging
import sys

import typer

from detector import __version__
from detector.cli import convert, demo, evaluate, export, predict, profile, synth, train
from detector.cli.terminal import say
from detector.errors import STOPPED, DetectorError

app = typer.Typer(
    name="detector",
    help="Pictures of short codes and their strings in, a reader out. "
    "Exit codes: 0 done, 3 done but some inputs were refused, 2 wrong arguments, others an error that is named.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"detector {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Only results and errors."),
    _: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    logging.basicConfig(level=logging.WARNING if quiet else logging.INFO, format="%(message)s", stream=sys.stderr)


app.command("convert")(convert.command)
app.command("train", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(train.command)
app.command("predict")(predict.command)
app.command("evaluate")(evaluate.command)
app.command("export")(export.command)
app.command("synth")(synth.command)
app.command("profile")(profile.command)
app.command("demo")(demo.command)


def main() -> None:
    """Entry point: errors of ours end in one message and their exit code."""
    try:
        app()
    except DetectorError as error:
        say(f"detector: {error}")
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `detector predict ... | head`
        sys.stderr.close()
        sys.exit(0)
    except KeyboardInterrupt:
        say("detector: stopped by Ctrl-C; nothing half-written is left.")
        sys.exit(STOPPED)
