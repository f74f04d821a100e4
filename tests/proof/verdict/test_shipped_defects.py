"""Engines of a shipped model with one defect each do not pass on real images, and the verdict names the cause."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgeseg.artifacts import EngineArtifact, Verdict
from edgeseg.calibration.ranges import calibrate
from edgeseg.dataset import Pair, load_images, load_pairs
from edgeseg.errors import MismatchError
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.frames import resize_to_network
from edgeseg.graph.onnx_files import OnnxArtifact, load_onnx, serialize, with_metadata
from edgeseg.images import write_png
from edgeseg.proof.evaluation.shifted_engine import ShiftedEngine
from edgeseg.proof.mapped_engine import MappedEngine
from edgeseg.proof.verdict.rules import limits_for
from edgeseg.proof.verdict.verification import verify
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.inputs import EngineInput, PackedFrame
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.specs import IMAGENET_MEAN, IMAGENET_STD

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("EDGESEG_DATA", ROOT.parent / "shared" / "data")) / "kvasir-seg"
MODEL, OTHER_MODEL = ROOT / "models" / "kvasir-ultra", ROOT / "models" / "kvasir-small"
REBUILDS = 50

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not DATA.is_dir(), reason="no kvasir-seg; EDGESEG_DATA names the data folder"),
]

Change = Callable[[np.ndarray], np.ndarray]


class ChangedFrames(MappedEngine):
    """An engine before which something else is done to the frames, as a preprocessing that went wrong.

    What comes resized already, for timing, passes through.
    """

    def __init__(self, engine: Engine, change: Change) -> None:
        super().__init__(engine)
        self._change = change

    def submit(self, frame: EngineInput) -> int | None:
        if not isinstance(frame, PackedFrame):
            return super().submit(frame)
        return super().submit(PackedFrame(np.ascontiguousarray(self._change(frame.pixels)), "rgb"))

    def mapped(self, segmented):
        return segmented


def swapped_colours(frame: np.ndarray) -> np.ndarray:
    return frame[..., ::-1]


def without_mean_and_std(frame: np.ndarray) -> np.ndarray:
    """The frame from which the graph's own normalisation makes values from 0 to 1."""
    return np.rint(255 * (np.array(IMAGENET_MEAN) + np.array(IMAGENET_STD) * frame / 255)).astype(np.uint8)


def half_a_pixel_aside(frame: np.ndarray) -> np.ndarray:
    """The network's input, sampled half a pixel away: corners where centres were meant."""
    small = resize_to_network(frame, 256, 256)
    matrix = np.array([[1, 0, 0.5], [0, 1, 0.5]], np.float32)
    return cv2.warpAffine(small, matrix, (256, 256), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def averaged_areas(frame: np.ndarray) -> np.ndarray:
    return cv2.resize(frame, (256, 256), interpolation=cv2.INTER_AREA)


def nearest_neighbours(frame: np.ndarray) -> np.ndarray:
    return cv2.resize(frame, (256, 256), interpolation=cv2.INTER_NEAREST)


Built = tuple[Path, EngineArtifact]


def built(folder: Path, model: Path, precision: str = "int8", calibration: Path | None = None) -> Built:
    out = folder / f"{model.stem}.{precision}.engine"
    options = BuildOptions(precision, "onnxruntime", calibration=calibration, out=out, keep_int8=precision == "int8")
    return out, build_engine(model, options).passport


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Built]:
    folder = tmp_path_factory.mktemp("engines")
    return {precision: built(folder, MODEL, precision) for precision in ("fp32", "int8")}


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    return load_pairs(DATA, "test")


@pytest.fixture(scope="module")
def artifact() -> OnnxArtifact:
    return load_onnx(MODEL / "model.onnx")


def verdict_on(
    pairs: Sequence[Pair], where: Built, defect: Callable[[Engine], Engine] | None = None, reference: Path = MODEL
) -> Verdict:
    path, passport = where
    engine = open_engine(path)
    limits = limits_for(engine.info.precision, None, None, max_lost_polyps=0)
    standard = open_engine(reference)
    try:
        return verify(defect(engine) if defect else engine, standard, pairs, limits, passport=passport)
    finally:
        engine.close()
        standard.close()


def failed_with(verdict: Verdict, cause: str) -> None:
    assert verdict.passed is not True
    assert any(cause in reason for reason in verdict.reasons), verdict.reasons


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_sound_engine_passes(pairs, engines, precision: str) -> None:
    verdict = verdict_on(pairs, engines[precision])
    assert verdict.passed is True, verdict.reasons


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (swapped_colours, "its colours are in the order BGR"),
        (without_mean_and_std, "normalised otherwise: values from 0 to 1, without mean"),
        (half_a_pixel_aside, "the engine's probabilities lie 0."),
        (nearest_neighbours, "the engine's probabilities lie 0."),
    ],
)
def test_another_preprocessing(pairs, engines, precision: str, change: Change, cause: str) -> None:
    failed_with(verdict_on(pairs, engines[precision], lambda engine: ChangedFrames(engine, change)), cause)


def test_another_resize_filter_in_float32(pairs, engines) -> None:
    """INT8 hides it: area averaging changes 0.2 % of the pixels, as rounding does."""
    verdict = verdict_on(pairs, engines["fp32"], lambda engine: ChangedFrames(engine, averaged_areas))
    failed_with(verdict, "its frames are resized by another filter: area averaging")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_threshold_of_two_fifths(pairs, engines, precision: str) -> None:
    verdict = verdict_on(pairs, engines[precision], lambda engine: ShiftedEngine(engine, 0.4))
    failed_with(verdict, "as if its threshold were 0.4")


def test_calibration_on_black_frames(pairs, artifact, tmp_path: Path) -> None:
    generator, images = np.random.default_rng(0), []
    for index in range(16):
        images.append(tmp_path / f"{index}.png")
        write_png(images[-1], generator.integers(0, 6, (256, 256, 3), dtype=np.uint8))
    table = tmp_path / "black.json"
    calibrate(artifact, images).write(table)
    failed_with(verdict_on(pairs, built(tmp_path, MODEL, calibration=table)), "were they calibrated on images like")


def test_one_range_ten_times_too_small(pairs, artifact, tmp_path: Path) -> None:
    table = calibrate(artifact, load_images(DATA, "train")[:16])
    name = sorted(table.ranges)[len(table.ranges) // 2]
    spoilt = table.ranges[name]
    small = spoilt.model_copy(update={field: getattr(spoilt, field) / 10 for field in ("minimum", "maximum", "amax")})
    path = tmp_path / "spoilt.json"
    table.model_copy(update={"ranges": table.ranges | {name: small}, "bias_shifts": None}).write(path)
    failed_with(verdict_on(pairs, built(tmp_path, MODEL, calibration=path)), "INT8 ranges")


def with_swapped_weights(artifact: OnnxArtifact) -> OnnxArtifact:
    """The weights of the first two layers of the same shape, exchanged."""
    proto = onnx.ModelProto()
    proto.CopyFrom(artifact.proto)
    seen: dict[tuple[int, ...], onnx.TensorProto] = {}
    for tensor in proto.graph.initializer:
        shape = tuple(tensor.dims)
        if len(shape) == 4 and shape[0] > 1 and shape[1] > 1:
            if shape in seen:
                one, other = (numpy_helper.to_array(each).copy() for each in (seen[shape], tensor))
                seen[shape].CopyFrom(numpy_helper.from_array(other, seen[shape].name))
                tensor.CopyFrom(numpy_helper.from_array(one, tensor.name))
                return replace(artifact, proto=proto)
            seen[shape] = tensor
    raise AssertionError("no two layers of one shape")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_swapped_weights_of_two_layers(pairs, artifact, tmp_path: Path, precision: str) -> None:
    wrong, table = tmp_path / "wrong.onnx", None
    wrong.write_bytes(serialize(with_metadata(with_swapped_weights(artifact).proto, artifact.metadata)))
    if precision == "int8":
        with pytest.raises(MismatchError, match="weights"):  # exit code 6
            built(tmp_path, wrong, calibration=MODEL / "model.calibration.json")
        table = tmp_path / "wrong.calibration.json"
        calibrate(load_onnx(wrong), load_images(DATA, "train")[:16]).write(table)
    failed_with(verdict_on(pairs, built(tmp_path, wrong, precision, table)), "not built from the reference's file")


@pytest.mark.parametrize(("model", "reference"), [(MODEL, OTHER_MODEL), (OTHER_MODEL, MODEL)])
def test_the_engine_of_another_model(pairs, tmp_path: Path, model: Path, reference: Path) -> None:
    """The better one is undecided: its gain is more than chance explains."""
    verdict = verdict_on(pairs, built(tmp_path, model), reference=reference)
    failed_with(verdict, "not built from the reference's file")


@pytest.mark.timeout(3600)
def test_no_honest_rebuild_raises_an_alarm(pairs, artifact, tmp_path: Path) -> None:
    """Other calibration images each time; the smallest limits that `verify` has for INT8, and no polyp lost."""
    images, outcomes = load_images(DATA, "train"), []
    for seed in range(REBUILDS):
        drawn = np.random.default_rng(seed).choice(len(images), 16, replace=False)
        table = tmp_path / f"{seed}.json"
        calibrate(artifact, [images[index] for index in sorted(drawn)]).write(table)
        verdict = verdict_on(pairs, built(tmp_path, MODEL, calibration=table))
        print(seed, verdict.passed, f"{verdict.mean_dice_drop:+.4f}", verdict.systematic)
        outcomes.append((verdict.passed, verdict.reasons))
    assert all(passed is True for passed, _ in outcomes), [one for one in outcomes if one[0] is not True]
