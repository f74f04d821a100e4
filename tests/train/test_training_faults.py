"""Tests of what a user meets when a training goes wrong: exit code, words, the last good checkpoint kept."""

import json
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from edgeseg import cli
from edgeseg.cli import train as train_command
from edgeseg.errors import BadInputError
from edgeseg.images import write_png
from edgeseg.train import checkpoint, losses
from edgeseg.train.recipe import Recipe
from edgeseg.train.record import RunRecord

SETTINGS = ["model.height=32", "model.width=32", "model.base_width=4", "model.depth=2"]
SETTINGS += ["training.epochs=3", "training.batch_size=4"]


def arguments(data: Path, run: Path, *more: str) -> list[str]:
    return ["train", str(data), "--out", str(run), *(part for value in SETTINGS for part in ("--set", value)), *more]


def error_of(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> dict[str, object]:
    """Run a command that fails, and give its JSON document."""
    capsys.readouterr()
    assert cli.run([*arguments, "--json"]) == code
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    document: dict[str, object] = json.loads(out)
    assert document["exit_code"] == code
    return document


@pytest.mark.parametrize("split", ["train", "validation"])
def test_an_empty_split(blobs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], split: str) -> None:
    data = tmp_path / "data"
    shutil.copytree(blobs, data)
    for path in (data / split).glob("*/*.png"):
        path.unlink()
    document = error_of(capsys, 5, *arguments(data, tmp_path / "run"))
    assert "holds no images" in str(document["what"])
    assert split in str(document["what"])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_mask_of_another_size(blobs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], split: str) -> None:
    data = tmp_path / "data"
    shutil.copytree(blobs, data)
    write_png(data / split / "masks" / f"{split}2.png", np.zeros((20, 30), np.uint8))
    document = error_of(capsys, 5, *arguments(data, tmp_path / "run"))
    assert f"image {split}2.png and its mask differ in size" in str(document["what"])
    assert "40x48 and 30x20" in str(document["what"])
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_of_another_architecture(blobs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, wide = tmp_path / "run", tmp_path / "wide"
    assert cli.run(arguments(blobs, run)) == 0
    assert cli.run(arguments(blobs, wide, "--set", "model.base_width=8")) == 0
    shutil.copy(wide / "last.pt", run / "last.pt")
    shutil.copy(wide / "best.pt", run / "best.pt")
    assert "another recipe" in str(error_of(capsys, 6, *arguments(blobs, run, "--resume"))["what"])
    assert "another recipe" in str(error_of(capsys, 6, "evaluate", str(run), str(blobs))["what"])
    sha256 = RunRecord.read(run / "run.json").recipe_sha256  # the same recipe, whose code has changed since
    for name in ("last.pt", "best.pt"):
        checkpoint.save(run / name, {**checkpoint.load(run / name), "recipe_sha256": sha256})
    assert "another architecture" in str(error_of(capsys, 6, *arguments(blobs, run, "--resume"))["what"])
    assert "another architecture" in str(error_of(capsys, 6, "evaluate", str(run), str(blobs))["what"])


class _Harmful:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return Path.touch, (self.path,)


def test_a_checkpoint_that_would_run_code(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    harmful = {"network": _Harmful(tmp_path / "ran")}
    for name, write in (
        ("pickled.pt", lambda path: path.write_bytes(pickle.dumps(harmful, 4))),
        ("saved.pt", lambda path: torch.save(harmful, path)),
    ):
        write(tmp_path / name)
        with pytest.raises(BadInputError) as caught:
            checkpoint.load(tmp_path / name)
        assert "would run code" in str(caught.value.found)
    assert not (tmp_path / "ran").exists()
    assert capfd.readouterr().err == ""


def test_what_is_no_run_folder(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    for path, found in ((tmp_path / "model.onnx", "a file"), (tmp_path, "no recipe.toml in it")):
        with pytest.raises(BadInputError, match="is no RUN folder") as caught:
            checkpoint.load_best(path)
        assert caught.value.found == found


def test_a_loss_that_is_not_a_number(
    blobs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(99))

    def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return logits.mean() * (float("nan") if next(calls) >= 3 else 1.0)

    monkeypatch.setitem(losses.LOSSES, "bce+dice", loss)
    document = error_of(capsys, 5, *arguments(blobs, tmp_path / "run", "--checkpoint-minutes", "0"))
    assert document["found"] == "a loss of nan in epoch 2, step 2"
    assert "--set training.learning_rate=" in str(document["next"])
    state = checkpoint.load(tmp_path / "run" / "last.pt")
    assert (state["epoch"], len(state["losses"])) == (1, 1)
    assert all(tensor.isfinite().all() for tensor in state["network"].values())


def test_a_full_disk_at_checkpoint_time(
    blobs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    say = train_command._say_epoch

    def fill_disk(*row: object) -> None:  # from now on no file may grow beyond what the small ones need
        say(*row)  # type: ignore[arg-type]
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))

    monkeypatch.setattr(train_command, "_say_epoch", fill_disk)
    try:
        document = error_of(capsys, 5, *arguments(blobs, run))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "cannot write the checkpoint" in str(document["what"])
    assert document["found"] == os.strerror(27)  # EFBIG; ENOSPC comes the same way
    assert "--resume" in str(document["next"])
    assert not [path for path in run.iterdir() if path.name.startswith(".")]
    assert checkpoint.load(run / "last.pt")["epoch"] == 1
    monkeypatch.undo()
    assert cli.run(arguments(blobs, run, "--resume")) == 0
    assert RunRecord.read(run / "run.json").finished


def _hear_interrupts() -> None:
    """A shell starts what it puts in the background deaf to Ctrl-C, and children take that over."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_training_can_be_resumed(blobs: Path, tmp_path: Path, number: int, code: int) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "edgeseg.cli", *arguments(blobs, run, "--set", "training.epochs=500")]
    loud = {**os.environ, "PYTHONFAULTHANDLER": "1"}  # an abort says where
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=_hear_interrupts, env=loud
    ) as process:
        assert process.stderr is not None
        while not (line := process.stderr.readline()).startswith("epoch   2"):
            assert line, "the training ended by itself"
        process.send_signal(number)
        out, err = process.communicate()
    assert (process.returncode, out) == (code, ""), err
    assert "Traceback" not in err
    assert f"continue with: edgeseg train {blobs} --out {run} --resume" in err
    record = RunRecord.read(run / "run.json")
    assert 2 <= record.epochs < 500
    state = checkpoint.load(run / "last.pt")
    assert state["epoch"] in (record.epochs, record.epochs + 1)
    assert not [path for path in run.iterdir() if path.name.startswith(".")]


def test_the_way_back_names_every_start(
    blobs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(data: Path, run: Path, recipe: Recipe, **options: object) -> None:
        assert options["starts"] == [Path("a"), Path("b")]
        run.mkdir()
        (run / "recipe.toml").write_text("")
        raise KeyboardInterrupt

    monkeypatch.setattr("edgeseg.train.training.train", stopped)
    starts = ("--start", "a", "--start", "b", "--teacher", "t")
    assert cli.run(arguments(blobs, tmp_path / "run", *starts)) == 130
    way_back = f"edgeseg train {blobs} --out {tmp_path / 'run'} --start a --start b --teacher t --resume"
    assert f"continue with: {way_back}" in capsys.readouterr().err
