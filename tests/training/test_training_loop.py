"""The plain training loop: it learns, in any arithmetic, and goes on from where it was written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from detector.networks.arithmetic import Arithmetic, fast_bfloat16
from detector.networks.shipped import SHIPPED
from detector.training.training_loop import Checkpoint, Schedule, train_network

STEPS = 8
SCHEDULE = Schedule(lambda step: step / STEPS, peak_lr=1e-3, warm_up=2)
CPU = torch.device("cpu")


def network() -> Any:
    from detector.networks.ultralytics import new_network

    torch.manual_seed(0)
    return new_network("ABCD", None, SHIPPED)


def batch(_: int) -> Any:
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 96, 3), np.uint8)
    boxes = np.array([[[10, 4, 30, 28], [50, 4, 70, 28]]] * 4, np.float32)
    return images, boxes, np.array([[0, 1]] * 4)


def losses(arithmetic: Arithmetic | None) -> list[float]:
    told: list[float] = []
    train_network(network(), batch, SCHEDULE, CPU, arithmetic=arithmetic, after=lambda _, loss, __: told.append(loss))
    return told


@pytest.mark.parametrize("bfloat16", [False, True])
def test_it_learns_as_much_in_any_arithmetic(bfloat16: bool) -> None:
    """Weights that are cast once for all steps would not be learnt from."""
    first, *_, last = losses(Arithmetic(1, bfloat16))
    assert last < 0.6 * first


def test_without_a_choice_it_is_what_the_hardware_has() -> None:
    assert losses(None) == pytest.approx(losses(Arithmetic(torch.get_num_threads(), fast_bfloat16())), rel=1e-3)


def test_threads_are_as_they_were() -> None:
    before = torch.get_num_threads()
    losses(Arithmetic(1, False))
    assert torch.get_num_threads() == before


def test_it_goes_on_from_its_last_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detector.training.training_loop.CHECKPOINT_SECONDS", 0.0)

    def trained(stop_at: int = STEPS, of: str = "this") -> tuple[list[int], Any]:
        steps: list[int] = []

        def after(step: int, *_: Any) -> None:
            steps.append(step)
            if step > stop_at:
                raise KeyboardInterrupt

        checkpoint = Checkpoint(tmp_path / "checkpoint.pt", of)
        net = train_network(network(), batch, SCHEDULE, CPU, after=after, checkpoint=checkpoint)
        return steps, net.state_dict()

    _, expected = trained(of="other")
    with pytest.raises(KeyboardInterrupt):
        trained(stop_at=4)
    steps, resumed = trained()
    assert steps == [5, 6, 7, 8]
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)
    assert trained(of="something else")[0][0] == 1
