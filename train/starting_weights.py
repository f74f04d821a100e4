"""The weights that a training starts from: those of another RUN, of a model package, or the mean of several.

Trainings that began with the same weights mostly end where their mean is as good as each, or better
(Wortsman et al., 2022, arXiv:2203.05482). A package holds a graph whose batch norms were folded into its convolutions.
They are put back, so that the network computes what the package does and yet can be trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from edgeseg.calibration.selection import choose_images
from edgeseg.dataset import load_images
from edgeseg.errors import MismatchError
from edgeseg.files import sha256_file, sha256_of_hashes
from edgeseg.frames import resize_to_network
from edgeseg.graph.module_paths import module_path
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.graph.operators import CONVOLUTIONS
from edgeseg.images import read_rgb
from edgeseg.packages import RUN_CHECKPOINT, find_model, onnx_of
from edgeseg.train.architectures.catalogue import part_of
from edgeseg.train.architectures.registry import network_from_recipe
from edgeseg.train.checkpoint import load_best
from edgeseg.train.network import NormalisedNetwork
from edgeseg.train.qat.folding import Convolution, along_outputs, norms_behind
from edgeseg.train.recipe import Recipe

PICTURES = 32
"""Training pictures on which the batch norms' statistics are measured."""
MOST_LENGTHENED = 1000.0
"""A filter that would have to grow more is dead; what moves it decides what it becomes."""


@dataclass(frozen=True)
class StartingWeights:
    """The weights of another training and where they come from."""

    weights: dict[str, Tensor]
    """Names of a network's state -> values."""
    sha256: str
    """The hash of the checkpoint or the graph; of several, the hash of their hashes."""


def starting_weights(starts: Sequence[Path], recipe: Recipe, data: Path) -> StartingWeights | None:
    """Read the weights to start from; None without any.

    Args:
        starts: RUN folders, model packages (a folder, one file or a name) or ONNX files of edgeseg; of several the mean
            is taken, of those that are one part of the recipe's network each part's.
        recipe: Of the training that starts.
        data: Its data set; 32 training pictures measure a package's batch norms.

    Raises:
        BadInputError: Nothing there, or it cannot be read.
        MismatchError: A graph none of whose convolutions has name and shape of one of the recipe's network; or several
            networks that differ.
    """
    found = [(start, *_weights_of(start, recipe, data)) for start in starts]
    by_part: dict[str | None, list[tuple[Path, StartingWeights]]] = {}
    for start, part, begin in found:
        by_part.setdefault(part, []).append((start, begin))
    weights: dict[str, Tensor] = {}
    for part, alike in by_part.items():
        weights |= {name if part is None else f"{part}.{name}": value for name, value in _mean_of(alike).items()}
    hashes = [begin.sha256 for _, _, begin in found]
    if not hashes:
        return None
    return StartingWeights(weights, hashes[0] if len(hashes) == 1 else sha256_of_hashes(hashes))


def _mean_of(found: Sequence[tuple[Path, StartingWeights]]) -> dict[str, Tensor]:
    """The mean of the weights of some networks that are alike."""
    first, begin = found[0]
    for start, other in found[1:]:
        _check_alike(first, begin.weights, start, other.weights)
    return {name: _mean([other.weights[name] for _, other in found]) for name in begin.weights}


def _mean(values: Sequence[Tensor]) -> Tensor:
    """The mean of some tensors; the first of them where they count something."""
    return torch.stack(list(values)).mean(dim=0) if values[0].is_floating_point() else values[0]


def _check_alike(first: Path, weights: Mapping[str, Tensor], second: Path, others: Mapping[str, Tensor]) -> None:
    shapes, other_shapes = ({name: value.shape for name, value in state.items()} for state in (weights, others))
    if shapes != other_shapes:
        differing = sorted(name for name in {*shapes, *other_shapes} if shapes.get(name) != other_shapes.get(name))
        raise MismatchError(
            f"{first} and {second} have no mean: their networks differ",
            found=f"{len(differing)} tensors that differ in name or shape ({differing[0]})",
            expected="trainings of one architecture, best begun with the same weights",
        )


def _weights_of(start: Path, recipe: Recipe, data: Path) -> tuple[str | None, StartingWeights]:
    """The part of the recipe's network that another network is, None for the whole, and that one's weights."""
    files = find_model(start)
    if files.kind == "run":
        other, weights = load_best(start)
        part = part_of(recipe.model.architecture, other.model.architecture)
        return part, StartingWeights(weights, sha256_file(start / RUN_CHECKPOINT))
    artifact = load_onnx(onnx_of(files))
    part = part_of(recipe.model.architecture, artifact.metadata.model.architecture)
    model = recipe.model
    if part is not None:
        model = model.model_copy(update={"architecture": artifact.metadata.model.architecture})
    network = NormalisedNetwork(network_from_recipe(model), recipe.preprocess_spec()).eval()
    size_px = (recipe.model.height, recipe.model.width)
    pictures = choose_images(load_images(data, "train"), PICTURES)
    frames = np.stack([resize_to_network(read_rgb(path), *size_px) for path in pictures])
    images = torch.from_numpy(frames).permute(0, 3, 1, 2).float().div_(255.0)
    return part, StartingWeights(unfolded(artifact.proto, network, images), artifact.sha256)


@torch.no_grad()
def unfolded(proto: onnx.ModelProto, network: NormalisedNetwork, images: Tensor) -> dict[str, Tensor]:
    """Take the weights out of a graph of folded convolutions, their batch norms put back.

    A batch norm's statistics become those of what its convolution gives for `images`, and its scale and bias undo
    them. Folding left filters up to a hundred times smaller or larger than training had them; behind a batch norm a
    filter's length changes nothing but how far one step turns it, so each gets the length that its layer began with.
    A threshold that the export moved is left out where it is a node of its own.

    Args:
        proto: A contract graph with float32 weights, its convolutions named after modules.
        network: Of the architecture that is wanted, in evaluation mode, as a training would begin with it; is changed.
        images: float [N,3,H,W] in 0..1.

    Returns:
        The state of those convolutions and batch norms of the network that the graph has.

    Raises:
        MismatchError: No convolution fits.
    """
    bare = network.network
    norms = norms_behind(bare, (images[:1] - network.mean) / network.std)
    fitting = dict(_fitting(proto, bare))
    if not fitting:
        raise MismatchError(
            "none of the weights to start from fits this network",
            found=f"{sum(node.op_type in CONVOLUTIONS for node in proto.graph.node)} convolutions",
            expected="names and shapes of the recipe's architecture",
        )
    for name, (weight, bias) in fitting.items():
        convolution = bare.get_submodule(name)
        assert isinstance(convolution, Convolution)
        norm = bare.get_submodule(norms[name]) if name in norms else None
        factor = _lengthening(convolution, weight) if isinstance(norm, nn.BatchNorm2d) else torch.ones_like(bias)
        if isinstance(norm, nn.BatchNorm2d):
            _make_idle(norm, 1 / factor, bias if convolution.bias is None else torch.zeros_like(bias))
        convolution.weight.copy_(weight * along_outputs(factor, convolution))
        if convolution.bias is not None:
            convolution.bias.copy_(bias * factor)
    _measure(network, {name: norms[name] for name in fitting if name in norms}, images)
    taken = (*fitting, *(norms[name] for name in fitting if name in norms))
    return {name: value for name, value in bare.state_dict().items() if name.rpartition(".")[0] in taken}


def _fitting(proto: onnx.ModelProto, network: nn.Module) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    """The path of each convolution whose weight the graph has, with weight and bias."""
    tensors = {tensor.name: tensor for tensor in proto.graph.initializer}
    nodes = {node.input[1]: node for node in proto.graph.node if node.op_type in CONVOLUTIONS}
    for name, module in network.named_modules():
        node = nodes.get(module_path(f"{name}.weight"))
        if not isinstance(module, Convolution) or node is None:
            continue
        weight, bias = (_tensor(tensors.get(given)) for given in (*node.input[1:], "")[:2])
        if weight is None or weight.shape != module.weight.shape:
            continue
        yield name, (weight, torch.zeros(module.out_channels) if bias is None else bias)


def _tensor(tensor: onnx.TensorProto | None) -> Tensor | None:
    return None if tensor is None else torch.from_numpy(onnx.numpy_helper.to_array(tensor).astype(np.float32))


def _lengthening(convolution: Convolution, weight: Tensor) -> Tensor:
    """The factor of each output channel that gives its filter the mean length of the layer's present ones."""
    if not isinstance(convolution, nn.Conv2d):
        return torch.ones(convolution.out_channels)
    wanted = convolution.weight.flatten(1).norm(dim=1).mean()
    lengths = weight.flatten(1).norm(dim=1)
    return torch.where(lengths > 0, wanted / lengths, 1.0).clamp(1 / MOST_LENGTHENED, MOST_LENGTHENED)


def _make_idle(norm: nn.BatchNorm2d, scale: Tensor, bias: Tensor) -> None:
    """Let a batch norm scale and add a bias, and do nothing else."""
    assert norm.running_mean is not None and norm.running_var is not None
    norm.weight.copy_(scale)
    norm.bias.copy_(bias)
    norm.running_mean.zero_()
    norm.running_var.fill_(1.0 - norm.eps)


def _measure(network: NormalisedNetwork, norms: Mapping[str, str], images: Tensor) -> None:
    """Give idle batch norms the statistics of their convolutions' outputs; what the network computes stays."""
    moments: dict[str, list[Tensor]] = {name: [] for name in norms}
    hooks = []
    for name, kept in moments.items():

        def look(module: nn.Module, given: tuple[Tensor, ...], output: Tensor, kept: list[Tensor] = kept) -> None:
            values = output.double()
            kept.append(torch.stack([values.mean(dim=(0, 2, 3)), values.square().mean(dim=(0, 2, 3))]))

        hooks.append(network.network.get_submodule(name).register_forward_hook(look))
    for image in torch.split(images, 1):
        network(image)
    for hook in hooks:
        hook.remove()
    for name, norm_name in norms.items():
        norm = network.network.get_submodule(norm_name)
        assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
        mean, square = torch.stack(moments[name]).mean(dim=0)
        variance = (square - mean.square()).clamp_min(0.0)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.bias.add_(norm.weight * mean)
        norm.weight.mul_((variance + norm.eps).sqrt())
