"""Every error that a user can cause, in one tree.

    DetectorError                exit code 1
    ├── ArgumentError            2   a value that makes no sense
    │   └── AlphabetError        2   a symbol or length that the alphabet does not allow
    ├── SourceError              4   labelled images that cannot be found or understood
    ├── NotLearnedError          5   labels that have nothing to do with their pictures, a reader that learnt nothing
    ├── DatasetError             6   a converted set or data.yaml that is not what it should be
    ├── WeightsError             7   a weights file that is missing, damaged or of another kind
    ├── ImageError               8   one picture that cannot be decoded
    ├── DependencyError          9   a library of the system or an optional package is missing
    └── DiskFullError            1   a file has no room where it is to be written

Exit code 0 means done; 3 means done, and some inputs were refused (their reasons are written down);
2 is also what the command line answers to arguments that it does not know.
A message names the thing, its value and the next step.
"""

from __future__ import annotations

import collections.abc
import pathlib
import re
import shlex
from contextlib import contextmanager
from importlib.util import find_spec

DISTRIBUTION = "string-detector"
"""What is installed to import ``detector``; a package index has another project by that name."""

EXTRAS = {
    "train": ("torch", "torchvision", "ultralytics", "albumentations", "matplotlib", "onnx", "supervision"),
    "export": ("openvino",),
    "tensorrt": ("tensorrt",),
    "serve": ("fastapi", "uvicorn", "python_multipart", "prometheus_client", "httptools", "uvloop"),
    "shards": ("pyarrow",),
    "ray": ("ray",),
}
"""Extras of the distribution, and the modules that an installation without them lacks; "export" and
"tensorrt" hold "train"."""

SOME_REFUSED = 3
"""Exit code of a run that finished but refused some of its inputs."""


STOPPED = 130
"""Exit code of a run that Ctrl-C ended, as shells have it."""


MAX_MESSAGE = 3000
"""Characters of the longest message: what a file holds may be of any length."""


class DetectorError(Exception):
    """Base of all errors that this package raises on purpose; of a long message the beginning and the end are told."""

    exit_code = 1

    def __str__(self) -> str:
        """Return the message."""
        message = super().__str__()
        if len(message) <= MAX_MESSAGE:
            return message
        return f"{message[: MAX_MESSAGE - MAX_MESSAGE // 4]} … {message[-(MAX_MESSAGE // 4) :]}"


class ArgumentError(DetectorError):
    """A value was given that makes no sense: a share above 1, a number of rounds below 0."""

    exit_code = 2


class AlphabetError(ArgumentError):
    """A text holds a symbol outside the alphabet, or is too long."""


class SourceError(DetectorError):
    """Labelled images were not found, or more than one reading of what was found is possible."""

    exit_code = 4


class NotLearnedError(DetectorError):
    """Training ended without having learnt; what it would write is not to be believed."""

    exit_code = 5


class DatasetError(DetectorError):
    """A dataset tree, ``data.yaml`` or label file is missing or damaged."""

    exit_code = 6


class WeightsError(DetectorError):
    """A weights file is missing, damaged, or was not made by this project."""

    exit_code = 7


class ImageError(DetectorError):
    """One picture cannot be read; carries the reason in the user's terms."""

    exit_code = 8


class DependencyError(DetectorError):
    """Something that must be installed first is missing."""

    exit_code = 9


class DiskFullError(DetectorError, OSError):
    """A file has no room where it is to be written; what was there before is as it was."""


_as_options = False


@contextmanager
def arguments_as_options() -> collections.abc.Iterator[None]:
    """Within the block, messages name arguments as the command line takes them; it holds for the whole process."""
    global _as_options
    previous, _as_options = _as_options, True
    try:
        yield
    finally:
        _as_options = previous


def argument(name: str, value: object = True) -> str:
    """Name an argument of a public function for a message: ``visual_order=True``, or ``--visual-order``.

    An option is as a shell takes it.
    """
    if not _as_options:
        return f"{name}={value if isinstance(value, (bool, int, float)) else str(value)!r}"
    option = f"--{name.replace('_', '-')}"
    if value is True:
        return option
    text = str(value)
    quoted = shlex.quote(text)
    if quoted == text and not re.fullmatch("[A-Za-z0-9_./]+", text):
        quoted = f"'{text}'"  # signs that a shell takes as they are: one sees where they end
    return f"{option} {quoted}"


def abridged(items: collections.abc.Collection[str], limit: int, separator: str = ", ") -> str:
    """Join the first ``limit`` items, and say how many more there are, for messages."""
    joined, more = separator.join(list(items)[:limit]), len(items) - limit
    return joined if more <= 0 else f"{joined}{separator.rstrip(', ')} and {more} more"


def counted(number: int, noun: str) -> str:
    """Return ``1 picture`` or ``2 pictures``, for messages."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def relative_path(path: pathlib.Path) -> pathlib.Path:
    """Return a path relative to the working folder, if it is below, for messages and commands."""
    working_folder = pathlib.Path.cwd()
    return path.relative_to(working_folder) if path.is_relative_to(working_folder) else path


def is_installed(module: str) -> bool:
    """Test whether a module can be imported, without importing it."""
    try:
        return find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):  # of a finder that refuses it, or a module without a spec
        return False


def install_extra(extra: str) -> str:
    """Return the command that installs an extra, for messages."""
    return f"`pip install '{DISTRIBUTION}[{extra}]'`"


def require(what: str, *modules: str, then: str = "") -> None:
    """Refuse to begin what needs modules of the extras.

    Args:
        what: the message begins with.
        modules: by their names in ``import``.
        then: what to do once they are installed.

    Raises:
        DependencyError: naming those that are missing, and the extra that has them.
    """
    missing = [module for module in modules if not is_installed(module)]
    if missing:
        listed = " and ".join([", ".join(missing[:-1]), missing[-1]] if missing[1:] else missing)
        raise DependencyError(f"{what} needs {listed}: run {install_extra(_extra_of(missing))}{then}.")


def missing_extra(error: ModuleNotFoundError) -> DependencyError | None:
    """Return the error for an import that failed; None where the module is of no extra."""
    module = (error.name or "").partition(".")[0]
    if not any(module in modules for modules in EXTRAS.values()):
        return None
    return DependencyError(f"This needs {module}, which is not installed: run {install_extra(_extra_of([module]))}.")


def _extra_of(modules: list[str]) -> str:
    """Return the extra that has all of these modules: "train" is in those after it, so the last that has one."""
    return [extra for extra, modules_of_extra in EXTRAS.items() if not {*modules_of_extra}.isdisjoint(modules)][-1]
