"""A recipe with `model.mirroring`, from training to the INT8 graph."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from edgeseg.calibration.placement import default_plan
from edgeseg.calibration.quantise import quantise
from edgeseg.calibration.ranges import calibrate
from edgeseg.dataset import load_images
from edgeseg.export.torch.onnx_from_run import export_run
from edgeseg.export.torch.qat_start import starting_point
from edgeseg.graph.mirroring import has_mirroring
from edgeseg.graph.onnx_files import load_onnx, serialize
from edgeseg.specs import PreprocessSpec
from edgeseg.train.checkpoint import load_best
from edgeseg.train.distillation import teacher_from_models
from edgeseg.train.network import NormalisedNetwork
from edgeseg.train.predictor import open_run
from edgeseg.train.qat.fake_quantised_network import STYLES
from edgeseg.train.qat.qat_recipe import qat_recipe
from edgeseg.train.recipe import Recipe, read_recipe
from edgeseg.train.starting_weights import starting_weights
from edgeseg.train.training import train
from tests.train.conftest import TINY_SETTINGS

RUN, ALONE = "mirrored", "alone"


def recipe_of(name: str) -> Recipe:
    mirroring = f"model.mirroring={str(name == RUN).lower()}"
    return read_recipe(None, [*TINY_SETTINGS, "training.keep=last", "training.learning_rate=1e-2", mirroring])


@pytest.fixture(scope="module")
def runs(blobs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name in (RUN, ALONE):
        train(blobs, folder / name, recipe_of(name))
    return folder


def frames() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)


class TwoHeads(nn.Module):
    """Gives auxiliary logits besides."""

    def __init__(self) -> None:
        super().__init__()
        self.main, self.auxiliary = nn.Conv2d(3, 1, 5, padding=2), nn.Conv2d(3, 1, 1)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.main(images), self.auxiliary(images)


def test_training_sees_the_network_alone() -> None:
    network, images = TwoHeads(), torch.rand(2, 3, 16, 16)
    mirrored, alone = (NormalisedNetwork(network, PreprocessSpec(), mirroring) for mirroring in (True, False))
    with torch.no_grad():
        torch.testing.assert_close(mirrored.train()(images), alone.train()(images))
        direct, turned = alone.eval()(images), alone.eval()(images.flip(3)).flip(3)
        torch.testing.assert_close(mirrored.eval()(images), (direct + turned) / 2)
        assert (direct - turned).abs().mean() > 0.01


def test_weights_are_those_of_a_training_without_it(runs: Path) -> None:
    mirrored, alone = (load_best(runs / name)[1] for name in (RUN, ALONE))
    assert mirrored.keys() == alone.keys()
    assert all(torch.equal(mirrored[name], alone[name]) for name in alone)


def test_the_exported_graph_answers_as_the_run_does(runs: Path, tmp_path: Path) -> None:
    for name in (RUN, ALONE):
        export_run(runs / name, tmp_path / f"{name}.onnx", [frames()], threshold="0.7")
        assert has_mirroring(load_onnx(tmp_path / f"{name}.onnx").proto) == (name == RUN)
    mirrored, alone = (open_run(runs / name).infer(frames()) for name in (RUN, ALONE))
    assert np.abs(mirrored - alone).max() > 0.01


def test_weights_come_back_out_of_a_mirrored_graph(runs: Path, blobs: Path, tmp_path: Path) -> None:
    export_run(runs / RUN, tmp_path / "model.onnx")
    begin = starting_weights([tmp_path / "model.onnx"], recipe_of(RUN), blobs)
    assert begin is not None
    network = open_run(runs / RUN).network
    expected = network(torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)))
    network.network.load_state_dict(begin.weights, strict=False)
    found = network.eval()(torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_as_a_teacher_it_answers_mirrored(runs: Path) -> None:
    images, masks = torch.rand(2, 3, 32, 32), torch.ones(2, 1, 32, 32)
    answers = []
    for name in (RUN, ALONE):
        teacher = teacher_from_models([runs / name], 1.0, recipe_of(name).model_spec())
        assert teacher is not None
        answers.append(teacher.targets(images, masks))
    turned = teacher.targets(images.flip(3), masks).flip(3)
    torch.testing.assert_close(answers[0].logit(), (answers[1].logit() + turned.logit()) / 2, rtol=1e-3, atol=1e-3)


def test_ranges_of_a_quantisation_aware_training_fit_the_mirrored_graph(
    runs: Path, blobs: Path, tmp_path: Path
) -> None:
    recipe = qat_recipe(runs / RUN, ["training.epochs=1"])
    train(blobs, tmp_path / "int8", recipe, qat=starting_point(runs / RUN, blobs))
    metadata = export_run(tmp_path / "int8", tmp_path / "model.onnx", [frames()])
    artifact = load_onnx(tmp_path / "model.onnx")
    assert has_mirroring(artifact.proto)
    assert metadata.trained_ranges is not None
    table = calibrate(artifact, load_images(blobs, "train"))
    assert table.trained == len(metadata.trained_ranges.ranges) > 5
    quantised = quantise(artifact, table, STYLES["cpu"], default_plan(artifact.proto, "int8", "fp32")).proto
    engine = onnxruntime.InferenceSession(serialize(quantised), providers=["CPUExecutionProvider"])
    found = engine.run(None, {"frame": frames()})[0]
    assert np.abs(found - open_run(tmp_path / "int8").infer(frames())).mean() < 0.02
