"""The section `[model]` of a training recipe: the network and its input."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from edgeseg.specs import IMAGENET_MEAN, IMAGENET_STD, Fraction
from edgeseg.train.architectures.catalogue import check_name, is_own, size_step
from edgeseg.values import Part

FINITE = pydantic.ConfigDict(allow_inf_nan=False)


class ModelRecipe(Part):
    """The network, and the size at which it sees frames."""

    model_config = FINITE

    architecture: Annotated[str, pydantic.AfterValidator(check_name)] = "unet"
    """A name of `edgeseg.train.architectures.catalogue`, or `python:package.module:function`: a network of your own."""
    height: int = pydantic.Field(default=256, gt=0, le=4096)
    width: int = pydantic.Field(default=256, gt=0, le=4096)
    class_name: str = "polyp"
    """The one class that a network without `classes` looks for."""
    classes: tuple[str, ...] = ()
    """Names of several classes, the background first, in the order of the masks' labels from 0: a softmax network.
    Empty: one class, `class_name`, and a sigmoid."""
    base_width: int = pydantic.Field(default=16, ge=1, le=256)
    """`unet`, `segnet`: channels of the first level; `unet` doubles them at each level."""
    depth: int = pydantic.Field(default=4, ge=1, le=6)
    """`unet`: how often the picture is halved."""
    batch_norm: bool = True
    """`unet`: batch norm after each convolution; without it weights start as He et al. (2015) draw them."""
    upsampling: Literal["nearest", "transposed"] = "nearest"
    """`unet`: how the way up doubles the picture; 2x2 transposed convolutions are the paper's own."""
    dropout: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """`unet`: share of the values that training drops between the two convolutions of each level."""
    decoder_widths: tuple[pydantic.PositiveInt, ...] = pydantic.Field(
        default=(96, 64, 48, 32, 16), min_length=2, max_length=5
    )
    """`lite0-unet`, `lite2-unet`, the large one of `lite0-pair-unet`: channels of the decoder stages, deepest first.
    Five end at the full size, four at half of it and so on; the logits are upsampled."""
    decoder: Literal["plain", "separable"] = "plain"
    """The same networks: 3x3 convolutions, or depthwise and 1x1 ones."""
    context_width: int = pydantic.Field(default=0, ge=0, le=1024)
    """The same networks: channels of dilated convolutions and a global mean, stride 32; 0 leaves them out."""
    small_share: float = pydantic.Field(default=0.2, ge=0, le=1)
    """`lite0-pair-unet`: share of the small network's logits in the answer."""
    pretrained: bool = True
    """`lite0-unet`, `lite2-unet`, `ultra-lite0-unet`, `lite0-pair-unet`: start the encoder from ImageNet weights."""
    arguments: dict[str, bool | int | float | str | list[int]] = pydantic.Field(default_factory=dict)
    """`python:...`: what your function is called with."""
    mirroring: bool = False
    """Answer with the mean of a frame's logits and its mirror image's (`edgeseg.graph.mirroring`); not in training."""
    mean: Fraction = IMAGENET_MEAN
    std: Fraction = IMAGENET_STD

    @property
    def out_channels(self) -> int:
        """Channels of the logits."""
        return len(self.classes) or 1

    @property
    def size_step(self) -> int:
        """Height and width are multiples of this, as the picture is halved so often."""
        return size_step(self)

    @pydantic.model_validator(mode="after")
    def _sizes_divide(self) -> ModelRecipe:
        if len(self.classes) == 1 or len(set(self.classes)) < len(self.classes):
            raise ValueError("classes are the background and at least one more, each named once; one class: class_name")
        step = self.size_step
        if self.height % step or self.width % step:
            raise ValueError(
                f"height and width must be multiples of {step} for this network, not {self.height}x{self.width}"
            )
        if self.arguments and not is_own(self.architecture):
            raise ValueError(f"arguments are for networks of your own (python:...), not for {self.architecture}")
        return self
