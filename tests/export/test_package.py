from pathlib import Path

import onnx
import pytest

from edgeseg.dataset import load_pairs
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.export.package.card import Clip
from edgeseg.export.package.packaging import PackageOptions, package_run
from edgeseg.files import UnwritableError
from edgeseg.packages import PACKAGE_STATISTICS, find_model
from edgeseg.proof.evaluation.frame_masks import UnlabelledSource, measure_frames
from edgeseg.proof.verdict.evaluation import evaluate
from edgeseg.runtime.file.frame_choice import FrameChoice
from edgeseg.runtime.live.scene.statistics import TrainingStatistics, statistics_of_folder
from edgeseg.runtime.opener.engine_from_file import open_engine

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
