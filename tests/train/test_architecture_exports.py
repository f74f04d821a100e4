"""Every network of the catalogue on its way to an engine; a new entry is tested by being there."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from edgeseg.calibration.ranges import calibrate
from edgeseg.export.builders.builder import BuildRequest
from edgeseg.export.builders.onnxruntime_builder import OnnxRuntimeBuilder
from edgeseg.export.onnx_from_run import onnx_from_session
from edgeseg.export.parity import MAX_PROBABILITY_DIFFERENCE
from edgeseg.graph.cost import parameter_count
from edgeseg.graph.files import OnnxArtifact
from edgeseg.images import read_rgb, write_png
from edgeseg.runtime.backends.onnxruntime_session import OnnxRuntimeSession
from edgeseg.train.architectures.catalogue import ARCHITECTURES
from edgeseg.train.architectures.registry import network_from_recipe
from edgeseg.train.network import NormalisedNetwork
from edgeseg.train.predictor import TorchSession, session_from_network
from edgeseg.train.recipe import read_recipe
from edgeseg.train.record import RunRecord

SIZE = 64
VARIANTS = {
    **{name: [f"model.architecture={name}"] for name in ARCHITECTURES},
    "lite0-unet separable, half size, context": [
        "model.architecture=lite0-unet",
        "model.decoder=separable",
        "model.decoder_widths=[32, 24, 16, 8]",
        "model.context_width=32",
    ],
    "lite0-unet, quarter size": ["model.architecture=lite0-unet", "model.decoder_widths=[16, 16, 16]"],
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


def pictures(folder: Path) -> list[Path]:
    """Smooth coloured pictures, each with a bright disc."""
    rng, paths = np.random.default_rng(5), []
    rows, columns = np.mgrid[:SIZE, :SIZE] / SIZE
    for index in range(8):
        row, column, radius = rng.uniform(0.2, 0.8, 2).tolist() + [rng.uniform(0.1, 0.35)]
        disc = ((rows - row) ** 2 + (columns - column) ** 2 < radius**2)[..., None]
        image = 60 + 60 * np.stack([rows, columns, rows * columns], axis=-1) + disc * rng.uniform(40, 100, 3)
        paths.append(folder / f"{index}.png")
        write_png(paths[-1], (image + rng.normal(0, 4, image.shape)).clip(0, 255).astype(np.uint8))
    return paths


def lively(settings: list[str]) -> TorchSession:
    """An untrained network whose batch norms know some data and whose logits spread over both signs."""
    recipe = read_recipe(None, [*settings, f"model.height={SIZE}", f"model.width={SIZE}"])
    torch.manual_seed(0)
    network = network_from_recipe(recipe.model, pretrained=False)
    images = torch.nn.functional.interpolate(torch.randn(16, 3, 8, 8), size=(SIZE, SIZE), mode="bilinear")
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the plain mean over the batches seen
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.3)
    with torch.no_grad():
        network.train()(images)
        logits = network.eval()(images)
        head = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)][-1]
        assert head.out_channels == 1
        head.weight.mul_(3 / logits.std())
        assert head.bias is not None
        head.bias.zero_().sub_(network(images).mean())
    return session_from_network(
        NormalisedNetwork(network, recipe.preprocess_spec()).eval(), recipe.model_spec(), recipe.preprocess_spec(), ""
    )


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_export_and_int8_keep_what_pytorch_computes(variant: str, tmp_path: Path) -> None:
    session = lively(VARIANTS[variant])
    images = pictures(tmp_path)
    frames = [read_rgb(path)[None] for path in images]
    metadata, proto = onnx_from_session(session, RECORD, frames, tmp_path / "model.onnx")
    assert metadata.provenance.metrics["max_probability_difference"] <= MAX_PROBABILITY_DIFFERENCE
    onnx.checker.check_model(proto, full_check=True)
    _check_weights(session.network.network, proto)

    artifact = OnnxArtifact(tmp_path / "model.onnx", "", metadata, proto)
    built = OnnxRuntimeBuilder().build(BuildRequest(artifact, "int8", calibrate(artifact, images)))
    convolutions = [node for node in proto.graph.node if node.op_type == "Conv"]
    assert built.int8_convolutions == len(convolutions) - 2  # all but the first and the last

    expected = np.concatenate([session.infer(frame) for frame in frames])
    assert expected.shape == (len(frames), 1, SIZE, SIZE)
    assert 0.05 < (expected >= 0.5).mean() < 0.95  # else masks that agree would say nothing
    got = OnnxRuntimeSession(built.data, session.info).infer(np.concatenate(frames))
    print(variant, "flips", ((got >= 0.5) != (expected >= 0.5)).mean(), "mean", np.abs(got - expected).mean())
    assert ((got >= 0.5) != (expected >= 0.5)).mean() < 0.05
    assert np.abs(got - expected).mean() < 0.05


def _check_weights(network: torch.nn.Module, proto: onnx.ModelProto) -> None:
    """Batch norm went into the convolutions: their weights and one bias a channel are all that is left."""
    assert not any(node.op_type in ("BatchNormalization", "Pad") for node in proto.graph.node)
    convolutions = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    parameters = sum(module.weight.numel() + module.out_channels for module in convolutions)
    assert parameter_count(proto) == parameters + 6  # offset and factor of the three colours
