from pathlib import Path

import pytest

from edgeseg.errors import BadInputError, UsageError
from edgeseg.train.studies.points import Point, grid_of, points_of, within_decade, words_of
from edgeseg.train.studies.study_file import read_study, recipe_of, study_names

TEXT = """
title = "Two losses"
question = "Which one?"
seeds = [0, 1]

[recipe.training]
epochs = 2

[[axes]]
name = "loss"
key = "training.loss"
values = ["bce", "dice"]
full_values = ["bce", "dice", "switching"]

[[axes]]
name = "network"
[[axes.choices]]
name = "small"
set = { "model.base_width" = 4, "model.depth" = 2 }
[[axes.choices]]
name = "wide"
full = true
set = { "model.base_width" = 8 }

[full]
seeds = [0, 1, 2]
[full.set]
"training.epochs" = 9
"""


def written(folder: Path, text: str) -> str:
    path = folder / "study.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", study_names())
@pytest.mark.parametrize("full", [False, True])
def test_every_study_of_ours_holds_together(name: str, full: bool) -> None:
    study = read_study(name)
    points = points_of(study, full, {})
    assert len({point.key for point in points}) == len(points)
    assert {recipe_of(study, point.settings).training.seed for point in points} == set(
        study.full.seeds if full and study.full.seeds else study.seeds
    )


def test_every_study_that_was_asked_for_is_there() -> None:
    assert {"learning-rate", "optimisers", "schedules", "fraction-optimisers", "fraction-schedules", "weight-decay",
            "dropout", "losses", "augmentation", "batch", "ph2"} <= set(study_names())  # fmt: skip


def test_the_grid_has_every_cell_with_every_seed_and_the_full_form_more(tmp_path: Path) -> None:
    study = read_study(written(tmp_path, TEXT))
    reduced, full = grid_of(study, False), grid_of(study, True)
    assert [(point.cell, point.seed) for point in reduced] == [
        (("bce", "small"), 0), (("dice", "small"), 0), (("bce", "small"), 1), (("dice", "small"), 1)
    ]  # fmt: skip
    assert len(full) == 3 * 2 * 3
    recipe = recipe_of(study, full[-1].settings)
    assert (recipe.training.loss, recipe.model.base_width, recipe.training.epochs, recipe.training.seed) == (
        "switching", 8, 9, 2
    )  # fmt: skip
    assert recipe_of(study, reduced[0].settings).training.epochs == 2


def test_a_search_goes_within_the_best_decade_once_all_decades_are_known(tmp_path: Path) -> None:
    text = TEXT + '[search]\nkey = "training.learning_rate"\ndecades = [-4, -3, -2]\nwithin = 2\n'
    study = read_study(written(tmp_path, text))
    coarse = points_of(study, False, {})
    assert {point.tried for point in coarse} == {1e-4, 1e-3, 1e-2} and len(coarse) == 4 * 3
    first = [point for point in coarse if point.cell == ("bce", "small") and point.seed == 0]
    dice = {point.key: {1e-4: 0.2, 1e-3: 0.7, 1e-2: 0.5}[point.tried or 0] for point in first}
    assert len(points_of(study, False, dict(list(dice.items())[:2]))) == 12
    fine = points_of(study, False, dice)[12:]
    assert [(point.cell, point.seed, point.tried) for point in fine] == [
        (("bce", "small"), 0, 0.000562), (("bce", "small"), 0, 0.00178)
    ]  # fmt: skip
    assert fine[0].settings["training.learning_rate"] == 0.000562


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7])
def test_numbers_within_a_decade_are_spread_and_leave_out_the_middle(count: int) -> None:
    found = within_decade(0.01, count)
    assert len(set(found)) == count and 0.01 not in found
    assert all(0.01 / 10**0.5 - 1e-4 <= value <= 0.01 * 10**0.5 + 1e-4 for value in found)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("question", "qestion", "did you mean question?"),
        ("seeds = [0, 1]\n\n[recipe", "seeds = []\n\n[recipe", "seeds"),
        ("seeds = [0, 1]\n\n[recipe", "seeds = [1, 1]\n\n[recipe", "two seeds are the same"),
        ('key = "training.loss"\n', "", "either a key with values, or choices"),
    ],
)
def test_a_study_that_does_not_hold_together_says_why(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(BadInputError, match="does not hold together") as caught:
        read_study(written(tmp_path, TEXT.replace(old, new)))
    assert words in (caught.value.found or "")


@pytest.mark.parametrize(
    ("key", "nearest"),
    [("training.los", "training.loss"), ("trainin.loss", "training"), ("model.base_widht", "model.base_width")],
)
def test_a_misspelt_recipe_key_is_named_with_the_nearest(tmp_path: Path, key: str, nearest: str) -> None:
    study = read_study(written(tmp_path, TEXT.replace('key = "training.loss"', f'key = "{key}"')))
    with pytest.raises(BadInputError, match="a recipe has no") as caught:
        recipe_of(study, grid_of(study, False)[0].settings)
    assert caught.value.expected == nearest


def test_values_that_no_recipe_takes_are_named(tmp_path: Path) -> None:
    study = read_study(written(tmp_path, TEXT.replace('"bce", "dice"]', '"bce", "none-such"]')))
    with pytest.raises(BadInputError, match="a trial of the study") as caught:
        recipe_of(study, grid_of(study, False)[1].settings)
    assert "training.loss" in (caught.value.found or "")


def test_an_unknown_study_gets_the_nearest() -> None:
    with pytest.raises(UsageError, match="there is no study optimizers") as caught:
        read_study("optimizers")
    assert "study optimisers " in (caught.value.next_command or "")
    with pytest.raises(BadInputError, match="cannot read"):
        read_study("nowhere.toml")


def test_numbers_and_switches_are_named_with_their_axis() -> None:
    assert words_of(["optimiser", "dropout", "flips"], ("adam", "0.5", "on")) == "adam, dropout 0.5, flips on"
    assert Point(("adam", "0.5"), 3, {}, 0.001).title(["optimiser", "dropout"]) == "adam, dropout 0.5 at 0.001, seed 3"
