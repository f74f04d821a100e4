"""A network's output: logits, or with deep supervision several of them, the first of which count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor
from torch.nn import functional as F

from edgeseg.errors import BadInputError
from edgeseg.train.losses import Judged, Loss

MAIN = "out"
"""The key of the logits in a dict, as torchvision has it; without it the first entry is taken."""


def logits_of(output: object) -> tuple[Tensor, ...]:
    """The logits of a network's output first, the auxiliary ones after them in their order.

    Args:
        output: A tensor, a tuple or list of tensors whose first are the logits, or a dict of tensors.

    Raises:
        BadInputError: Anything else.
    """
    if isinstance(output, Mapping):
        main = MAIN if MAIN in output else next(iter(output), None)
        entries = [output[key] for key in sorted(output, key=lambda key: key != main)]
    elif isinstance(output, (tuple, list)):
        entries = list(output)
    else:
        entries = [output]
    if not entries or not all(isinstance(entry, Tensor) for entry in entries):
        raise BadInputError(
            "the network gives no logits",
            found=described(output),
            expected="logits, or a tuple, a list or a dict of logits whose first (of a dict: 'out') count",
        )
    return tuple(entries)


def main_logits(output: object) -> Tensor:
    """The logits that count; auxiliary ones are for training alone."""
    return output if isinstance(output, Tensor) else logits_of(output)[0]


def supervised_loss(
    loss: Loss, output: object, target: Tensor, weights: Sequence[float], judged: Judged = None
) -> Tensor:
    """The loss of the logits, and with deep supervision the weighted losses of the auxiliary ones besides.

    Lee et al., Deeply-supervised nets, 2015, arXiv:1409.5185. Auxiliary logits of another size are brought to the
    target's bilinearly.

    Args:
        loss: Takes logits and target, float [N,1,H,W].
        output: What the network gave.
        target: float [N,1,H,W] in 0..1.
        weights: One for each auxiliary output; the last holds for all further ones, none leaves them out.
        judged: float [N,1,H,W], 0 where a pixel is to be ignored; None judges every pixel.
    """
    main, *others = logits_of(output)
    counted = () if judged is None else (judged,)
    total = loss(main.float(), target, *counted)
    for index, other in enumerate(others if weights else ()):
        logits = other.float()
        if logits.shape[2:] != target.shape[2:]:
            logits = F.interpolate(logits, target.shape[2:], mode="bilinear", align_corners=False)
        total = total + weights[min(index, len(weights) - 1)] * loss(logits, target, *counted)
    return total


def described(output: object) -> str:
    """An output in a few words: element type and shape, or what it is made of."""
    if isinstance(output, Tensor):
        return f"{str(output.dtype).removeprefix('torch.')} {list(output.shape)}"
    if isinstance(output, (tuple, list)):
        return f"{type(output).__name__} of {', '.join(map(described, output)) or 'nothing'}"
    if isinstance(output, Mapping):
        return "dict of " + (", ".join(f"{key}: {described(value)}" for key, value in output.items()) or "nothing")
    return type(output).__name__
