"""What all tests share: no network, no traces in the user's home, one thread, and one toy set with its reader."""

from __future__ import annotations

import gc
import importlib
import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOME = tempfile.TemporaryDirectory(prefix="detector-tests-", ignore_cleanup_errors=True)
os.environ["XDG_CACHE_HOME"] = str(Path(HOME.name, "cache"))
os.environ["YOLO_CONFIG_DIR"] = str(Path(HOME.name, "yolo"))
os.environ["MPLCONFIGDIR"] = str(Path(HOME.name, "matplotlib"))
# The toys are so small that a second thread costs more than it gives, and far more beside another busy process.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

from tests.browser import chromium  # noqa: E402
from tests.builders import TOY_OPTIONS, dejavu, toy_folder  # noqa: E402

# A busy machine is slow, and that is no failure. The same examples each time, so that a change that passes here passes
# elsewhere; `pytest --hypothesis-profile=explore` looks for new ones.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("tests", patient, derandomize=True)
settings.register_profile("explore", patient, max_examples=2000)
settings.load_profile("tests")


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: no collection of garbage need look through it again."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """At the end it goes as ever: extensions complain of what would be left."""
    gc.unfreeze()


TOY_EPOCHS = 24  # the toy reads its validation pictures from about 20 on

_LOCAL = ("localhost", "127.0.0.1", "::1", "", None)
_attempts: list[str] = []


class NetworkCallError(OSError):
    """A test asked for something that is not on this machine."""


def _guarded(real: Any, word: str) -> Any:
    def call(*args: Any, **named: Any) -> Any:
        first = args[0]
        if isinstance(first, socket.socket):
            if first.family not in (socket.AF_INET, socket.AF_INET6):
                return real(*args, **named)
            host = args[1][0]
        else:
            host = first.decode() if isinstance(first, bytes) else first
        if host in _LOCAL:
            return real(*args, **named)
        _attempts.append(f"{word} {host}")
        raise NetworkCallError(f"no network in tests: {word} {host}")

    return call


_WATCHED = (
    (socket.socket, "connect"),
    (socket.socket, "connect_ex"),
    (socket, "getaddrinfo"),
    (socket, "gethostbyname"),
)
_GUARDS = [(owner, name, _guarded(getattr(owner, name), name)) for owner, name in _WATCHED]


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    """Every call to another machine raises; autouse and of the session, so that it is there before the toys."""
    with pytest.MonkeyPatch.context() as patch:
        for owner, name, guard in _GUARDS:
            patch.setattr(owner, name, guard)
        yield


@pytest.fixture(autouse=True)
def network_attempts(_no_network: None) -> Iterator[list[str]]:
    """Fails the test whose code asked for the network, even where the library swallowed the error."""
    with pytest.MonkeyPatch.context() as patch:
        for owner, name, guard in _GUARDS:  # again: the plugin pytest-socket, where installed, restores connect
            patch.setattr(owner, name, guard)
        yield _attempts
    asked = list(_attempts)
    _attempts.clear()
    if asked:
        pytest.fail(f"the network was asked for: {', '.join(asked)}")


@pytest.fixture(scope="session")
def ultralytics_offline() -> None:
    """Ultralytics with its network calls switched off, for tests that import it themselves."""
    importlib.import_module("detector.networks.ultralytics.library").put_fonts_in_place()


@pytest.fixture(scope="session")
def few_fonts() -> None:
    """Three fonts are found on this machine, which may have thousands, here and in processes that tests start.

    How fonts are looked through, tests/synth tells.
    """
    from detector.synth.faces import fonts
    from detector.text.alphabet import Alphabet

    usable, few = fonts.usable_fonts, [dejavu(name) for name in ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fonts, "usable_fonts", lambda paths, alphabet: usable(few, alphabet))
        fonts.described_fonts(Alphabet())  # which keeps what it found


@dataclass(frozen=True)
class Toy:
    """A converted set of small plain pictures: the source, and what ``convert`` reported.

    ``tree`` are the names that ``convert`` wrote: tests that train on the set leave more there.
    """

    source: Path
    root: Path
    report: Any
    tree: frozenset[str]


@dataclass(frozen=True)
class ToyRun:
    """A training run on the toy: published weights, the run's folder, the strings of the last validation."""

    weights: Path
    folder: Path
    validated: dict[str, str]


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """60 pictures of up to 4 symbols, some with spaces, converted."""
    from detector.conversion import convert as conversion

    folder = tmp_path_factory.mktemp("toy")
    source = toy_folder(folder / "source", 60)
    report = conversion.convert(source, folder / "toy", **TOY_OPTIONS)
    root = folder / "toy"
    return Toy(source, root, report, frozenset(path.name for path in root.iterdir()))


@pytest.fixture(scope="session")
def toy_run(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> ToyRun:
    """A detector trained on the toy until it reads it."""
    import detector
    from detector.training.validation import validator

    validated: dict[str, str] = {}
    real = validator.TextValidator.update_metrics

    def update_metrics(self: Any, preds: Any, batch: Any) -> None:
        real(self, preds, batch)
        validated.update(zip(batch["im_file"], self.read, strict=True))

    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(validator.TextValidator, "update_metrics", update_metrics)
        trained = detector.train(
            toy.report.data_yaml, model=str(char_network()), epochs=TOY_EPOCHS, batch=8, device="cpu"
        )
    return ToyRun(folder / trained.path, folder / "runs" / "toy", validated)


@pytest.fixture(scope="module")
def fixed_arithmetic() -> Iterator[None]:
    """Trainings of a module compute alike, and none measures first which arithmetic is fast."""
    from detector.networks.arithmetic import Arithmetic, fast_bfloat16
    from detector.training import trainer

    def fixed(*_: Any, bfloat16: bool | None) -> tuple[Arithmetic, dict[Arithmetic, float]]:
        return Arithmetic(1, fast_bfloat16() if bfloat16 is None else bfloat16), {}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "choose_arithmetic", fixed)
        yield


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, while the tests of a module run: beside Playwright's event loop other tests could run none."""
    with chromium() as browser:
        yield browser


def char_network() -> Path:
    """The packaged network that training starts from where no weights fit."""
    from detector.networks.shipped import NETWORK

    return NETWORK
