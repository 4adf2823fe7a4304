"""``detector train``."""

from __future__ import annotations

import ast
from typing import Annotated, Any

import typer

from detector.cli.repeated import command_line
from detector.cli.summary import check_learnt
from detector.cli.terminal import put, say
from detector.errors import STOPPED, ArgumentError, counted, relative_path


def command(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(help="NAME=VALUE, as `yolo train` takes them.", metavar="data=DATA [NAME=VALUE]…"),
    ] = None,
) -> None:
    """`yolo train` on a converted set: every argument of it is taken, strings are compared each epoch.

    Starts from the shipped detector unless model= says otherwise, and ends when validation says that it is done; the
    weights to read with land in weights/NAME.pt, also after Ctrl-C.
    """
    parsed = parse_arguments(arguments or [])
    data = parsed.pop("data", None)
    from detector.networks.device import first_process
    from detector.training.run import run_training

    try:
        result = run_training(data, **parsed)
    except KeyboardInterrupt:
        say("detector: stopped by Ctrl-C before an epoch was finished: there is nothing to read with.", always=True)
        raise typer.Exit(STOPPED) from None
    if not first_process():
        return
    put(result.path)
    if result.interrupted:
        say(
            f"detector: stopped by Ctrl-C: {result.path} is what was learnt in {counted(result.epochs, 'epoch')}; "
            "this goes on with the run:", always=True,
        )  # fmt: skip
        say(
            f"next: {command_line('detector', 'train', f'resume={relative_path(result.run_folder)}/weights/last.pt')}",
            always=True,
        )
        raise typer.Exit(STOPPED)
    check_learnt(result)
    say(f"weights: {result.path}")
    predict = command_line("detector", "predict", result.path, "PICTURES")
    evaluate = command_line("detector", "evaluate", result.path, relative_path(result.set_folder))
    say(f"next: {evaluate}, then {predict}" if result.has_test_split else f"next: {predict}")


_TEXTS = ("augment", "data", "model", "name", "project", "weights")
"""Arguments that are text whatever they look like: a date, a number."""

_WORDS = {"none": None, "true": True, "false": False}


def parse_arguments(arguments: list[str]) -> dict[str, Any]:
    """NAME=VALUE pairs, values as ``yolo`` reads them but for :data:`_TEXTS`; a NAME alone is true.

    Raises:
        ArgumentError: naming what is no pair.
    """
    parsed: dict[str, Any] = {}
    for previous, argument in zip(["", *arguments], arguments, strict=False):
        name, equals, value = argument.lstrip("-").partition("=")
        if not name.isidentifier():
            if previous.startswith("--"):
                raise ArgumentError(f"{previous} {argument}: write {previous.lstrip('-')}={argument}.")
            raise ArgumentError(f"{argument!r} is not NAME=VALUE: write for example data=datasets/plates/data.yaml.")
        if not equals and name in ("data", "model", "name", "project", "weights"):
            raise ArgumentError(
                f"{argument} needs a value: write {name}=…, for example data=datasets/plates/data.yaml."
            )
        parsed[name] = (value if name in _TEXTS else _value(value)) if equals else True
        if name == "resume" and not isinstance(parsed[name], bool | None):
            parsed[name] = value  # a run, whatever its name looks like
    if isinstance(freeze := parsed.get("freeze"), str):  # 0,1,2
        parsed["freeze"] = [_value(layer.strip()) for layer in freeze.split(",")]
    return parsed


def _value(text: str) -> Any:
    """True, False or None in any capitals, or a Python literal; what is none of these is text."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    return text if isinstance(value, tuple) else value  # device=0,1
