"""Every network of the catalogue on its way to an engine; a new entry is tested by being there."""

import copy
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from edgeseg.artifacts import CalibrationTable
from edgeseg.calibration.placement import default_plan
from edgeseg.calibration.quantise import quantise
from edgeseg.calibration.ranges import calibrate
from edgeseg.export.builder_choice import builder_for
from edgeseg.export.builders.builder import BuildRequest
from edgeseg.export.builders.onnxruntime_builder import OnnxRuntimeBuilder
from edgeseg.export.parity import DECIDING, LARGEST_DECIDED_DIFFERENCE, MAX_PROBABILITY_DIFFERENCE
from edgeseg.export.torch.onnx_from_run import onnx_from_session
from edgeseg.export.torch.qat_start import folded_and_traced
from edgeseg.graph.onnx_files import OnnxArtifact, serialize
from edgeseg.images import write_png
from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession
from edgeseg.specs import Int8Target
from edgeseg.train.architectures.catalogue import ARCHITECTURES
from edgeseg.train.architectures.registry import network_from_recipe
from edgeseg.train.architectures.segnet import first_maxima, max_unpool
from edgeseg.train.network import NormalisedNetwork
from edgeseg.train.predictor import TorchSession, session_from_network
from edgeseg.train.qat.fake_quantised_network import STYLES, FakeQuantisedNetwork
from edgeseg.train.qat.starting_point import StartingPoint
from edgeseg.train.recipe import read_recipe
from edgeseg.train.record import RunRecord

pytestmark = pytest.mark.slow
SIZE, STEPS = 64, 15
CLASSES = 'model.classes=["background", "disc"]'
VARIANTS = {
    **{name: [f"model.architecture={name}"] for name in ARCHITECTURES},
    "lite0-unet separable, half size, context": [
        "model.architecture=lite0-unet",
        "model.decoder=separable",
        "model.decoder_widths=[32, 24, 16, 8]",
        "model.context_width=32",
    ],
    "the paper's unet, quarter width": ["model.batch_norm=false", "model.upsampling=transposed"],
    "mirroring": ["model.mirroring=true"],
    "softmax": [CLASSES, "training.loss=cross-entropy"],
}
RECORD = RunRecord(
    finished=True,
    epochs=1,
    best_epoch=1,
    best_validation_dice=0.5,
    data_sha256="",
    recipe_sha256="",
    seed=0,
    parameters=0,
    tools={},
)


def pictures() -> tuple[np.ndarray, np.ndarray]:
    """Smooth coloured pictures uint8 [8,H,W,3], each with a bright disc, and where the discs are, bool [8,H,W]."""
    rng, images, discs = np.random.default_rng(5), [], []
    rows, columns = np.mgrid[:SIZE, :SIZE] / SIZE
    for _ in range(8):
        row, column, radius = rng.uniform((0.2, 0.2, 0.15), (0.8, 0.8, 0.35))
        disc = (rows - row) ** 2 + (columns - column) ** 2 < radius**2
        image = 60 + 60 * np.stack([rows, columns, rows * columns], axis=-1) + disc[..., None] * rng.uniform(40, 100, 3)
        images.append((image + rng.normal(0, 4, image.shape)).clip(0, 255).astype(np.uint8))
        discs.append(disc)
    return np.stack(images), np.stack(discs)


def fitted(settings: list[str], frames: np.ndarray, discs: np.ndarray) -> TorchSession:
    """A network after a few steps on these pictures: one whose activations look like those of a trained one."""
    recipe = read_recipe(None, [*settings, f"model.height={SIZE}", f"model.width={SIZE}"])
    torch.manual_seed(0)
    bare = network_from_recipe(recipe.model, pretrained=False)
    network = NormalisedNetwork(bare, recipe.preprocess_spec(), recipe.model.mirroring).train()
    optimiser = torch.optim.AdamW(network.parameters(), 5e-3)
    images = torch.from_numpy(frames).permute(0, 3, 1, 2) / 255.0
    targets = torch.from_numpy(discs).unsqueeze(1).float()
    for _ in range(STEPS):
        logits = network(images)
        if recipe.model.classes:
            loss = torch.nn.functional.cross_entropy(logits, targets[:, 0].long())
        else:
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the plain mean over the batches seen
    with torch.no_grad():
        network(images)
    return session_from_network(network.eval(), recipe.model_spec(), recipe.preprocess_spec(), "")


@dataclass(frozen=True)
class Exported:
    """A network before and after its export, and a calibration table for it."""

    session: TorchSession
    artifact: OnnxArtifact
    table: CalibrationTable
    frames: np.ndarray
    discs: np.ndarray

    @property
    def convolutions(self) -> int:
        return sum(node.op_type == "Conv" for node in self.artifact.proto.graph.node)

    @property
    def ends(self) -> int:
        """The first and the last convolution, of each network where the graph holds several."""
        return 2 * max(1, len(ARCHITECTURES[self.artifact.metadata.model.architecture].parts))


LONG_TO_EXPORT = ("lite2-unet", "lite0-unet separable, half size, context")
"""PyTorch's exporter takes 20 s over each."""


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.long if name in LONG_TO_EXPORT else ()) for name in VARIANTS],
)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("exported")
    frames, discs = pictures()
    session = fitted(VARIANTS[request.param], frames, discs)
    metadata, proto = onnx_from_session(session, RECORD, [frames], folder / "model.onnx")
    artifact = OnnxArtifact(folder / "model.onnx", "", metadata, proto)
    images = [folder / f"{index}.png" for index in range(len(frames))]
    for path, frame in zip(images, frames, strict=True):
        write_png(path, frame)
    return Exported(session, artifact, calibrate(artifact, images), frames, discs)


def test_the_export_is_a_valid_graph_of_the_same_weights(exported: Exported) -> None:
    proto, metadata = exported.artifact.proto, exported.artifact.metadata
    decides = any(node.op_type in DECIDING for node in proto.graph.node)
    assert decides == (metadata.model.architecture == "segnet")
    limit = LARGEST_DECIDED_DIFFERENCE if decides else MAX_PROBABILITY_DIFFERENCE
    assert metadata.provenance.metrics["max_probability_difference"] <= limit
    onnx.checker.check_model(proto, full_check=True)
    _check_weights(exported.session.network.network, proto)


def test_int8_keeps_what_pytorch_computes(exported: Exported) -> None:
    built = OnnxRuntimeBuilder().build(BuildRequest(exported.artifact, "int8", exported.table))
    assert built.int8_convolutions == exported.convolutions - exported.ends
    expected = exported.session.infer(exported.frames)
    assert expected.shape == (len(exported.frames), exported.session.info.model.channels, SIZE, SIZE)
    assert ((expected[:, -1] >= 0.5) == exported.discs).mean() > 0.9  # else masks that agree would say little
    got = OnnxRuntimeSession(built.data, exported.session.info).infer(exported.frames)
    assert ((got >= 0.5) != (expected >= 0.5)).mean() < 0.01
    assert np.abs(got - expected).mean() < 0.02


@pytest.mark.long
@pytest.mark.parametrize("target", STYLES)
def test_fake_quantisation_computes_the_q_dq_graph(exported: Exported, target: Int8Target) -> None:
    """As PyTorch simulates it in training, and as ONNX Runtime computes it node by node.

    Sums in another order put a few values, on the border of two levels, to the other side.
    """
    info = exported.session.info
    network = copy.deepcopy(exported.session.network)
    session = session_from_network(network, info.model, info.preprocess, "")
    artifact, parameters = folded_and_traced(session, Path("run"))
    table = exported.table.model_copy(update={"weights_sha256": artifact.weights_sha256})
    recipe = read_recipe(None, [f"training.qat_target={target}"])
    start = StartingPoint(recipe, "", network.network, artifact, table, parameters)
    with torch.no_grad():
        found = FakeQuantisedNetwork(start, recipe).probability(torch.from_numpy(exported.frames)).numpy()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    proto = quantise(artifact, table, STYLES[target], default_plan(artifact.proto, "int8", "fp32")).proto
    session_as_written = onnxruntime.InferenceSession(serialize(proto), options, providers=["CPUExecutionProvider"])
    difference = np.abs(found - session_as_written.run(None, {"frame": exported.frames})[0])
    print(f"{info.model.architecture}, {target}: {(difference > 1e-5).mean():.2%} differ, mean {difference.mean():.1e}")
    assert difference.mean() < 2e-3
    assert np.median(difference) < 1e-4


def test_tensorrt_rtx_builds_it_in_int8(exported: Exported) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed (extra `rtx`, Linux x86-64)")
    built = builder_for("tensorrt-rtx")[0].build(BuildRequest(exported.artifact, "int8", exported.table))
    graph = exported.artifact.proto.graph
    grouped = sum(any(a.name == "group" and a.i > 1 for a in node.attribute) for node in graph.node)
    of_means = sum(node.op_type == "ReduceMean" for node in graph.node)  # each is read by one convolution of one pixel
    assert built.int8_convolutions == exported.convolutions - exported.ends - grouped - of_means


def _check_weights(network: torch.nn.Module, proto: onnx.ModelProto) -> None:
    """Batch norm went into the convolutions: their weights and one bias a channel are all that is left."""
    assert not any(node.op_type in ("BatchNormalization", "Pad") for node in proto.graph.node)
    expected = sum(
        module.weight.numel() + module.out_channels
        for module in network.modules()
        if isinstance(module, torch.nn.Conv2d)
    )
    sizes = {tensor.name: math.prod(tensor.dims) for tensor in proto.graph.initializer}
    used = {name for node in proto.graph.node if node.op_type == "Conv" for name in node.input[1:]}
    assert sum(sizes[name] for name in used) == expected


class _Unpooling(torch.nn.Module):
    """Pooling and unpooling by masks, as SegNet has them, of a picture's own planes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = torch.nn.functional.max_pool2d(x, 2)
        return max_unpool(pooled, first_maxima(x, pooled))


def test_unpooling_in_onnx_runtime_is_torchs_max_unpool(tmp_path: Path) -> None:
    """Four grey values, so that nearly every window has a tie."""
    x = torch.from_numpy(np.random.default_rng(9).integers(0, 4, (2, 3, 16, 24)).astype(np.float32))
    torch.onnx.export(_Unpooling(), (x,), str(tmp_path / "unpool.onnx"), dynamo=True, opset_version=20, verbose=False)
    session = onnxruntime.InferenceSession(str(tmp_path / "unpool.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    pooled, indices = torch.nn.functional.max_pool2d(x, 2, return_indices=True)
    assert np.array_equal(found, torch.nn.functional.max_unpool2d(pooled, indices, 2).numpy())
