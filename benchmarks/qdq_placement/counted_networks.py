"""The networks whose plans are counted: shipped ones, untrained ones, and one with squeeze-and-excitation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from edgeseg.artifacts import CalibrationTable
from edgeseg.calibration.methods import DEFAULT_METHOD
from edgeseg.calibration.ranges import calibrate
from edgeseg.export.torch.naming import with_readable_names
from edgeseg.export.torch.onnx_from_run import contract_graph
from edgeseg.frames import Frame, resize_to_network
from edgeseg.graph.onnx_files import OnnxArtifact, load_onnx
from edgeseg.images import read_rgb
from edgeseg.packages import find_model, onnx_of
from edgeseg.specs import ModelMetadata, ModelSpec, PreprocessSpec
from edgeseg.train.architectures.registry import network_from_recipe
from edgeseg.train.recipe import read_recipe

MOBILENET = "mobilenet"
SHIPPED = "shipped"
MOBILENET_SIDE_PX = 256


@dataclass(frozen=True)
class Network:
    """A network, its ranges, and the pictures that they were measured on."""

    name: str
    artifact: OnnxArtifact
    table: CalibrationTable
    images: list[Path]
    trained: bool

    def frames(self) -> list[Frame]:
        """The pictures at the network's size, uint8 [H,W,3] RGB."""
        model = self.artifact.metadata.model
        return [resize_to_network(read_rgb(path), model.height, model.width) for path in self.images]


def network_named(name: str, images: list[Path], method: str) -> Network:
    """Load or make a network, and calibrate it or read the table beside it.

    Args:
        name: A package, an .onnx file, a recipe (.toml, whose network stays untrained), or `MOBILENET`.
        images: What to calibrate on.
        method: How; `SHIPPED` takes the table beside the network, and for an untrained one the default method.
    """
    path = Path(name)
    if name == MOBILENET or path.suffix == ".toml":
        artifact = _untrained(path)
        used = DEFAULT_METHOD if method == SHIPPED else method
        return Network(path.stem, artifact, calibrate(artifact, images, method=used), images, trained=False)
    files = find_model(path)
    artifact = load_onnx(onnx_of(files))
    beside = files.calibration if method == SHIPPED else None
    table = CalibrationTable.read(beside) if beside else calibrate(artifact, images, method=method)
    return Network(path.stem, artifact, table, images, trained=True)


def _untrained(path: Path) -> OnnxArtifact:
    torch.manual_seed(0)
    if path.name == MOBILENET:
        model = ModelSpec(architecture=MOBILENET, height=MOBILENET_SIDE_PX, width=MOBILENET_SIDE_PX)
        network: nn.Module = _MobileNet()
        preprocess = PreprocessSpec()
    else:
        recipe = read_recipe(path)
        model, preprocess = recipe.model_spec(), recipe.preprocess_spec()
        network = network_from_recipe(recipe.model, pretrained=False)
    proto = with_readable_names(contract_graph(network.eval(), model, preprocess))
    return OnnxArtifact(path, "", ModelMetadata(model=model, preprocess=preprocess), proto)


class _MobileBlock(nn.Module):
    """Expand, filter, weigh the channels, project, add (MobileNetV3, Howard et al., 2019, arXiv:1905.02244)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        wide = 4 * before
        self.expand = nn.Sequential(nn.Conv2d(before, wide, 1), nn.Hardswish())
        depthwise = nn.Conv2d(wide, wide, 3, stride, 1, groups=wide)
        self.depthwise = nn.Sequential(depthwise, nn.Hardswish())
        self.gate = nn.Sequential(
            nn.Conv2d(wide, wide // 4, 1), nn.ReLU(), nn.Conv2d(wide // 4, wide, 1), nn.Hardsigmoid()
        )
        self.project = nn.Conv2d(wide, after, 1)
        self.adds = before == after and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise(self.expand(x))
        y = self.project(y * self.gate(y.mean((2, 3), keepdim=True)))
        return x + y if self.adds else y


class _MobileNet(nn.Module):
    """Eight blocks down to an eighth of the picture, and logits enlarged from there."""

    def __init__(self) -> None:
        super().__init__()
        widths = (16, 16, 24, 24, 24, 40, 40, 40, 40)
        strides = (1, 2, 1, 1, 2, 1, 1, 1)
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.Hardswish())
        pairs = zip(widths[:-1], widths[1:], strides, strict=True)
        self.blocks = nn.Sequential(*(_MobileBlock(before, after, stride) for before, after, stride in pairs))
        self.head = nn.Conv2d(40, 1, 1)
        self.enlarge = nn.Upsample(scale_factor=8, mode="bilinear")

    def forward(self, x: Tensor) -> Tensor:
        """Run the network: float32 [N,3,H,W], normalised -> logits [N,1,H,W]."""
        logits: Tensor = self.enlarge(self.head(self.blocks(self.stem(x))))
        return logits
