import contextlib
import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest

from edgeseg.artifacts import CalibrationTable
from edgeseg.calibration.ranges import calibrate
from edgeseg.calibration.selection import choose_images
from edgeseg.dataset import load_images, load_pairs
from edgeseg.errors import MismatchError
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.export.package.curves import curves_of, curves_to_svg
from edgeseg.export.package.facts import Clip, calibration_in_words
from edgeseg.export.package.packaging import PackageOptions, package_run
from edgeseg.files import UnwritableError, sha256_file
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.packages import (
    PACKAGE_BILL,
    PACKAGE_CALIBRATION,
    PACKAGE_CARD,
    PACKAGE_CURVES,
    PACKAGE_ONNX,
    PACKAGE_STATISTICS,
    find_model,
)
from edgeseg.proof.evaluation.frame_masks import UnlabelledSource, measure_frames
from edgeseg.proof.evaluation.shifted_engine import ShiftedEngine
from edgeseg.proof.verdict.evaluation import evaluate
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.runtime.file.frame_choice import FrameChoice
from edgeseg.runtime.live.scene.statistics import TrainingStatistics, statistics_of_folder
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.threshold import THRESHOLDS
from edgeseg.train.predictor import open_run
from edgeseg.train.recipe import read_recipe
from edgeseg.train.training import train

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture(scope="module")
def package(tiny_run: Path, squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models") / "tiny"
    package_run(tiny_run, out, PackageOptions(squares, "for these tests", images=4))
    return out


def test_a_package_builds_int8_with_no_data_at_all(package: Path, squares: Path, tmp_path: Path) -> None:
    result = build_engine(package, BuildOptions("int8", out=tmp_path / "x.engine"))
    assert result.passport.int8_convolutions == result.passport.convolutions - 2
    figure = evaluate(open_engine(tmp_path / "x.engine"), load_pairs(squares, "test")).mean_dice
    assert f"| int8 | {figure:.4f} |" in (package / "card.md").read_text()


def test_the_card_tells_the_figures_of_the_rounded_weights(package: Path, squares: Path) -> None:
    figure = evaluate(open_engine(package), load_pairs(squares, "test")).mean_dice
    card = (package / "card.md").read_text()
    assert f"| fp32 | {figure:.4f} |" in card
    assert "for these tests" in card
    assert "not a medical device" in card


@pytest.mark.parametrize("method", ["mse", "auto"])
def test_the_table_is_made_by_the_method_that_is_asked_for(
    method: str, tiny_run: Path, squares: Path, tmp_path: Path
) -> None:
    package_run(tiny_run, tmp_path / "p", PackageOptions(squares, "terms", images=4, method=method))
    table = CalibrationTable.read(tmp_path / "p" / PACKAGE_CALIBRATION)
    images = choose_images(load_images(squares, "train"), 4)
    assert table == calibrate(load_onnx(tmp_path / "p" / PACKAGE_ONNX), images, method=method)
    assert (table.method_trial is not None) == (method == "auto") and method in ("auto", table.method)


def test_cards_tell_how_the_table_was_made(package: Path) -> None:
    for folder in (package, *(path.parent for path in MODELS.glob(f"*/{PACKAGE_ONNX}"))):
        told = calibration_in_words(CalibrationTable.read(folder / PACKAGE_CALIBRATION))
        assert f"- Calibration: {told}\n" in (folder / PACKAGE_CARD).read_text(), folder.name


def test_weights_are_stored_as_fp16(package: Path) -> None:
    proto = onnx.load(package / "model.onnx")
    stored = [t for t in proto.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]
    assert len(stored) >= 10
    assert find_model(package).kind == "package"


def test_statistics_of_the_training_pictures_lie_in_a_package_where_there_are_enough(
    package: Path, tiny_run: Path, squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not (package / PACKAGE_STATISTICS).exists(), "a handful of pictures has no spread"
    for name in ("edgeseg.export.package.packaging", "edgeseg.runtime.live.scene.statistics"):
        monkeypatch.setattr(f"{name}.MIN_IMAGES", 2)
    package_run(tiny_run, tmp_path / "more", PackageOptions(squares, "terms", images=2))
    found = TrainingStatistics.read(tmp_path / "more" / PACKAGE_STATISTICS)
    model = open_engine(package).info.model
    assert found == statistics_of_folder(squares, model.height, model.width)


def test_nothing_is_left_of_a_package_that_fails(tiny_run: Path, squares: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("x")
    with pytest.raises(UnwritableError):
        package_run(tiny_run, tmp_path / "taken", PackageOptions(squares, "terms", images=2))
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_shipped_packages_stay_small() -> None:
    sizes = {path.name: sum(f.stat().st_size for f in path.iterdir()) for path in MODELS.iterdir() if path.is_dir()}
    assert sizes
    assert max(sizes.values()) <= 8_000_000
    assert sum(sizes.values()) <= 24_000_000


def test_the_card_tells_how_often_something_is_marked_where_there_is_no_truth(
    tiny_run: Path, squares: Path, tmp_path: Path
) -> None:
    images = squares / "test" / "images"
    count = len(list(images.iterdir()))
    clips = (Clip(UnlabelledSource(images, FrameChoice.parse(":2")), False), Clip(UnlabelledSource(images), True))
    facts = package_run(tiny_run, tmp_path / "told", PackageOptions(squares, "terms", images=4, clips=clips))
    session = open_engine(tmp_path / "told")
    card = (tmp_path / "told" / "card.md").read_text()
    for index, (clip, frames, kind) in enumerate(
        [(clips[0], 2, "a false alarm"), (clips[1], count, "the polyp found")]
    ):
        masks = measure_frames(session, clip.source)
        share = sum(row.mask_share >= 0.01 for row in masks.rows) / frames
        assert facts.rows[0].clips[index].share == share
        assert f"| `{clip.name}` | {frames} | {kind} | {100 * share:.1f} % |" in card
    assert "`images@:2`" in card


def test_the_card_tells_sizes_other_sources_other_seeds_and_thresholds(
    tiny_run: Path, squares: Path, tmp_path: Path
) -> None:
    second = tmp_path / "second"
    train(squares, second, read_recipe(tiny_run / "recipe.toml", ["training.seed=1"]))
    whole = tmp_path / "whole"
    shutil.copytree(squares / "validation", whole)
    clips = (Clip(UnlabelledSource(squares / "test" / "images"), False),)
    options = PackageOptions(
        squares, "terms", 4, "0.4", clips, others=(whole,), seeds=(second,), never_shown="circles, and squares at night"
    )
    facts = package_run(tiny_run, tmp_path / "p", options)
    card = (tmp_path / "p" / "card.md").read_text()
    assert "Never shown in training: circles, and squares at night" in card
    with contextlib.closing(open_engine(tmp_path / "p")) as engine:
        found = evaluate(engine, load_pairs(whole))
    sizes = {group.name: group for group in found.by_size}
    assert sizes["large"].image_count == 4, "16 of 40 pixels to either side are 16 % of the picture"
    line = next(line for line in card.splitlines() if line.startswith("| whole |"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:3] == ["4", f"{found.mean_dice:.4f}"]
    assert cells[5:7] == ["none", "none"]
    assert cells[7] == f"{sizes['large'].mean_dice:.4f}, {sizes['large'].found_share:.0%} of 4 found"
    for seed, run in ((0, tiny_run), (1, second)):
        engine = ShiftedEngine(engine_of(open_run(run)), 0.4)
        dice = [evaluate(engine, pairs).mean_dice for pairs in (load_pairs(squares, "test"), load_pairs(whole))]
        assert f"| {seed} | {dice[0]:.4f} | {dice[1]:.4f} |" in card
    values = [row.mean_dice[0] for row in facts.seeds]
    assert f"| mean | {np.mean(values):.4f}, sd {np.std(values, ddof=1):.4f} |" in card
    assert PACKAGE_CURVES in card and "(0.60)" in card
    drawn = ElementTree.parse(tmp_path / "p" / PACKAGE_CURVES).getroot()
    words = " ".join(element.text or "" for element in drawn.iter() if element.tag.endswith("text"))
    assert "Dice, test split" in words and "false alarms, images" in words


def test_the_same_seed_twice_is_no_spread(tiny_run: Path, squares: Path, tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match="no further seed"):
        package_run(tiny_run, tmp_path / "p", PackageOptions(squares, "terms", images=4, seeds=(tiny_run,)))
    assert not (tmp_path / "p").exists()


def test_curves_are_the_figures_at_each_threshold(tiny_run: Path, squares: Path) -> None:
    pairs, clip = load_pairs(squares, "test"), Clip(UnlabelledSource(squares / "test" / "images"), True)
    dice, finds = curves_of(engine_of(open_run(tiny_run)), pairs, [clip])
    assert (dice.kind, finds.kind) == ("dice", "find")
    for index in (3, 5, 12):
        engine = ShiftedEngine(engine_of(open_run(tiny_run)), THRESHOLDS[index])
        assert dice.values[index] == pytest.approx(evaluate(engine, pairs).mean_dice)
        masks = measure_frames(engine, clip.source)
        assert finds.values[index] == masks.share(row.counts for row in masks.rows)
    assert curves_to_svg([dice, finds], 0.7) == curves_to_svg([dice, finds], 0.7)


def test_the_bill_of_materials_lists_the_packages_files(package: Path) -> None:
    model = json.loads((package / PACKAGE_BILL).read_text())["metadata"]["component"]
    listed = {part["name"]: part["hashes"][0]["content"] for part in model["components"]}
    assert listed == {path.name: sha256_file(path) for path in package.iterdir() if path.name != PACKAGE_BILL}
    assert model["hashes"][0]["content"] == listed["model.onnx"]
    assert model["name"] == package.name
