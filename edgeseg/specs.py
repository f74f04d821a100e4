"""The two specs that travel inside every model file: what a network is, and what it wants to see."""

from __future__ import annotations

from typing import Any, Literal

import pydantic

from edgeseg.values import Part, Value

Fraction = tuple[float, float, float]
Int8Target = Literal["cpu", "tensorrt"]
"""Whose INT8 graph quantisation-aware training simulates: that of onnxruntime and OpenVINO, or TensorRT's."""

INPUT_NAME = "frame"
"""The graph's input: uint8 [N,H,W,3] RGB."""
OUTPUT_NAME = "probability"
"""The graph's output: float32 [N,C,H,W]."""

LARGEST_SIDE = 8192
"""Largest height and width of a network's input, in pixels."""

IMAGENET_MEAN: Fraction = (0.485, 0.456, 0.406)
IMAGENET_STD: Fraction = (0.229, 0.224, 0.225)


class ModelSpec(Value):
    """A segmentation network, as the stages after training must know it."""

    architecture: str
    """Name in the registry of `edgeseg.train.architectures`, for example ``unet``."""
    encoder: str | None = None
    """Pretrained encoder, where there is one."""
    classes: tuple[str, ...] = ("polyp",)
    """One name for a sigmoid network; background first for a softmax network."""
    height: int = pydantic.Field(gt=0, le=LARGEST_SIDE)
    """Network input height in pixels."""
    width: int = pydantic.Field(gt=0, le=LARGEST_SIDE)
    """Network input width in pixels."""
    output: Literal["sigmoid", "softmax"] = "sigmoid"
    """The function that gives the probabilities; it is inside the graph."""
    largest_batch: Literal[1] | None = None
    """1 where the graph takes one picture at a time; None where it takes any number."""

    @pydantic.model_validator(mode="after")
    def _classes_fit_output(self) -> ModelSpec:
        if self.output == "sigmoid" and len(self.classes) != 1:
            raise ValueError(f"a sigmoid network has one class, not {len(self.classes)}")
        if self.output == "softmax" and len(self.classes) < 2:
            raise ValueError("a softmax network has background and at least one class")
        return self

    @property
    def channels(self) -> int:
        """Channels of the output `probability` [N,C,H,W]."""
        return len(self.classes)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """[H,W,3] of one frame at the network's size."""
        return (self.height, self.width, 3)


class Crop(Part):
    """A window of the frame in pixels, taken before anything else."""

    top: int = pydantic.Field(ge=0)
    left: int = pydantic.Field(ge=0)
    height: int = pydantic.Field(gt=0)
    width: int = pydantic.Field(gt=0)


class PreprocessSpec(Value):
    """How a frame becomes the network's input. Mean and std are for the record: the graph applies them."""

    colour_order: Literal["rgb"] = "rgb"
    resize: Literal["stretch-halve-bilinear"] = "stretch-halve-bilinear"
    """The one rule of `edgeseg.frames.resize_to_network`."""
    crop: Crop | None = None
    mean: Fraction = IMAGENET_MEAN
    """Mean of RGB scaled to 0..1."""
    std: Fraction = IMAGENET_STD


class Provenance(Part):
    """The origin of a model, in hashes and figures rather than in paths."""

    data_sha256: str | None = None
    recipe_sha256: str | None = None
    seed: int | None = None
    source_sha256: str | None = None
    """The file of others that an imported network was made from."""
    source_data_sha256: str | None = None
    """The files with its weights that lay beside it; None where there were none."""
    threshold: float = pydantic.Field(default=0.5, gt=0, lt=1)
    """The probability of the network as trained that the graph's 0.5 stands for."""
    metrics: dict[str, float] = pydantic.Field(default_factory=dict)
    tools: dict[str, str] = pydantic.Field(default_factory=dict)
    """Versions of what made it."""


class TrainedRanges(Part):
    """The INT8 ranges that quantisation-aware training chose; `edgeseg calibrate` takes them over."""

    target: Int8Target
    source_sha256: str
    """The checkpoint of the float training that it began with."""
    ranges: dict[str, tuple[float, float, float]]
    """Tensor -> smallest and largest value before that training, and the magnitude that maps to 127 after it."""


class ModelMetadata(Value):
    """The metadata that an ONNX file of ours carries under the key ``edgeseg``."""

    model: ModelSpec
    preprocess: PreprocessSpec
    provenance: Provenance = Provenance()
    trained_ranges: TrainedRanges | None = None
    """None where the training was not quantisation-aware."""

    def summary(self) -> dict[str, Any]:
        """One flat line for listings."""
        return {
            "architecture": self.model.architecture,
            "encoder": self.model.encoder,
            "classes": ", ".join(self.model.classes),
            "input": f"{self.model.width}x{self.model.height}",
        }
