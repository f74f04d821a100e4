from pathlib import Path

import pytest

from edgeseg.errors import BadInputError
from edgeseg.train.recipe import read_recipe
from edgeseg.train.recipe_folders import find_recipe
from edgeseg.train.studies.study_file import read_study, study_names

RECIPES = Path(__file__).parents[2] / "recipes"


def test_recipes_and_studies_are_found_by_name_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_recipe(Path("kvasir-unet")) == read_recipe(RECIPES / "kvasir-unet.toml")
    assert read_study("losses") == read_study(str(RECIPES / "studies" / "losses.toml"))
    assert study_names() == sorted(path.stem for path in (RECIPES / "studies").glob("*.toml"))


def test_what_lies_here_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "kvasir-unet.toml").write_text("[training]\nepochs = 3\n")
    assert read_recipe(Path("kvasir-unet")).training.epochs == 3
    (tmp_path / "kvasir-unet").write_text("[training]\nepochs = 4\n")
    assert read_recipe(Path("kvasir-unet")).training.epochs == 4


def test_a_name_that_no_folder_has_is_a_missing_file() -> None:
    assert find_recipe(Path("kvasir-u")) == Path("kvasir-u")
    with pytest.raises(BadInputError, match="kvasir-u"):
        read_recipe(Path("kvasir-u"))
