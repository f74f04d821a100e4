"""A RUN exported or packaged at a threshold: masks of the trained network at that threshold, from 0.5 on."""

from pathlib import Path

import numpy as np
import pytest

from edgeseg.dataset import load_pairs
from edgeseg.errors import MismatchError, UsageError
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.export.package.packaging import PackageOptions, package_run
from edgeseg.export.torch.onnx_from_run import export_run
from edgeseg.export.torch.parity_inputs import parity_inputs
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.proof.evaluation.shifted_engine import ShiftedEngine
from edgeseg.proof.evaluation.threshold_choice import choose_threshold
from edgeseg.proof.verdict.evaluation import evaluate
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.runtime.engine.one_frame import probability_of
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.train.predictor import open_run


def between(run: Path, squares: Path, quantile: float) -> float:
    """A threshold with that share of the test pixels' probabilities below it; the tiny network is sure of nothing."""
    session = engine_of(open_run(run))
    values = [probability_of(session, PackedFrame(pair.read()[0], "rgb")) for pair in load_pairs(squares, "test")]
    return round(float(np.quantile(values, quantile)), 4)


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_masks_are_those_of_the_trained_network_at_the_threshold(
    tiny_run: Path, squares: Path, tmp_path: Path, quantile: float
) -> None:
    threshold = between(tiny_run, squares, quantile)
    frames = parity_inputs(squares, open_run(tiny_run).info.model)
    metadata = export_run(tiny_run, tmp_path / "m.onnx", frames, str(threshold))
    assert metadata.provenance.threshold == threshold
    assert load_onnx(tmp_path / "m.onnx").metadata.provenance.threshold == threshold
    for frame in frames:
        trained, exported = open_run(tiny_run).infer(frame), open_engine(tmp_path / "m.onnx").infer(frame)
        sure = np.abs(trained - threshold) > 1e-5
        np.testing.assert_array_equal((exported >= 0.5)[sure], (trained >= threshold)[sure])
        assert 0.02 < (exported >= 0.5).mean() < 0.98


def test_a_threshold_of_one_half_is_the_export_without(tiny_run: Path, tmp_path: Path) -> None:
    assert export_run(tiny_run, tmp_path / "a.onnx").provenance.threshold == 0.5
    export_run(tiny_run, tmp_path / "b.onnx", threshold="0.5")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_a_choice_is_for_the_run_that_it_was_made_on(tiny_run: Path, squares: Path, tmp_path: Path) -> None:
    choice = choose_threshold(engine_of(open_run(tiny_run)), load_pairs(squares, "validation"), thresholds=(0.3, 0.6))
    choice.write(tmp_path / "threshold.json")
    metadata = export_run(tiny_run, tmp_path / "m.onnx", threshold=str(tmp_path / "threshold.json"))
    assert metadata.provenance.threshold == choice.threshold
    choice.model_copy(update={"model_sha256": "0" * 64}).write(tmp_path / "threshold.json")
    with pytest.raises(MismatchError):
        export_run(tiny_run, tmp_path / "other.onnx", threshold=str(tmp_path / "threshold.json"))
    assert not (tmp_path / "other.onnx").exists()


def test_what_is_no_threshold(tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        export_run(tiny_run, tmp_path / "m.onnx", threshold="1.2")


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_package_and_its_engines_keep_the_threshold(
    tiny_run: Path, squares: Path, tmp_path: Path, precision: str
) -> None:
    threshold = between(tiny_run, squares, 0.7)
    options = PackageOptions(squares, "terms", images=4, threshold=str(threshold))
    package_run(tiny_run, tmp_path / "p", options)
    assert f"which is {threshold:g} of the network as trained" in (tmp_path / "p" / "card.md").read_text()
    build_engine(tmp_path / "p", BuildOptions(precision, out=tmp_path / "x.engine"))
    pairs = load_pairs(squares, "test")
    engine = evaluate(open_engine(tmp_path / "x.engine"), pairs)
    trained = evaluate(ShiftedEngine(engine_of(open_run(tiny_run)), threshold), pairs)
    unmoved = evaluate(engine_of(open_run(tiny_run)), pairs)
    assert engine.mean_dice == pytest.approx(trained.mean_dice, abs=0.02)
    areas = [np.mean([score.mask_share for score in each.per_image]) for each in (engine, trained, unmoved)]
    assert areas[0] == pytest.approx(areas[1], abs=0.05)
    assert abs(areas[2] - areas[1]) > 0.2  # the threshold shows
