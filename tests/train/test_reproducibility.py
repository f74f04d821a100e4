from pathlib import Path

import pytest
import torch

from edgeseg.errors import BadInputError
from edgeseg.train import checkpoint
from edgeseg.train.recipe import Recipe
from edgeseg.train.reproducibility import deterministic_algorithms, step_seed
from edgeseg.train.training import train


def test_every_step_has_a_seed_of_its_own() -> None:
    seeds = {
        step_seed(seed, epoch, step, rank)
        for seed in range(3)
        for epoch in (1, 2)
        for step in (0, 1)
        for rank in (0, 1)
    }
    assert len(seeds) == 24
    assert step_seed(1, 2, 3, 0) == step_seed(1, 2, 3, 0)


def test_the_former_setting_comes_back_and_refusals_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    assert not torch.are_deterministic_algorithms_enabled()
    with pytest.raises(BadInputError, match="no deterministic form") as caught, deterministic_algorithms(True):
        torch.zeros(3).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))
    assert "put_" in (caught.value.found or "")
    assert not torch.are_deterministic_algorithms_enabled()
    with pytest.raises(RuntimeError, match="another"), deterministic_algorithms(True):
        raise RuntimeError("another thing")


def test_a_deterministic_training_is_the_same_twice(blobs: Path, tmp_path: Path, tiny_recipe: Recipe) -> None:
    training = tiny_recipe.training.model_copy(update={"deterministic": True, "epochs": 2})
    recipe = tiny_recipe.model_copy(update={"training": training})
    for name in ("one", "two"):
        train(blobs, tmp_path / name, recipe)
    one, two = (checkpoint.load(tmp_path / name / "last.pt")["network"] for name in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.are_deterministic_algorithms_enabled()
