"""Files of a RUN or a study that unpacked to gigabytes, or ended in an error that was not ours, before fuzzing."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from edgeseg.errors import BadInputError, UsageError
from edgeseg.train import checkpoint
from edgeseg.train.recipe import Recipe, read_recipe
from edgeseg.train.record import read_history
from edgeseg.train.studies.journal import STUDY, open_journal
from edgeseg.train.training import train
from tests.peak_memory import peak_growth


def repacked(path: Path, more: int) -> None:
    """Compress the parts of a checkpoint, after `more` zeros behind each tensor's bytes."""
    source, stream = zipfile.ZipFile(io.BytesIO(path.read_bytes())), io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in source.namelist():
            archive.writestr(name, source.read(name) + bytes(more if "/data/" in name else 0))
    path.write_bytes(stream.getvalue())


@pytest.mark.parametrize("more", [0, 100_000_000])
def test_a_checkpoint_that_unpacks_is_not_unpacked(tmp_path: Path, more: int) -> None:
    checkpoint.save(tmp_path / "best.pt", {"network": {"w": torch.ones(4)}})
    assert checkpoint.load(tmp_path / "best.pt")["network"]["w"].sum() == 4
    repacked(tmp_path / "best.pt", more)

    def refused() -> None:
        with pytest.raises(BadInputError, match=r"best\.pt is no checkpoint that can be read") as caught:
            checkpoint.load(tmp_path / "best.pt")
        assert "parts are larger" in str(caught.value.found)

    assert peak_growth(refused) < 50 << 20


@pytest.mark.parametrize("network", [None, [], {"w": 1}, {"w": [torch.ones(1)]}, torch.ones(1)])
def test_weights_that_are_no_tensors_are_refused(tmp_path: Path, network: Any) -> None:
    torch.save({"network": network}, tmp_path / "best.pt")
    with pytest.raises(BadInputError, match="no checkpoint of edgeseg"):
        checkpoint.load(tmp_path / "best.pt")


@pytest.mark.long  # a training, taken up again
def test_a_checkpoint_that_no_training_can_go_on_from_is_refused(
    blobs: Path, tmp_path: Path, tiny_recipe: Recipe
) -> None:
    recipe = tiny_recipe.model_copy(update={"training": tiny_recipe.training.model_copy(update={"epochs": 1})})
    train(blobs, tmp_path / "run", recipe)
    last = tmp_path / "run" / "last.pt"
    content = checkpoint.load(last)
    for wrong in ({"history": [{"epoch": "a"}]}, {"losses": None}, {"optimiser": {}}):
        checkpoint.save(last, content | wrong)
        with pytest.raises(BadInputError, match="the training cannot go on") as caught:
            train(blobs, tmp_path / "run", recipe, resume=True)
        assert caught.value.next_command


HEAD = "epoch,learning_rate,train_loss,validation_dice,validation_iou,seconds"


@pytest.mark.parametrize("text", [f"{HEAD}\n1,2\n", f"{HEAD}\na,1,1,1,1,1\n", "x\n1\n", f"{HEAD}\n" + "9" * 200_000])
def test_a_history_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "history.csv").write_text(text)
    with pytest.raises(BadInputError, match="no history of a training"):
        read_history(tmp_path)


@pytest.mark.parametrize("line", ['{"op_code": 99}', "{", '{"op_code": 0, "worker_id": 1}', "\ud800"])
def test_a_damaged_journal_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "study.journal"
    path.touch()
    assert open_journal(path, None).study_name == STUDY
    with path.open("ab") as file:
        file.write(line.encode("utf-8", "surrogatepass") + b"\n")
    with pytest.raises(BadInputError, match="is damaged"):
        open_journal(path, None)


@pytest.mark.parametrize("value", ["nan", "inf", '"inf"', "[nan, 0.5, 0.5]"])
def test_a_recipe_is_finite(tmp_path: Path, value: str) -> None:
    for key in ("training.learning_rate", "training.weight_decay", "model.mean"):
        section, name = key.split(".")
        (tmp_path / "r.toml").write_text(f"[{section}]\n{name} = {value}\n")
        with pytest.raises(BadInputError):
            read_recipe(tmp_path / "r.toml")
        with pytest.raises(UsageError):
            read_recipe(None, [f"{key}={value}"])
