"""The way of a quantisation-aware training, from one RUN to the engine of another."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from starting_points import computed, qdq_graph

from edgeseg.artifacts import AsymmetryTrial, CalibrationTable
from edgeseg.calibration import ranges
from edgeseg.calibration.placement import default_plan
from edgeseg.calibration.quantise import quantise
from edgeseg.calibration.ranges import calibrate
from edgeseg.dataset import load_images, load_pairs
from edgeseg.errors import BadInputError, MismatchError, UsageError
from edgeseg.export.torch.onnx_from_run import export_run
from edgeseg.export.torch.qat_start import folded_and_traced, starting_point
from edgeseg.graph.onnx_files import load_onnx, serialize
from edgeseg.proof.verdict.evaluation import mean_overlap_of
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession
from edgeseg.train import checkpoint
from edgeseg.train.predictor import open_run
from edgeseg.train.processes import Launch
from edgeseg.train.qat.fake_quantised_network import STYLES, FakeQuantisedNetwork
from edgeseg.train.qat.qat_recipe import qat_recipe
from edgeseg.train.qat.starting_point import StartingPoint
from edgeseg.train.recipe import Recipe, read_recipe
from edgeseg.train.record import Epoch, RunRecord
from edgeseg.train.training import train

TINY_SETTINGS = (
    "model.height=32",
    "model.width=32",
    "model.base_width=4",
    "model.depth=2",
    "training.batch_size=4",
    "training.learning_rate=1e-2",
    "training.precision=32-true",
)


class StopError(Exception):
    """Cuts a training off."""


@pytest.fixture(scope="module")
def float_run(blobs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("float") / "run"
    train(blobs, run, read_recipe(None, [*TINY_SETTINGS, "training.epochs=2"]))
    return run


@pytest.fixture(scope="module")
def traced(float_run: Path, blobs: Path) -> StartingPoint:
    return starting_point(float_run, blobs)


@pytest.fixture
def begin(traced: StartingPoint) -> Callable[[], StartingPoint]:
    """The same starting point anew: training changes its network."""

    def fresh() -> StartingPoint:
        return StartingPoint(**{**vars(traced), "network": copy.deepcopy(traced.network)})

    return fresh


def test_training_begins_with_ranges_alone(float_run: Path, blobs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A calibration chooses more than ranges; training does not, and with that would simulate another graph."""
    trial = AsymmetryTrial(
        image_count=1, tensors=1, symmetric_flipped_share=1, asymmetric_flipped_share=0, asymmetric=True
    )
    monkeypatch.setattr(ranges, "bias_shifts", lambda artifact, *_: {artifact.proto.graph.node[0].name: (1.0,)})
    monkeypatch.setattr(ranges, "try_asymmetry", lambda *_: trial)
    table = starting_point(float_run, blobs).table
    assert (table.bias_shifts, table.asymmetry) == (None, None)


@pytest.mark.parametrize("target", STYLES)
def test_the_exported_graph_is_the_one_that_was_trained(
    target: str, blobs: Path, float_run: Path, begin: Callable[[], StartingPoint], tmp_path: Path
) -> None:
    run, model = tmp_path / "run", tmp_path / "model.onnx"
    recipe = qat_recipe(float_run, ["training.epochs=2", f"training.qat_target={target}", "training.ema_decay=0.5"])
    record = train(blobs, run, recipe, qat=begin())
    assert record.qat_sha256 == checkpoint_hash(float_run)
    metadata = export_run(run, model)
    artifact = load_onnx(model)
    table = calibrate(artifact, load_images(blobs, "train"))
    trained = metadata.trained_ranges
    assert trained is not None
    assert (trained.target, trained.source_sha256) == (target, record.qat_sha256)
    assert table.trained == len(trained.ranges) > 5
    assert {name: (seen.minimum, seen.maximum, seen.amax) for name, seen in table.ranges.items()}.items() >= (
        trained.ranges.items()
    )
    plan = default_plan(artifact.proto, "int8", "fp32")
    built = quantise(artifact, table, STYLES[recipe.training.qat_target], plan).proto
    simulated, start = reopened(run, table)
    assert weights_of(built) == weights_of(qdq_graph(simulated, start))  # levels, scales, zero points: to the bit
    frames = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    with torch.no_grad():
        found = simulated.probability(torch.from_numpy(frames)).numpy()
    difference = np.abs(found - computed(built, frames, as_written=True))
    assert (difference > 1e-5).mean() < 0.1 and difference.max() < 0.1
    in_engine = np.abs(found - computed(built, frames, as_written=False))
    assert in_engine.mean() < 0.01


def checkpoint_hash(run: Path) -> str:
    return open_run(run).info.sha256


def reopened(run: Path, table: CalibrationTable) -> tuple[FakeQuantisedNetwork, StartingPoint]:
    """A finished RUN as it was computed in training."""
    session = open_run(run)
    artifact, parameters = folded_and_traced(session, run)
    recipe = read_recipe(run / "recipe.toml")
    start = StartingPoint(recipe, "", session.network.network, artifact, table, parameters)
    network = FakeQuantisedNetwork(start, recipe)
    network.take_beside_weights(checkpoint.load(run / "best.pt"))
    return network, start


def weights_of(proto: onnx.ModelProto) -> dict[str, tuple[str, bytes]]:
    """Type and bytes of every constant."""
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    return {name: (str(values.dtype), values.tobytes()) for name, values in arrays.items()}


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_resumed_equals_uninterrupted(
    average: float, blobs: Path, float_run: Path, begin: Callable[[], StartingPoint], tmp_path: Path
) -> None:
    recipe = qat_recipe(float_run, ["training.epochs=3", f"training.ema_decay={average}"])

    def stop(row: Epoch, record: RunRecord) -> None:
        raise StopError

    train(blobs, tmp_path / "whole", recipe, qat=begin())
    with pytest.raises(StopError):
        train(blobs, tmp_path / "cut", recipe, qat=begin(), report=stop)
    train(blobs, tmp_path / "cut", recipe, qat=begin(), resume=True)
    for name in ("last.pt", "best.pt"):
        whole, cut = (checkpoint.load(tmp_path / run / name) for run in ("whole", "cut"))
        assert all(torch.equal(values, cut["network"][key]) for key, values in whole["network"].items())
        assert torch.equal(whole["int8"]["shift"], cut["int8"]["shift"])
        assert whole["int8"]["trained"] == cut["int8"]["trained"]
        assert whole["int8"]["shift"].any()


def test_batch_norm_and_float_runs_stay_as_they_are(
    blobs: Path, float_run: Path, begin: Callable[[], StartingPoint], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train(blobs, run, qat_recipe(float_run, ["training.epochs=1"]), qat=begin())
    before, after = (checkpoint.load(folder / "best.pt") for folder in (float_run, run))
    assert before["network"].keys() == after["network"].keys()
    for name, values in after["network"].items():
        if name.endswith("running_mean"):
            assert not values.any()
        if name.endswith("running_var"):
            assert torch.equal(values, torch.full_like(values, 1 - 1e-5))
    assert "int8" not in before
    assert RunRecord.read(float_run / "run.json").qat_sha256 is None


def test_resuming_without_the_run_is_refused(
    blobs: Path, float_run: Path, begin: Callable[[], StartingPoint], tmp_path: Path
) -> None:
    recipe = qat_recipe(float_run, ["training.epochs=1"])
    train(blobs, tmp_path / "run", recipe, qat=begin())
    with pytest.raises(MismatchError, match="started with --qat") as caught:
        train(blobs, tmp_path / "run", recipe, resume=True)
    assert "--qat RUN" in str(caught.value.next_command)


def test_what_does_not_go_together_is_refused(
    blobs: Path, float_run: Path, begin: Callable[[], StartingPoint], tmp_path: Path
) -> None:
    def attempt(*settings: str, **options: object) -> None:
        recipe = qat_recipe(float_run, settings)
        train(blobs, tmp_path / "run", recipe, qat=begin(), **options)  # type: ignore[arg-type]

    with pytest.raises(UsageError, match="--start"):
        attempt(starts=[float_run])
    with pytest.raises(UsageError, match="--devices"):
        attempt(launch=Launch(2))
    with pytest.raises(UsageError, match="precision=bf16-mixed"):
        attempt("training.precision=bf16-mixed")
    with pytest.raises(UsageError, match="sizes") as caught:
        attempt("training.sizes=[32, 64]")
    assert caught.value.next_command == "--set training.sizes=[]"
    with pytest.raises(MismatchError, match="another network") as mismatch:
        attempt("model.base_width=8")
    assert (mismatch.value.found, mismatch.value.expected) == ("model.base_width=8", "model.base_width=4")
    assert not (tmp_path / "run").exists()


def test_the_recipe_is_the_runs_own_but_short_and_gentle(float_run: Path, tmp_path: Path) -> None:
    own, short = read_recipe(float_run / "recipe.toml"), qat_recipe(float_run, ["training.seed=3"])
    assert short.training.epochs == 5
    assert short.training.learning_rate == pytest.approx(own.training.learning_rate / 10)
    assert (short.training.seed, short.training.precision) == (3, "32-true")
    kept = {"epochs": 2, "learning_rate": own.training.learning_rate, "seed": 0, "precision": own.training.precision}
    restored = short.model_copy(update={"training": short.training.model_copy(update=kept)})
    assert restored == own
    with pytest.raises(BadInputError, match="is no RUN folder"):
        qat_recipe(tmp_path / "nothing")


def test_a_recipe_of_its_own_need_not_say_its_precision(
    blobs: Path, begin: Callable[[], StartingPoint], tmp_path: Path
) -> None:
    recipe: Recipe = read_recipe(None, [*TINY_SETTINGS, "training.epochs=1"])
    train(blobs, tmp_path / "run", recipe, qat=begin())
    assert read_recipe(tmp_path / "run" / "recipe.toml").training.precision == "32-true"


def with_hard_ranges(run: Path) -> None:
    """Scale channels by factors from 1/256 to 256 and undo it in the convolution that reads them.

    In float nothing changes. In INT8 one range must serve all channels of a tensor and one scale all weights of an
    output channel, so that most of them are rounded away (Nagel et al., 2019, arXiv:1906.04721).
    """
    content = checkpoint.load(run / "best.pt")
    weights = content["network"]
    rng = np.random.default_rng(0)
    for name in [name for name in weights if name.endswith("0.0.weight") and weights[name].ndim == 4]:
        block = name.removesuffix("0.0.weight")
        after = f"{block}1.0.weight"
        if after not in weights:
            continue
        factors = torch.from_numpy(2.0 ** rng.uniform(-8, 8, len(weights[name]))).float()
        weights[f"{block}0.1.weight"] *= factors
        weights[f"{block}0.1.bias"] *= factors
        weights[after] /= factors.view(1, -1, 1, 1)
    checkpoint.save(run / "best.pt", content)


def int8_dice(run: Path, blobs: Path, folder: Path, method: str = "max") -> tuple[float, float]:
    """Mean validation Dice of a RUN's float32 graph and of its INT8 graph."""
    model = folder / f"{run.name}-{method}.onnx"
    export_run(run, model)
    artifact = load_onnx(model)
    table = calibrate(artifact, load_images(blobs, "train"), method=method)
    info = SessionInfo(artifact.metadata.model, artifact.metadata.preprocess, "onnxruntime", "int8", "")
    graphs = artifact.proto, quantise(artifact, table, STYLES["cpu"]).proto
    pairs = load_pairs(blobs, "test")
    found = [mean_overlap_of(engine_of(OnnxRuntimeSession(serialize(graph), info)), pairs)[0] for graph in graphs]
    return found[0], found[1]


@pytest.mark.long
def test_training_recovers_what_calibration_loses(blobs: Path, tmp_path: Path) -> None:
    hard, run = tmp_path / "hard", tmp_path / "qat"
    train(blobs, hard, read_recipe(None, [*TINY_SETTINGS, "training.epochs=60"]))
    with_hard_ranges(hard)
    exact, calibrated = int8_dice(hard, blobs, tmp_path)
    best = max(calibrated, int8_dice(hard, blobs, tmp_path, "mse")[1])
    assert exact > 0.85
    assert best < exact - 0.1
    train(blobs, run, qat_recipe(hard, ["training.epochs=60"]), qat=starting_point(hard, blobs))
    trained = int8_dice(run, blobs, tmp_path)[1]
    print(f"float32 {exact:.3f}, calibrated {calibrated:.3f} (best of max and mse {best:.3f}), trained {trained:.3f}")
    assert trained > exact - 0.05
