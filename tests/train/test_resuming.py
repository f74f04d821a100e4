import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from edgeseg.errors import BadInputError, MismatchError
from edgeseg.files import sha256_file
from edgeseg.train import checkpoint, loop, run_folder
from edgeseg.train.recipe import Recipe
from edgeseg.train.record import Epoch, RunRecord
from edgeseg.train.training import train
from tests.train.conftest import settings_of

HERE = Path(__file__).parent
RUN_FILES = {"recipe.toml", "run.json", "history.csv", "curves.png", "best.pt", "last.pt", "previous.pt"}


class StopError(Exception):
    """Cuts a training off in these tests."""


def history_of(run: Path) -> list[dict[str, str]]:
    rows = list(csv.DictReader((run / "history.csv").open()))
    return [{key: row[key] for key in row if key not in ("seconds", "data_wait_share")} for row in rows]


def assert_equal_tensors(expected: object, found: object) -> None:
    if isinstance(expected, torch.Tensor):
        assert isinstance(found, torch.Tensor)
        assert torch.equal(expected, found)
    elif isinstance(expected, dict):
        assert isinstance(found, dict)
        assert expected.keys() == found.keys()
        for key, value in expected.items():
            assert_equal_tensors(value, found[key])
    elif isinstance(expected, (list, tuple)):
        for one, other in zip(expected, found, strict=True):  # type: ignore[call-overload]
            assert_equal_tensors(one, other)
    else:
        assert expected == found


def assert_same_training(whole: Path, other: Path) -> None:
    """Everything but clock readings is the same, bit for bit."""
    assert {path.name for path in other.iterdir()} == RUN_FILES
    for name in ("last.pt", "best.pt"):
        expected, found = checkpoint.load(whole / name), checkpoint.load(other / name)
        for content in (expected, found):
            for row in content.get("history", ()):
                row.pop("seconds"), row.pop("data_wait_share")
        assert_equal_tensors(expected, found)
    assert history_of(whole) == history_of(other)
    assert RunRecord.read(whole / "run.json") == RunRecord.read(other / "run.json")


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_training_killed_at_any_moment_resumes_to_the_same_weights(blobs: Path, tmp_path: Path) -> None:
    settings = ["model.height=32", "model.width=32", "model.base_width=4", "model.depth=2"]
    settings += ["training.epochs=2", "training.batch_size=4", "training.ema_decay=0.5"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # a fork after OpenMP has started threads would hang
    driver = [sys.executable, str(HERE / "killed_training.py"), str(blobs), str(tmp_path), *settings]
    result = subprocess.run(driver, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 15  # touches of the folder at which it was killed, one after the other
    assert_same_training(tmp_path / "whole", tmp_path / "touched")
    assert_same_training(tmp_path / "whole", tmp_path / "random")


def cut_inside_epoch(
    blobs: Path, run: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, step: int, **inputs: Any
) -> None:
    calls = iter(range(10_000))
    former = loop.Trainer._step

    def stop_at(self: loop.Trainer, *batch: loop.Batch) -> torch.Tensor:
        if next(calls) == step:
            raise StopError
        return former(self, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Trainer, "_step", stop_at)
        with pytest.raises(StopError):
            train(blobs, run, recipe, checkpoint_minutes=0, **inputs)


def test_an_epoch_is_taken_up_in_its_middle(
    blobs: Path, tmp_path: Path, tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = settings_of(tiny_recipe, batch_size=2, epochs=2)
    train(blobs, tmp_path / "whole", recipe)
    cut_inside_epoch(blobs, tmp_path / "cut", recipe, monkeypatch, step=8)  # five steps an epoch
    state = checkpoint.load(tmp_path / "cut" / "last.pt")
    assert (len(state["history"]), len(state["losses"])) == (1, 3)
    steps: list[int] = []
    former = loop.Trainer._step

    def count(self: loop.Trainer, *batch: loop.Batch) -> torch.Tensor:
        steps.append(1)
        return former(self, *batch)

    monkeypatch.setattr(loop.Trainer, "_step", count)
    train(blobs, tmp_path / "cut", recipe, resume=True)
    assert len(steps) == 2
    assert_same_training(tmp_path / "whole", tmp_path / "cut")


def test_everything_random_is_taken_up_in_the_middle_of_an_epoch(
    blobs: Path, tmp_path: Path, tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(blobs, tmp_path / "other", settings_of(tiny_recipe, epochs=1))
    training = {"sizes": (16, 32, 48), "loss": "structure", "label_smoothing": 0.05, "teacher_share": 0.7}
    training["hard_pixels"] = 0.1
    recipe = settings_of(tiny_recipe, epochs=2, batch_size=3, ema_decay=0.5, negative_share=0.3, **training)
    names = ("endoscopy", "mosaic", "illumination", "pasted_polyps", "covered_polyps", "colour_exchange")
    probabilities = dict.fromkeys((*names, "zoom_out", "zoom_in"), 0.5)
    everything = recipe.augmentation.model_copy(update=probabilities)
    recipe = recipe.model_copy(update={"augmentation": everything})
    inputs = {"negatives": blobs / "test" / "images", "teachers": [tmp_path / "other"], "starts": [tmp_path / "other"]}
    train(blobs, tmp_path / "whole", recipe, **inputs)
    cut_inside_epoch(blobs, tmp_path / "cut", recipe, monkeypatch, 7, **inputs)  # five steps an epoch
    assert len(checkpoint.load(tmp_path / "cut" / "last.pt")["losses"]) == 2
    train(blobs, tmp_path / "cut", recipe, resume=True, **{**inputs, "starts": ()})
    assert_same_training(tmp_path / "whole", tmp_path / "cut")


def test_a_training_killed_before_its_first_checkpoint_still_starts_from_the_other_weights(
    blobs: Path, tmp_path: Path, tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, run = tmp_path / "first", tmp_path / "cut"
    recipe = settings_of(tiny_recipe, epochs=1)
    train(blobs, first, recipe)
    train(blobs, tmp_path / "whole", recipe, starts=[first])
    with monkeypatch.context() as patch, pytest.raises(StopError):
        patch.setattr(loop.Trainer, "fit", lambda *_: (_ for _ in ()).throw(StopError))
        train(blobs, run, recipe, starts=[first])
    with pytest.raises(MismatchError, match="was to start from other weights"):
        train(blobs, run, recipe, resume=True)
    train(blobs, run, recipe, resume=True, starts=[first])
    whole, cut = (checkpoint.load(path / "last.pt")["network"] for path in (tmp_path / "whole", run))
    assert_equal_tensors(whole, cut)
    assert RunRecord.read(run / "run.json").start_sha256 == sha256_file(first / "best.pt")


def test_a_training_killed_before_it_had_a_recipe_can_be_started_again(
    blobs: Path, tmp_path: Path, tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = settings_of(tiny_recipe, epochs=1)
    with monkeypatch.context() as patch, pytest.raises(StopError):
        patch.setattr(run_folder, "write_text", lambda *_: (_ for _ in ()).throw(StopError))
        train(blobs, tmp_path / "run", recipe)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.json"]
    assert train(blobs, tmp_path / "run", recipe).finished


def test_an_older_run_goes_on(blobs: Path, tmp_path: Path, tiny_recipe: Recipe) -> None:
    recipe = settings_of(tiny_recipe, ema_decay=0.5)
    run = tmp_path / "run"
    with pytest.raises(StopError):
        train(blobs, run, recipe, report=stop_after(2))
    _as_written_before(run)
    rows = history_of(run)
    record = train(blobs, run, recipe, resume=True)
    assert (record.finished, record.epochs) == (True, 3)
    assert history_of(run)[:2] == rows
    assert (run / "previous.pt").is_file()


def _as_written_before(run: Path) -> None:
    """Reduce a RUN to what was written before there were checkpoints inside an epoch and a fused optimiser."""
    (run / "previous.pt").unlink()
    record = json.loads((run / "run.json").read_text())
    del record["start_sha256"]
    (run / "run.json").write_text(json.dumps(record))
    content = checkpoint.load(run / "last.pt")
    for name in ("precision", "losses", "world_size"):
        del content[name]
    for row in content["history"]:
        del row["data_wait_share"]
    for group in content["optimiser"]["param_groups"]:
        group["fused"] = None
    checkpoint.save(run / "last.pt", content)


def stop_after(epoch: int) -> object:
    def stop(row: Epoch, record: RunRecord) -> None:
        if row.epoch == epoch:
            raise StopError

    return stop


@pytest.mark.parametrize("damage", ["truncated", "missing", "empty"])
def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(
    blobs: Path, tmp_path: Path, tiny_recipe: Recipe, damage: str
) -> None:
    train(blobs, tmp_path / "whole", tiny_recipe)
    run = tmp_path / "cut"
    with pytest.raises(StopError):
        train(blobs, run, tiny_recipe, report=stop_after(2))
    last = run / "last.pt"
    content = last.read_bytes()
    last.unlink()
    if damage != "missing":
        last.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"")
    lines: list[str] = []
    train(blobs, run, tiny_recipe, resume=True, say=lines.append)
    assert len(lines) == 1
    assert lines[0].startswith("last.pt")
    assert "going on from previous.pt" in lines[0]
    assert_same_training(tmp_path / "whole", run)


def test_checkpoints_that_are_all_damaged_or_gone_are_said_and_nothing_is_overwritten(
    blobs: Path, tmp_path: Path, tiny_recipe: Recipe
) -> None:
    run = tmp_path / "run"
    recipe = settings_of(tiny_recipe, epochs=2)
    train(blobs, run, recipe)
    best = (run / "best.pt").read_bytes()
    for name in ("last.pt", "previous.pt"):
        (run / name).write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(BadInputError, match=r"no checkpoint in .* can be read") as caught:
        train(blobs, run, recipe, resume=True)
    assert "last.pt" in (caught.value.found or "")
    assert "best.pt" in (caught.value.next_command or "")
    for name in ("last.pt", "previous.pt"):
        (run / name).unlink()
    with pytest.raises(BadInputError, match="gone"):
        train(blobs, run, recipe, resume=True)
    assert (run / "best.pt").read_bytes() == best


def test_a_training_killed_before_its_first_checkpoint_starts_anew(
    blobs: Path, tmp_path: Path, tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = settings_of(tiny_recipe, epochs=2)
    train(blobs, tmp_path / "whole", recipe)
    run = tmp_path / "cut"
    with monkeypatch.context() as patch, pytest.raises(StopError):
        patch.setattr(loop.Trainer, "fit", lambda *_: (_ for _ in ()).throw(StopError))
        train(blobs, run, recipe)
    (run / "run.json").unlink()
    (run / "history.csv").unlink()
    (run / ".last-abc.pt").write_bytes(b"half")
    train(blobs, run, recipe, resume=True)
    assert_same_training(tmp_path / "whole", run)


def test_a_finished_training_whose_record_was_lost_mends_it(blobs: Path, tmp_path: Path, tiny_recipe: Recipe) -> None:
    run = tmp_path / "run"
    record = train(blobs, run, tiny_recipe)
    rows = history_of(run)
    for name in ("run.json", "history.csv", "curves.png"):
        (run / name).unlink()
    assert train(blobs, run, tiny_recipe, resume=True) == record
    assert history_of(run) == rows
    assert RunRecord.read(run / "run.json").finished
    assert (run / "curves.png").is_file()


def test_two_trainings_do_not_share_a_folder(blobs: Path, tmp_path: Path, tiny_recipe: Recipe) -> None:
    run = tmp_path / "run"
    train(blobs, run, settings_of(tiny_recipe, epochs=1))
    with run_folder.locked(run), pytest.raises(BadInputError, match="another training"):
        train(blobs, run, settings_of(tiny_recipe, epochs=1), resume=True)


def test_weights_of_another_architecture_are_a_mismatch(tmp_path: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3))
    other = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8)).state_dict()
    with pytest.raises(MismatchError, match="another architecture") as caught:
        checkpoint.load_weights(tmp_path / "last.pt", network, other)
    assert "5 tensors unknown (1.bias)" in (caught.value.found or "")
    assert "2 tensors of another shape (0.bias)" in (caught.value.found or "")
    before = network[0].weight.clone()
    assert torch.equal(before, network[0].weight)


def test_more_processes_than_before_are_said(blobs: Path, tmp_path: Path, tiny_recipe: Recipe) -> None:
    run = tmp_path / "run"
    with pytest.raises(StopError):
        train(blobs, run, tiny_recipe, report=stop_after(1))
    content = checkpoint.load(run / "last.pt")
    checkpoint.save(run / "last.pt", {**content, "world_size": 2})
    lines: list[str] = []
    train(blobs, run, tiny_recipe, resume=True, say=lines.append)
    assert "started with 2 processes, resumed with 1" in lines[0]
