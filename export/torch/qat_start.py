"""RUN folder -> what quantisation-aware training begins with: its network, traced and calibrated."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from edgeseg.calibration.ranges import measure_ranges
from edgeseg.calibration.selection import choose_images
from edgeseg.dataset import load_images
from edgeseg.errors import BadInputError
from edgeseg.export.build import CALIBRATION_IMAGES
from edgeseg.export.torch.naming import with_readable_names
from edgeseg.export.torch.onnx_from_run import contract_graph
from edgeseg.graph.module_paths import module_path
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.graph.operators import CONVOLUTIONS
from edgeseg.packages import RUN_CHECKPOINT
from edgeseg.progress import Say, Track, quiet, silent
from edgeseg.specs import ModelMetadata
from edgeseg.train.checkpoint import load_best
from edgeseg.train.predictor import TorchSession, open_run
from edgeseg.train.qat.folding import fold_batch_norm
from edgeseg.train.qat.starting_point import StartingPoint

METHOD = "mse"
"""The calibration method of the first ranges: training only has to refine them."""


def starting_point(
    run: Path, data: Path, trusted: Collection[str] = (), say: Say = quiet, track: Track = silent
) -> StartingPoint:
    """Fold, trace and calibrate the best network of a RUN.

    Args:
        run: The RUN folder.
        data: The data set whose train split it is calibrated on, 256 pictures at most.
        trusted: Code that its network may be; see `edgeseg.train.predictor.open_run`.
        say: Takes warnings of pictures that spoil the calibration.
        track: Draws the progress.

    Raises:
        BadInputError: No RUN, or a network whose batch norm or weights cannot be told apart in its graph.
    """
    recipe = load_best(run)[0]
    session = open_run(run, trusted)
    artifact, parameters = folded_and_traced(session, run)
    images = choose_images(load_images(data, "train"), CALIBRATION_IMAGES)
    table = measure_ranges(artifact, images, track, METHOD, say)
    network = session.network.network
    return StartingPoint(recipe, session.info.sha256, network, artifact, table, parameters)


def folded_and_traced(session: TorchSession, run: Path) -> tuple[OnnxArtifact, dict[str, str]]:
    """Fold a network's batch norm in place and export it; gives initialiser -> parameter, too.

    Raises:
        BadInputError: See `starting_point`.
    """
    model, preprocess = session.info.model, session.info.preprocess
    network = session.network.network
    noise = torch.randn((1, 3, model.height, model.width), generator=torch.Generator().manual_seed(0))
    biases = fold_batch_norm(network, noise)
    proto = with_readable_names(contract_graph(network, model, preprocess))
    metadata = ModelMetadata(model=model, preprocess=preprocess)
    artifact = OnnxArtifact(run / RUN_CHECKPOINT, session.info.sha256, metadata, proto)
    return artifact, _parameters_of(proto, network, biases, model.architecture)


def _parameters_of(
    proto: onnx.ModelProto, network: nn.Module, biases: dict[str, str], architecture: str
) -> dict[str, str]:
    """Initialiser -> parameter, held to be equal to the bit."""
    own = {module_path(name): (name, parameter) for name, parameter in network.named_parameters()}
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    found = {name: own[name][0] for name in tensors if name in own}
    for node in proto.graph.node:
        if node.op_type not in CONVOLUTIONS or len(node.input) < 3 or node.input[2] in found:
            continue
        convolution = found.get(node.input[1], "").removesuffix(".weight")
        if convolution in biases:
            found[node.input[2]] = biases[convolution]
    weights = dict(network.named_parameters())
    for name, parameter in found.items():
        if not np.array_equal(tensors[name], weights[parameter].detach().numpy()):
            raise _untraceable(architecture, f"{name} in the graph is not {parameter} of the network")
    lost = [
        node.name for node in proto.graph.node if node.op_type in CONVOLUTIONS and set(node.input[1:]) - found.keys()
    ]
    if lost:
        raise _untraceable(architecture, f"weights of {lost[0]} that are no parameters of the network")
    return found


def _untraceable(architecture: str, found: str) -> BadInputError:
    return BadInputError(
        f"the weights of {architecture} cannot be followed into its graph",
        found=found,
        expected="convolutions whose weights are parameters, and at most a batch norm after each",
        next_command="edgeseg calibrate and build-engine --precision int8 work without quantisation-aware training",
    )
