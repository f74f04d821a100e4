import math

import pytest
import torch

from edgeseg.train.loss_watch import LOOK_EVERY, LossWatch, NotFiniteLossError, diverged

CPU = torch.device("cpu")


def test_losses_are_kept_exactly_with_those_of_before() -> None:
    former = [0.1 + 2**-30, 0.5]
    watch = LossWatch(4, CPU, former=[torch.tensor(value).item() for value in former])
    watch.add(torch.tensor(0.25))
    assert watch.steps == 3
    assert watch.values() == [torch.tensor(former[0]).item(), 0.5, 0.25]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_refused_at_once_on_a_cpu(value: float) -> None:
    watch = LossWatch(9, CPU, former=[1.0])
    watch.add(torch.tensor(1.0))
    with pytest.raises(NotFiniteLossError) as caught:
        watch.add(torch.tensor(value))
    assert caught.value.step == 2
    assert "epoch 7, step 3" in (diverged(caught.value, 7, 1e-3).found or "")
    assert "3e-04" in (diverged(caught.value, 7, 1e-3).next_command or "").replace("0.0003", "3e-04")


def test_several_processes_look_together_now_and_then_and_keep_the_mean() -> None:
    looks: list[int] = []

    def average(losses: torch.Tensor) -> torch.Tensor:  # the other process lost 2 more everywhere
        looks.append(len(losses))
        return (losses + (losses + 2)) / 2

    watch = LossWatch(LOOK_EVERY + 2, CPU, average)
    for _ in range(LOOK_EVERY + 2):
        watch.add(torch.tensor(1.0))
    assert looks == [LOOK_EVERY]
    assert watch.values() == [2.0] * (LOOK_EVERY + 2)
    assert looks == [LOOK_EVERY, 2]
