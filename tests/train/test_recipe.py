import hashlib
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
    "setting", ["epochs=3", "training.epochs", "training.=3", "training.epochs=-1", "model.colour=1"]
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


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("kvasir-best", "bf16-mixed"),
        ("polyp-best", "32-true"),
        ("polyp-ultra", "bf16-mixed"),
    ],
)
def test_later_additions_leave_the_hash_of_a_recipe_alone(name: str, precision: str) -> None:
    """The shipped package was trained with it, in this precision; its card holds the hash of that day."""
    card = (RECIPES.parent / "models" / name / "card.md").read_text()
    recipe = read_recipe(RECIPES / f"{name}.toml", [f"training.precision={precision}"])
    assert f"Recipe: sha256 `{recipe.sha256}`" in card


def test_float32_has_the_hash_that_it_had_as_the_default() -> None:
    """RUNs from before precision=auto keep it in their checkpoints."""
    former = b"{}"
    assert read_recipe(None, ["training.precision=32-true"]).sha256 == hashlib.sha256(former).hexdigest()
    former = b'{"training":{"epochs":3}}'
    recipe = read_recipe(None, ["training.precision=32-true", "training.epochs=3"])
    assert recipe.sha256 == hashlib.sha256(former).hexdigest()
    assert read_recipe(None, ["training.precision=bf16-mixed"]).sha256 != Recipe().sha256


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_leaves_the_precision_to_the_machine(path: Path) -> None:
    assert read_recipe(path).training.precision == Recipe().training.precision == "auto"


def test_a_recipe_written_before_the_later_additions_is_read(tmp_path: Path) -> None:
    now = recipe_to_toml(read_recipe(None, ["model.architecture=lite0-unet"]))
    later = ("decoder = ", "context_width = ", "small_share = ", "arguments = ", "mirroring = ")
    former = [line for line in now.splitlines() if not line.startswith(later)]
    assert len(former) == len(now.splitlines()) - len(later)
    (tmp_path / "recipe.toml").write_text("\n".join(former))
    assert recipe_to_toml(read_recipe(tmp_path / "recipe.toml")) == now


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        (["model.architecture=lite0-unets"], "did you mean lite0-unet?"),
        (["model.architecture=resnet"], "ultra-lite0-unet"),
        (["model.architecture=python:module"], "python:package.module:function"),
        (["model.architecture=python:a/b:f"], "python:package.module:function"),
        (["model.architecture=python:module:f(x)"], "python:package.module:function"),
        (["model.architecture=ultra-unet", "model.height=80"], "multiples of 32"),
        (["model.architecture=ultra-unet", "model.arguments={width = 3}"], "networks of your own"),
        (["model.decoder_widths=[8]"], "decoder_widths"),
        (["model.decoder_widths=[8, 0]"], "decoder_widths"),
        (["model.decoder=dense"], "separable"),
    ],
)
def test_a_network_that_cannot_be_is_refused_with_what_can(settings: list[str], found: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_recipe(None, settings)
    assert found in str(caught.value.found)


def test_a_network_of_ones_own_may_have_any_size() -> None:
    settings = ["model.architecture=python:a.b:c", "model.height=33", "model.width=47", "training.sizes=[33]"]
    assert read_recipe(None, settings).model_spec().input_shape == (33, 47, 3)


def test_the_spec_names_the_pretrained_encoder() -> None:
    encoders = {
        name: read_recipe(None, [f"model.architecture={name}"]).model_spec().encoder
        for name in ("unet", "lite0-unet", "ultra-unet", "ultra-lite0-unet")
    }
    assert [name for name, encoder in encoders.items() if encoder == "efficientnet-lite0"] == [
        "lite0-unet",
        "ultra-lite0-unet",
    ]


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_recipes_are_valid(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.model_spec().height == recipe.model.height
