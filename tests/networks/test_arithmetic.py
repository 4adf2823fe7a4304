"""The arithmetic of a CPU: which one is chosen, by steps that take what a made-up clock says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from detector.networks import arithmetic
from detector.networks.arithmetic import Arithmetic, choose_arithmetic, kept_threads, say_arithmetic

ONE, ONE_32, TWO = Arithmetic(1, True), Arithmetic(1, False), Arithmetic(2, True)


class Machine:
    """A step and a clock: each step takes the seconds of the arithmetic that it is done in."""

    def __init__(self, seconds: dict[Arithmetic, float]) -> None:
        self.seconds, self.now, self.steps = seconds, 0.0, dict.fromkeys(seconds, 0)

    def step(self) -> None:
        used = Arithmetic(torch.get_num_threads(), torch.is_autocast_enabled("cpu"))
        self.now += self.seconds[used]
        self.steps[used] += 1

    def clock(self) -> float:
        return self.now


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a processor that multiplies bfloat16, and nothing asked for."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(arithmetic, "cores", lambda: 2)
    monkeypatch.setattr(arithmetic, "fast_bfloat16", lambda: True)


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize(
    ("one", "one_32", "two", "two_32", "wanted"),
    [
        (0.1, 0.2, 0.06, 9, TWO),
        (0.1, 0.2, 0.6, 9, ONE),  # beside other work
        (0.1, 0.2, 9, 9, ONE),
        (0.1, 0.2, 0.095, 9, ONE),  # no more than chance
        (0.1, 0.095, 0.1, 9, ONE),
        (0.2, 0.1, 9, 0.1, ONE_32),
        (0.2, 0.1, 9, 0.05, Arithmetic(2, False)),
    ],
)
def test_the_fastest_is_chosen_where_it_clearly_is(
    one: float, one_32: float, two: float, two_32: float, wanted: Arithmetic
) -> None:
    machine = Machine({ONE: one, ONE_32: one_32, TWO: two, Arithmetic(2, False): two_32})
    before = torch.get_num_threads()
    chosen, taken = choose_arithmetic(machine.step, clock=machine.clock)
    assert chosen == wanted and taken[chosen] == pytest.approx(machine.seconds[chosen])
    assert torch.get_num_threads() == before and not torch.is_autocast_enabled("cpu")
    assert str(wanted) in say_arithmetic(chosen, taken).split("(")[0]


@pytest.mark.usefixtures("two_cores")
def test_threads_that_are_hopeless_take_one_step_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine({ONE: 0.1, ONE_32: 0.2, TWO: 9.0})
    assert choose_arithmetic(machine.step, clock=machine.clock)[0] == ONE and machine.steps[TWO] == 1
    monkeypatch.setattr(arithmetic, "_keep_pace", lambda threads, clock: False)
    machine = Machine({ONE: 0.1, ONE_32: 0.2})
    assert choose_arithmetic(machine.step, clock=machine.clock)[0] == ONE


@pytest.mark.usefixtures("two_cores")
def test_what_the_user_asks_for_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine({Arithmetic(1, False): 0.2, Arithmetic(2, False): 0.1})
    assert choose_arithmetic(machine.step, bfloat16=False, clock=machine.clock)[0] == Arithmetic(2, False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(arithmetic, "network_threads", lambda: 1)
    nothing: Callable[[], object] = pytest.fail
    assert choose_arithmetic(nothing, bfloat16=False) == (ONE_32, {})
    assert say_arithmetic(ONE_32, {}) == "1 CPU thread, float32"


@pytest.mark.usefixtures("two_cores")
def test_a_processor_without_bfloat16_is_not_asked_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "fast_bfloat16", lambda: False)
    machine = Machine({Arithmetic(1, False): 0.2, Arithmetic(2, False): 0.1})
    assert choose_arithmetic(machine.step, clock=machine.clock)[0] == Arithmetic(2, False)


@pytest.mark.usefixtures("two_cores")
def test_what_is_kept_is_used_again_where_it_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "arithmetic.json"
    assert Arithmetic.read(path) is None
    for damaged in ("", "[]", "{}", '{"threads": "x", "bfloat16": true}'):
        path.write_text(damaged)
        assert Arithmetic.read(path) is None
    TWO.write(path)
    assert Arithmetic.read(path) == TWO
    monkeypatch.setattr(arithmetic, "fast_bfloat16", lambda: False)  # another machine
    assert Arithmetic.read(path) is None
    Arithmetic(2, False).write(path)
    assert Arithmetic.read(path) == Arithmetic(2, False)
    monkeypatch.setattr(arithmetic, "cores", lambda: 1)
    assert Arithmetic.read(path) is None
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # what the user asks for wins
    monkeypatch.setattr(arithmetic, "network_threads", lambda: 2)
    assert Arithmetic.read(path) == Arithmetic(2, False)
    ONE_32.write(path)
    assert Arithmetic.read(path) is None


def test_threads_are_as_before_even_after_an_error() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="x"), kept_threads():
        torch.set_num_threads(before + 1)
        raise ValueError("x")
    assert torch.get_num_threads() == before
