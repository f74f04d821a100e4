"""A whole study on a tiny data set: its files, killed and taken up, shared by processes, refused."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.cli import run as main
from edgeseg.errors import BadInputError, MismatchError
from edgeseg.images import write_png
from edgeseg.train.samples import load_samples
from edgeseg.train.shared_pictures import share_pictures
from edgeseg.train.studies.running import open_study
from edgeseg.train.studies.study_file import read_study, recipe_of
from edgeseg.train.studies.study_page import StudyResult
from edgeseg.train.training import train
from edgeseg.train.training_data import TrainingData, find_data

TEXT = """
title = "Two losses"
question = "Which one?"
seeds = [0, 1]

[recipe.model]
height = 32
width = 32
base_width = 4
depth = 2

[recipe.training]
epochs = 4
learning_rate = 0.01
batch_size = 4
precision = "32-true"
schedule = "none"

[[axes]]
name = "loss"
key = "training.loss"
values = ["bce", "dice"]

[[axes]]
name = "fraction"
key = "training.fraction"
values = [0.5, 1.0]
"""


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    path = tmp_path / "two-losses.toml"
    path.write_text(TEXT)
    return path


def command(file: Path, data: Path, out: Path, *more: str) -> list[str]:
    return ["study", str(file), "--data", str(data), "--out", str(out), "--json", *more]


def process(arguments: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "edgeseg.cli", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def dice_of(out: Path) -> dict[str, str]:
    """Every trial's Dice as the study tells it."""
    with (out / "trials.csv").open(newline="") as file:
        return {
            f"{row['loss']} {row['fraction']} {row['seed']}": row["validation Dice"] for row in csv.DictReader(file)
        }


@pytest.fixture(scope="module")
def undisturbed(blobs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "two-losses.toml").write_text(TEXT)
    assert main(command(folder / "two-losses.toml", blobs, folder / "out")) == 0
    return folder / "out"


def test_a_study_ends_with_tables_curves_masks_and_a_verdict(undisturbed: Path) -> None:
    result = StudyResult.read(undisturbed / "result.json")
    assert result.trials == 8 and len(result.verdict) == 4 and not result.full
    with (undisturbed / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 and float(rows[0]["validation Dice"]) == pytest.approx(result.best_dice, abs=1e-4)
    assert result.best_dice > 0.2, "networks that have learnt nothing are all alike"
    page = (undisturbed / "study.html").read_text()
    assert page.count("data:image/jpeg") == 8 and page.count("data:image/png") == 1 and "http" not in page
    assert (undisturbed / "table.md").read_text().startswith("| loss | fraction |")
    assert (undisturbed / "study.png").read_bytes().startswith(b"\x89PNG")


def test_a_trial_is_the_training_that_the_recipe_alone_gives(undisturbed: Path, blobs: Path, tmp_path: Path) -> None:
    study = read_study(str(undisturbed.parent / "two-losses.toml"))
    settings = {"training.loss": "dice", "training.fraction": 0.5, "training.seed": 1}
    record = train(blobs, tmp_path / "run", recipe_of(study, settings))
    assert dice_of(undisturbed)["dice 0.5 1"] == f"{record.best_validation_dice:.4f}"


def test_a_smaller_fraction_is_part_of_a_larger_one_and_kept_by_name(undisturbed: Path, blobs: Path) -> None:
    data = find_data(blobs, None)
    drawn = [{pair.name for pair in data.drawn(share, 3).pairs} for share in (0.2, 0.4, 0.7, 1.0)]
    assert [len(names) for names in drawn] == [2, 4, 7, 10]
    assert drawn[0] < drawn[1] < drawn[2] < drawn[3]
    assert drawn[1] != {pair.name for pair in data.drawn(0.4, 4).pairs}
    (kept, *_) = sorted((undisturbed / "trials").glob("bce_0.5_seed-0*/train-images.txt"))
    assert set(kept.read_text().split()) == {pair.name for pair in data.drawn(0.5, 0).pairs}


@pytest.mark.long
def test_two_processes_share_a_study_and_a_killed_one_is_replaced(
    undisturbed: Path, blobs: Path, study_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = process(command(study_file, blobs, out))
    deadline = time.monotonic() + 120
    while not list(out.glob("trials/*/best.pt")) and time.monotonic() < deadline:
        time.sleep(0.005)
    first.send_signal(signal.SIGKILL)
    first.wait(10)
    others = [process(command(study_file, blobs, out)) for _ in range(2)]
    assert [other.wait(240) for other in others] == [0, 0]
    assert dice_of(out) == dice_of(undisturbed)
    journal = [json.loads(line) for line in (out / "study.journal").read_text().splitlines()]
    endings = [entry for entry in journal if "ending" in entry.get("user_attr", {})]
    assert len(endings) == 8  # each trial came to its end once


def test_the_same_command_again_trains_nothing(
    undisturbed: Path, blobs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in (undisturbed / "trials").rglob("*") if path.is_file()}
    assert main(command(undisturbed.parent / "two-losses.toml", blobs, undisturbed)) == 0
    assert before == {path: path.stat().st_mtime_ns for path in (undisturbed / "trials").rglob("*") if path.is_file()}
    assert json.loads(capsys.readouterr().out)["trials"] == 8


def test_another_study_other_data_and_other_settings_are_refused(
    undisturbed: Path, blobs: Path, study_file: Path, tmp_path: Path
) -> None:
    study = read_study(str(study_file))
    changed = study.model_copy(update={"seeds": (0, 2)})
    for refused in (
        lambda: open_study(changed, blobs, undisturbed),
        lambda: open_study(study, blobs, undisturbed, full=True),
        lambda: open_study(study, blobs, undisturbed, settings={"training.epochs": 1}),
    ):
        with pytest.raises(MismatchError, match="holds"):
            refused()
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.txt").write_text("mine")
    with pytest.raises(BadInputError, match="not empty"):
        open_study(study, blobs, tmp_path / "used")


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ("[0.5, 1.0]", "[0.01, 1.0]", 5, "fraction of the training images is empty"),
        ('"bce", "dice"]', '"bce", "dise"]', 5, "does not hold together"),
        ("batch_size", "batch_sise", 5, "a recipe has no key training.batch_sise"),
        ("title", "titel", 5, "does not hold together"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(
    blobs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, code: int, words: str
) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(TEXT.replace(old, new))
    assert main(command(file, blobs, tmp_path / "out")) == code
    assert words in json.loads(capsys.readouterr().out)["what"] and not (tmp_path / "out").exists()


def test_a_folder_that_is_no_data_set(study_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert main(command(study_file, tmp_path / "empty", tmp_path / "out")) == 5
    assert "is no data set" in json.loads(capsys.readouterr().out)["what"]


def test_a_training_that_diverges_is_a_result(blobs: Path, tmp_path: Path, study_file: Path) -> None:
    study_file.write_text(TEXT.replace('values = ["bce", "dice"]', 'values = ["bce"]').replace("[0.5, 1.0]", "[1.0]"))
    settings = ("training.learning_rate=1e30", "training.optimiser=sgd", "training.gradient_clip=0")
    arguments = [word for setting in settings for word in ("--set", setting)]
    assert main(command(study_file, blobs, tmp_path / "out", *arguments)) == 0
    assert "diverged" in (tmp_path / "out" / "table.csv").read_text()


@pytest.mark.parametrize("ignored", [False, True])
def test_shared_pictures_are_those_that_a_training_decodes(tmp_path: Path, ignored: bool) -> None:
    rng = np.random.default_rng(4)
    for split, count in (("train", 4), ("validation", 3)):
        for index in range(count):
            labels = rng.integers(0, 3, (20 + index, 24)).astype(np.uint8)
            labels[0, 0] = 255 if ignored else 2
            write_png(tmp_path / "data" / split / "images" / f"{split}{index}.png",
                      rng.integers(0, 256, (20 + index, 24, 3)).astype(np.uint8))  # fmt: skip
            write_png(tmp_path / "data" / split / "masks" / f"{split}{index}.png", labels)
    inputs = find_data(tmp_path / "data", None, classes=3)
    recipe = recipe_of(read_study(_three_classes(tmp_path)), {})
    for _ in range(2):  # the second time from the files
        shared = share_pictures(inputs, tmp_path / "pictures", 3)
        expected = load_samples(inputs.pairs, 16, 16, classes=3)
        found = shared.samples_of(inputs.pairs, recipe)
        assert found.has_ignored == expected.has_ignored == ignored
        assert bool((found.images == expected.images).all()) and bool((found.masks == expected.masks).all())
        some = shared.samples_of(inputs.pairs[1:3], recipe)
        assert bool((some.images == expected.images[1:3]).all()) and bool((some.masks == expected.masks[1:3]).all())
        _check_same(shared.inputs, inputs)


def _check_same(kept: TrainingData, read: TrainingData) -> None:
    for one, other in zip(kept.validation, read.validation, strict=True):
        ours, theirs = one.read_labelled(3), other.read_labelled(3)
        assert one.name == other.name
        for mine, wanted in ((ours.frame, theirs.frame), (ours.mask, theirs.mask), (ours.ignored, theirs.ignored)):
            assert (mine is None and wanted is None) or np.array_equal(_array(mine), _array(wanted))


def _array(values: Any) -> np.ndarray:
    assert values is not None
    return np.asarray(values)


def _three_classes(folder: Path) -> str:
    path = folder / "three.toml"
    recipe = '[recipe.model]\nheight = 16\nwidth = 16\nclasses = ["background", "cat", "dog"]\n'
    axis = '[[axes]]\nname = "loss"\nkey = "training.loss"\nvalues = ["cross-entropy"]\n'
    path.write_text(
        f'title = "t"\nquestion = "q"\nseeds = [0]\n{recipe}[recipe.training]\nloss = "cross-entropy"\n{axis}'
    )
    return str(path)
