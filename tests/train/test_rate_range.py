import csv
import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgeseg import cli
from edgeseg.dataset import load_pairs
from edgeseg.errors import BadInputError
from edgeseg.images import read_rgb
from edgeseg.train.loop import Trainer
from edgeseg.train.rate_range import RatePoint, geometric_rates, range_from_points, smooth, sweep, training_step
from edgeseg.train.recipe import Recipe
from edgeseg.train.samples import load_samples

RATES = geometric_rates(1e-6, 10.0, 120)


def quadratic(curvature: float) -> list[RatePoint]:
    """Gradient descent on curvature/2 * x^2 with noise; it diverges above a rate of 2/curvature (Polyak, 1987)."""
    x = torch.tensor(3.0, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)

    def step(rate: float) -> float:
        nonlocal x
        loss = float(curvature / 2 * x**2)
        x = x - rate * curvature * (x + 0.01 * torch.randn((), generator=generator, dtype=torch.float64))
        return loss

    return list(sweep(step, RATES))


@pytest.mark.parametrize("curvature", [1.0, 10.0, 300.0])
def test_a_quadratic_gets_a_rate_that_learns_and_does_not_diverge(curvature: float) -> None:
    found = range_from_points(quadratic(curvature), RATES)
    limit = 2 / curvature
    assert limit / 200 < found.suggested_learning_rate < limit / 2
    assert found.suggested_learning_rate <= found.minimum_learning_rate / 10
    if limit < 5:
        assert found.diverged_at is not None
        assert limit < found.diverged_at < 10 * limit


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30))
def test_smoothing_is_the_weighted_mean_of_all_losses_so_far(losses: list[float]) -> None:
    for count, value in enumerate(smooth(losses, 0.9), 1):
        weights = [0.9 ** (count - 1 - index) for index in range(count)]
        mean = math.fsum(weight * loss for weight, loss in zip(weights, losses[:count], strict=True)) / sum(weights)
        assert value == pytest.approx(mean, abs=1e-6)


def test_the_steepest_fall_is_found_by_hand() -> None:
    rates = geometric_rates(1e-5, 1.0, 51)  # ten to the decade
    smoothed = [1.0] * 20 + [0.9, 0.5, 0.1] + [0.09] * 17 + [0.08] + [0.2] * 10
    points = [
        RatePoint(learning_rate=rate, loss=loss, smoothed_loss=loss) for rate, loss in zip(rates, smoothed, strict=True)
    ]
    found = range_from_points(points, rates)
    assert found.steepest_learning_rate == rates[21]
    assert found.minimum_learning_rate == rates[40]
    assert found.suggested_learning_rate == rates[21]
    assert found.diverged_at is None


def test_a_loss_that_never_falls_or_diverges_at_once_gives_no_suggestion() -> None:
    with pytest.raises(BadInputError, match="at no learning rate"):
        range_from_points(sweep(lambda rate: 1.0 + rate, RATES), RATES)
    losses = iter([1.0, 2.0, math.nan])
    points = sweep(lambda rate: next(losses), RATES)
    assert len(points) == 2
    with pytest.raises(BadInputError, match="diverged before"):
        range_from_points(points, RATES)


def test_the_schedule_and_the_average_stay_where_they_are(blobs: Path, tmp_path: Path, tiny_recipe: Recipe) -> None:
    training = tiny_recipe.training.model_copy(update={"ema_decay": 0.5})
    recipe = tiny_recipe.model_copy(update={"training": training})
    trainer = Trainer(recipe, tmp_path / "none", load_samples(load_pairs(blobs, "train"), 32, 32), [])
    schedule = trainer.descent.schedule.state_dict()
    assert trainer.average is not None
    averaged = {name: value.clone() for name, value in trainer.average.state_dict().items()}
    step = training_step(trainer)
    assert all(math.isfinite(step(rate)) for rate in (1e-4, 1e-3, 1e-3))  # more than the two steps of an epoch
    assert trainer.descent.optimiser.param_groups[0]["lr"] == 1e-3
    assert trainer.descent.schedule.state_dict() == schedule
    assert all(torch.equal(value, averaged[name]) for name, value in trainer.average.state_dict().items())


def test_the_command_leaves_picture_and_table_and_nothing_else(
    blobs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rates"
    settings = ["model.height=32", "model.width=32", "model.base_width=4", "model.depth=2", "training.batch_size=4"]
    arguments = ["train", str(blobs), "--out", str(out), *(part for value in settings for part in ("--set", value))]
    assert cli.run([*arguments, "--find-lr", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {path.name for path in out.iterdir()} == {"lr.png", "lr.csv"}
    assert [path.name for path in tmp_path.iterdir()] == ["rates"]
    rows = list(csv.DictReader((out / "lr.csv").open()))
    assert [float(row["loss"]) for row in rows] == [point["loss"] for point in document["points"]]
    assert 1e-4 < document["suggested_learning_rate"] < 1.0
    assert read_rgb(out / "lr.png").shape[0] > 200
    assert cli.run([*arguments, "--find-lr"]) == 5  # the folder is not empty now
    assert cli.run([*arguments, "--find-lr", "--resume"]) == 2
