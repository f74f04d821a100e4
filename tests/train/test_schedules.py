import math
from typing import get_args

import pytest
import torch

from edgeseg.train.choices import OptimiserName, ScheduleName
from edgeseg.train.optimisers import optimiser_from_recipe
from edgeseg.train.recipe import TrainingRecipe
from edgeseg.train.schedules import Schedule, schedule_from_recipe

EPOCHS, STEPS = 8, 5


def made(**settings: object) -> tuple[torch.optim.Optimizer, Schedule]:
    training = TrainingRecipe.model_validate({"epochs": EPOCHS, "learning_rate": 0.2, "decay_epochs": 2, **settings})
    optimiser = optimiser_from_recipe(torch.nn.Conv2d(1, 1, 1), training)
    return optimiser, schedule_from_recipe(optimiser, training, STEPS)


def rates(dice: list[float] | None = None, **settings: object) -> list[float]:
    """The rate of every step."""
    optimiser, schedule = made(**settings)
    found = []
    for epoch in range(EPOCHS):
        for _ in range(STEPS):
            found.append(float(optimiser.param_groups[0]["lr"]))
            optimiser.step()
            schedule.after_step()
        schedule.after_epoch(dice[epoch] if dice else 0.5)
    return found


def test_no_schedule_keeps_the_rate() -> None:
    assert set(rates(schedule="none")) == {0.2}


def test_step_decay_falls_by_its_factor_every_so_many_epochs() -> None:
    found = rates(schedule="step", decay_factor=0.5)
    assert found == pytest.approx([0.2 * 0.5 ** (step // (2 * STEPS)) for step in range(EPOCHS * STEPS)])


def test_cosine_is_pytorchs() -> None:
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.2)
    oracle = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS * STEPS)
    expected = []
    for _ in range(EPOCHS * STEPS):
        expected.append(oracle.get_last_lr()[0])
        optimiser.step()
        oracle.step()
    assert rates(schedule="cosine") == pytest.approx(expected)


def test_cyclic_is_pytorchs_triangle() -> None:
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.2)
    oracle = torch.optim.lr_scheduler.CyclicLR(optimiser, 0.02, 0.2, step_size_up=2 * STEPS, cycle_momentum=False)
    expected = []
    for _ in range(EPOCHS * STEPS):
        expected.append(oracle.get_last_lr()[0])
        optimiser.step()
        oracle.step()
    assert rates(schedule="cyclic") == pytest.approx(expected)


def test_plateau_falls_after_so_many_epochs_without_a_better_dice() -> None:
    dice = [0.5, 0.6, 0.6, 0.6, 0.7, 0.7, 0.7, 0.7]
    found = rates(dice, schedule="plateau", decay_factor=0.5)[::STEPS]
    assert found == pytest.approx([0.2, 0.2, 0.2, 0.2, 0.1, 0.1, 0.1, 0.05])


@pytest.mark.parametrize("optimiser", get_args(OptimiserName))
@pytest.mark.parametrize("schedule", get_args(ScheduleName))
def test_every_schedule_steers_every_optimiser_and_goes_on_where_it_was(
    schedule: ScheduleName, optimiser: OptimiserName
) -> None:
    settings: dict[str, object] = {"schedule": schedule, "optimiser": optimiser}
    whole, cut = made(**settings), made(**settings)
    for index, (one, plan) in enumerate((whole, cut)):
        for step in range(12):
            one.step()
            plan.after_step()
            if step % STEPS == STEPS - 1:
                plan.after_epoch(0.5)
            if index == 1 and step == 6:
                state, group = plan.state_dict(), one.state_dict()
                one, plan = made(**settings)
                plan.load_state_dict(state)
                one.load_state_dict(group)
        if index == 0:
            expected = one.param_groups[0]["lr"]
    assert one.param_groups[0]["lr"] == expected and math.isfinite(expected)
