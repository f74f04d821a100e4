"""Fold batch norm into the convolution before it and keep every module: what is trained is what the INT8 graph holds.

Statistics no longer move then: static folding, section 5.2 of Nagel et al., A White Paper on Neural Network
Quantization, 2021, arXiv:2106.08295.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeseg.errors import BadInputError
from edgeseg.train.network_outputs import main_logits

Convolution = nn.Conv2d | nn.ConvTranspose2d
ALIKE = 1e-3
"""Largest difference of logits before and after, as a share of the largest logit."""


def fold_batch_norm(network: nn.Module, images: Tensor) -> dict[str, str]:
    """Scale each convolution so that the batch norm that reads it alone does nothing any more, in place.

    With k = gamma / sqrt(variance + epsilon): weight' = k weight, bias' = k (bias - mean) + beta. Computed in float64
    and rounded once. The bias goes to the convolution where it has one, else it stays the batch norm's beta.

    Args:
        network: In evaluation mode, on the CPU.
        images: float32 [N,3,H,W] that it can be run on, normalised.

    Returns:
        Path of each convolution without a bias of its own -> path of the parameter that is its bias now.

    Raises:
        BadInputError: The network computes something else then, because it also reads a convolution before its batch
            norm, or uses one of both twice.
    """
    with torch.no_grad():
        before = main_logits(network(images))
        biases = {}
        for convolution_name, norm_name in norms_behind(network, images).items():
            convolution, norm = network.get_submodule(convolution_name), network.get_submodule(norm_name)
            assert isinstance(convolution, Convolution) and isinstance(norm, nn.BatchNorm2d)
            _fold(convolution, norm)
            if convolution.bias is None:
                biases[convolution_name] = f"{norm_name}.bias"
        after = main_logits(network(images))
    if not torch.allclose(after, before, rtol=0, atol=ALIKE * max(1.0, float(before.abs().max()))):
        raise BadInputError(
            "batch norm cannot be folded into this network's convolutions",
            found=f"logits that differ by {float((after - before).abs().max()):.2g} afterwards",
            expected="a batch norm that alone reads its convolution, and neither used twice",
        )
    return biases


def norms_behind(network: nn.Module, images: Tensor) -> dict[str, str]:
    """Path of a convolution -> path of the batch norm whose input is that convolution's output.

    Args:
        network: In evaluation mode.
        images: float [N,3,H,W] that it can be run on, normalised.
    """
    outputs: list[tuple[Tensor, str]] = []
    pairs: dict[str, str] = {}
    handles = []

    def give(name: str) -> None:
        def hook(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
            outputs.append((output, name))

        handles.append(network.get_submodule(name).register_forward_hook(hook))

    def take(name: str) -> None:
        def hook(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            source = next((given for output, given in outputs if output is arguments[0]), None)
            if source is not None:
                pairs[source] = name

        handles.append(network.get_submodule(name).register_forward_pre_hook(hook))

    for name, module in network.named_modules():
        if isinstance(module, Convolution):
            give(name)
        elif isinstance(module, nn.BatchNorm2d) and module.affine and module.track_running_stats:
            take(name)
    network(images)
    for handle in handles:
        handle.remove()
    return pairs


def _fold(convolution: Convolution, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None and norm.running_var is not None
    factor = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    mean, beta = norm.running_mean.double(), norm.bias.double()
    before = convolution.bias.double() if convolution.bias is not None else torch.zeros_like(factor)
    bias = (factor * (before - mean) + beta).float()
    convolution.weight.copy_((convolution.weight.double() * along_outputs(factor, convolution)).float())
    if convolution.bias is not None:
        convolution.bias.copy_(bias)
    norm.bias.copy_(bias if convolution.bias is None else torch.zeros_like(bias))
    norm.weight.fill_(1.0)
    norm.running_mean.zero_()
    norm.running_var.fill_(1.0 - norm.eps)


def along_outputs(factor: Tensor, convolution: Convolution) -> Tensor:
    """A factor for each output channel, shaped so that it scales the weight."""
    if isinstance(convolution, nn.Conv2d):
        return factor.view(-1, 1, 1, 1)
    inputs, outputs = convolution.weight.shape[:2]
    by_group = factor.view(convolution.groups, 1, outputs).expand(-1, inputs // convolution.groups, -1)
    return by_group.reshape(inputs, outputs, 1, 1)
