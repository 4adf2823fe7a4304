"""``detector review``."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from detector.cli.terminal import put, say
from detector.errors import counted


def command(
    path: Annotated[Path, typer.Argument(help="A converted set, the JSON of evaluate, or the pre-labels of label.")],
    port: Annotated[int, typer.Option(help="Of the loopback address. [a free one]")] = 0,
    browser: Annotated[bool, typer.Option("--browser", help="Open the page in the browser.")] = False,
) -> None:
    """A page to decide on suspects, pre-labels or wrong readings, by keyboard: accept, correct, drop; then converts."""
    from detector.review.opening import open_subject
    from detector.review.server import ReviewServer

    server = ReviewServer(open_subject(path), port)
    items = server.answers.session.items()
    say(f"{counted(len(items), 'picture')} to look at; decisions are in {server.answers.subject.decisions}")
    say("open this address in a browser on this machine; Ctrl-C ends")
    put(server.url)
    if browser:
        webbrowser.open(server.url)
    try:
        server.serve()
    except KeyboardInterrupt:
        undecided = sum(not item.decision for item in server.answers.session.items())
        say(f"{len(items) - undecided} decided, {undecided} to decide on" + (
            "" if undecided or not server.answers.subject.next_step else f"; next: {server.answers.subject.next_step}"
        ))  # fmt: skip
