from pathlib import Path

import pytest

from edgeseg.errors import BadInputError, UsageError
from edgeseg.train.recipe import Recipe, read_recipe, recipe_to_toml

RECIPES = Path(__file__).parents[2] / "recipes"


def test_a_recipe_survives_its_own_file(tmp_path: Path) -> None:
    recipe = read_recipe(None, ["training.epochs=7", 'model.class_name=a "quoted" name', "training.learning_rate=3e-4"])
    (tmp_path / "recipe.toml").write_text(recipe_to_toml(recipe))
    again = read_recipe(tmp_path / "recipe.toml")
    assert again == recipe
    assert again.sha256 == recipe.sha256
    assert again.model.class_name == 'a "quoted" name'


def test_settings_override_the_file(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("[training]\nepochs = 5\nseed = 3\n")
    recipe = read_recipe(path, ["training.epochs=9"])
    assert (recipe.training.epochs, recipe.training.seed) == (9, 3)


@pytest.mark.parametrize(
    "setting", ["epochs=3", "training.epochs", "training.=3", "training.epochs=0", "model.colour=1"]
)
def test_a_bad_setting_is_a_usage_error(setting: str) -> None:
    with pytest.raises(UsageError):
        read_recipe(None, [setting])


@pytest.mark.parametrize("text", ["[training", "[training]\nepochs = 'many'", "[model]\nheight = 100\nwidth = 100\n"])
def test_a_bad_file_is_bad_input(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(BadInputError):
        read_recipe(tmp_path / "r.toml")


def test_a_missing_file_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"none\.toml"):
        read_recipe(tmp_path / "none.toml")


def test_the_hash_is_of_values_not_of_text(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[training]\nepochs = 5\nseed = 3\n")
    (tmp_path / "b.toml").write_text("# the same\n[training]\nseed=3\nepochs=5\n")
    first, second = read_recipe(tmp_path / "a.toml"), read_recipe(tmp_path / "b.toml")
    assert first.sha256 == second.sha256 != Recipe().sha256


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_recipes_are_valid(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.model_spec().height == recipe.model.height
