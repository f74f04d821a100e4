import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from edgeseg.dataset import load_pairs
from edgeseg.errors import BadInputError, MismatchError
from edgeseg.images import read_rgb
from edgeseg.proof.verdict.evaluation import evaluate
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.train import checkpoint, loop, losses
from edgeseg.train.loop import Trainer
from edgeseg.train.predictor import open_run
from edgeseg.train.recipe import Recipe, read_recipe
from edgeseg.train.record import Epoch, RunRecord
from edgeseg.train.training import train
from tests.train.conftest import settings_of


class StopError(Exception):
    """Cuts a training off in these tests."""


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(run / checkpoint.LAST)["network"]


def test_a_training_learns_and_leaves_a_whole_run(blobs: Path, tmp_path: Path, tiny_recipe: Recipe) -> None:
    run = tmp_path / "run"
    recipe = settings_of(tiny_recipe, epochs=14, learning_rate=1e-2)
    record = train(blobs, run, recipe)
    assert {path.name for path in run.iterdir()} == {
        "recipe.toml",
        "run.json",
        "history.csv",
        "curves.png",
        "best.pt",
        "last.pt",
        "previous.pt",
    }
    assert record == RunRecord.read(run / "run.json")
    assert record.finished
    rows = list(csv.DictReader((run / "history.csv").open()))
    assert [row["epoch"] for row in rows] == [str(number) for number in range(1, 15)]
    assert record.best_validation_dice == max(float(row["validation_dice"]) for row in rows)
    assert float(rows[-1]["train_loss"]) < 0.8 * float(rows[0]["train_loss"])
    assert read_rgb(run / "curves.png").shape[0] > 200
    assert read_recipe(run / "recipe.toml") == recipe


def test_the_best_epoch_is_what_a_run_predicts(blobs: Path, tmp_path: Path, tiny_recipe: Recipe) -> None:
    record = train(blobs, tmp_path / "run", tiny_recipe)
    result = evaluate(engine_of(open_run(tmp_path / "run")), load_pairs(blobs, "validation"))
    assert result.mean_dice == pytest.approx(record.best_validation_dice, abs=1e-9)


def test_resumed_equals_uninterrupted(blobs: Path, tmp_path: Path, tiny_recipe: Recipe) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(blobs, whole, tiny_recipe)

    def stop_after_first(row: Epoch, record: RunRecord) -> None:
        if row.epoch == 1:
            raise StopError

    with pytest.raises(StopError):
        train(blobs, cut, tiny_recipe, report=stop_after_first)
    assert not RunRecord.read(cut / "run.json").finished
    train(blobs, cut, tiny_recipe, resume=True)
    expected, found = weights_of(whole), weights_of(cut)
    assert all(torch.equal(expected[name], found[name]) for name in expected)

    def history(run: Path) -> list[tuple[str, ...]]:
        return [tuple(row.values())[:5] for row in csv.DictReader((run / "history.csv").open())]

    assert history(whole) == history(cut)


def test_a_training_starts_from_the_weights_of_another(blobs: Path, tmp_path: Path, tiny_recipe: Recipe) -> None:
    train(blobs, tmp_path / "first", settings_of(tiny_recipe, epochs=6, learning_rate=1e-2))
    still = settings_of(tiny_recipe, epochs=1, learning_rate=1e-12, ema_decay=0.5)
    train(blobs, tmp_path / "second", still, starts=[tmp_path / "first"])
    expected = checkpoint.load(tmp_path / "first" / "best.pt")["network"]
    found = weights_of(tmp_path / "second")
    same = [torch.allclose(expected[name], found[name], atol=1e-6) for name in expected if name.endswith("weight")]
    assert all(same)
    deeper = still.model_copy(update={"model": still.model.model_copy(update={"base_width": 7})})
    with pytest.raises(MismatchError, match="none of the weights"):
        train(blobs, tmp_path / "third", deeper, starts=[tmp_path / "first"])
    assert not (tmp_path / "third").exists()
    train(blobs, tmp_path / "third", deeper)
    assert train(blobs, tmp_path / "third", deeper, starts=[tmp_path / "first"], resume=True).start_sha256 is None


def test_a_training_at_several_sizes_resumes_exactly(blobs: Path, tmp_path: Path, tiny_recipe: Recipe) -> None:
    recipe = settings_of(tiny_recipe, sizes=(16, 32, 48), label_smoothing=0.05, loss="structure")
    recipe = recipe.model_copy(
        update={"augmentation": recipe.augmentation.model_copy(update={"endoscopy": 0.5, "mosaic": 0.5})}
    )
    train(blobs, tmp_path / "whole", recipe)
    with pytest.raises(StopError):
        train(blobs, tmp_path / "cut", recipe, report=_stop)
    train(blobs, tmp_path / "cut", recipe, resume=True)
    expected, found = weights_of(tmp_path / "whole"), weights_of(tmp_path / "cut")
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def _stop(row: Epoch, record: RunRecord) -> None:
    raise StopError


def test_an_average_of_the_weights_is_judged_kept_and_resumed(blobs: Path, tmp_path: Path, tiny_recipe: Recipe) -> None:
    recipe = settings_of(tiny_recipe, ema_decay=0.5, epochs=2)
    negatives = blobs / "test" / "images"
    record = train(blobs, tmp_path / "whole", recipe, negatives=negatives)
    kept = checkpoint.load(tmp_path / "whole" / "best.pt")["network"]
    last = checkpoint.load(tmp_path / "whole" / checkpoint.LAST)
    trained, average = last["network"], last["average"]
    name = "head.weight"
    assert not torch.equal(trained[name], average[f"module.network.{name}"])
    if record.best_epoch == record.epochs:
        assert torch.equal(kept[name], average[f"module.network.{name}"])

    def stop(row: Epoch, record: RunRecord) -> None:
        raise StopError

    with pytest.raises(StopError):
        train(blobs, tmp_path / "cut", recipe, negatives=negatives, report=stop)
    train(blobs, tmp_path / "cut", recipe, negatives=negatives, resume=True)
    again = checkpoint.load(tmp_path / "cut" / checkpoint.LAST)["average"]
    assert all(torch.equal(average[key], again[key]) for key in average)
    with pytest.raises(MismatchError, match="data"):
        train(blobs, tmp_path / "cut", recipe, resume=True)


def test_early_stopping_waits_for_its_patience(
    blobs: Path, tmp_path: Path, tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = iter([0.5, 0.6, 0.55, 0.58, 0.9])
    monkeypatch.setattr(loop.Trainer, "_validate", lambda self: (next(dice), 0.4))
    record = train(blobs, tmp_path / "run", settings_of(tiny_recipe, epochs=9, patience=2))
    assert (record.epochs, record.best_epoch, record.finished) == (4, 2, True)


def test_divergence_is_said_and_keeps_the_last_good_checkpoint(
    blobs: Path, tmp_path: Path, tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(99))

    def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return logits.mean() * (float("nan") if next(calls) >= 3 else 1.0)

    monkeypatch.setitem(losses.LOSSES, "bce+dice", loss)
    with pytest.raises(BadInputError, match="diverged") as caught:
        train(blobs, tmp_path / "run", tiny_recipe)
    assert "epoch 2" in (caught.value.found or "")
    assert RunRecord.read(tmp_path / "run" / "run.json").epochs == 1
    assert np.isfinite(next(iter(weights_of(tmp_path / "run").values())).numpy()).all()


def test_a_used_folder_is_not_overwritten(blobs: Path, tmp_path: Path, tiny_recipe: Recipe) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious").write_text("x")
    with pytest.raises(BadInputError, match="not empty"):
        train(blobs, tmp_path / "run", tiny_recipe)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["precious"]


def test_resuming_refuses_other_recipes_other_data_and_nothing(
    blobs: Path, tmp_path: Path, tiny_recipe: Recipe
) -> None:
    run = tmp_path / "run"
    with pytest.raises(BadInputError, match="nothing to resume"):
        train(blobs, run, tiny_recipe, resume=True)
    train(blobs, run, settings_of(tiny_recipe, epochs=1))
    with pytest.raises(MismatchError, match="recipe"):
        train(blobs, run, tiny_recipe, resume=True)
    other = tmp_path / "other"
    other.mkdir()
    for split, source in (("train", "test"), ("validation", "train")):
        (other / split).symlink_to(blobs / source)
    with pytest.raises(MismatchError, match="data"):
        train(other, run, settings_of(tiny_recipe, epochs=1), resume=True)


def test_data_without_splits_is_refused(blobs: Path, tmp_path: Path, tiny_recipe: Recipe) -> None:
    with pytest.raises(BadInputError, match="no splits"):
        train(blobs / "train", tmp_path / "run", tiny_recipe)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04 not really"])
def test_a_broken_checkpoint_is_bad_input(blobs: Path, tmp_path: Path, tiny_recipe: Recipe, content: bytes) -> None:
    run = tmp_path / "run"
    train(blobs, run, settings_of(tiny_recipe, epochs=1))
    (run / "best.pt").write_bytes(content)
    with pytest.raises(BadInputError, match=r"best\.pt"):
        open_run(run)


def test_a_checkpoint_cannot_run_code(blobs: Path, tmp_path: Path, tiny_recipe: Recipe) -> None:
    run, trace = tmp_path / "run", tmp_path / "trace"
    train(blobs, run, settings_of(tiny_recipe, epochs=1))

    class Attack:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (str(trace),)

    torch.save({"network": Attack()}, run / "best.pt")
    with pytest.raises(BadInputError):
        open_run(run)
    assert not trace.exists()


def test_a_checkpoint_of_another_recipe_is_a_mismatch(blobs: Path, tmp_path: Path, tiny_recipe: Recipe) -> None:
    train(blobs, tmp_path / "a", settings_of(tiny_recipe, epochs=1))
    train(blobs, tmp_path / "b", settings_of(tiny_recipe, epochs=1, seed=5))
    (tmp_path / "a" / "best.pt").write_bytes((tmp_path / "b" / "best.pt").read_bytes())
    with pytest.raises(MismatchError, match="another recipe"):
        open_run(tmp_path / "a")


@pytest.mark.parametrize(("keep", "epoch"), [("best", 1), ("last", 3)])
def test_the_recipe_says_whether_the_best_or_the_last_epoch_is_kept(
    keep: str, epoch: int, blobs: Path, tmp_path: Path, tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    falling = iter([0.3, 0.2, 0.1])
    monkeypatch.setattr(Trainer, "_validate", lambda self: (next(falling), 0.0))
    record = train(blobs, tmp_path / "run", settings_of(tiny_recipe, keep=keep))
    assert (record.best_epoch, record.best_validation_dice) == (epoch, {1: 0.3, 3: 0.1}[epoch])
    last = checkpoint.load(tmp_path / "run" / "last.pt")["network"]
    kept = checkpoint.load(tmp_path / "run" / "best.pt")["network"]
    assert all(torch.equal(kept[name], last[name]) for name in kept) == (keep == "last")
