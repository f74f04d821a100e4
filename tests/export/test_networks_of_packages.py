"""Networks of the packages that people train with, exported by PyTorch: imported, built in FP16 and INT8.

`make test-foreign` runs them in an environment of their own, for torchvision works with its own PyTorch only; elsewhere
each test skips whose package is not installed. Weights are random, batch norms too; what is compared is the arithmetic.
docs/how-to/own-networks.md has the outcome.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgeseg.artifacts import Precision
from edgeseg.calibration.ranges import calibrate
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.export.foreign.foreign_options import ImportOptions
from edgeseg.export.foreign.importing import import_onnx
from edgeseg.export.parity import MAX_PROBABILITY_DIFFERENCE
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.images import list_images
from edgeseg.optional import is_installed
from edgeseg.runtime.opener.engine_from_file import open_engine

pytestmark = pytest.mark.long
SIDE_PX = 128
PRECISIONS: tuple[Precision, ...] = ("fp16", "int8")
OPSETS = {"torchscript": 17, "dynamo": 20}
LARGEST_FP16_DIFFERENCE = 0.05
"""The tolerated difference of probability: random weights magnify rounding more than trained ones."""


def _package(name: str) -> Any:
    """A package, or a skip with the reason: one built for another PyTorch fails to import in its own ways."""
    try:
        return importlib.import_module(name)
    except Exception as error:
        pytest.skip(f"{name} cannot be imported: {error}")


def _smp(architecture: str, encoder: str, **settings: Any) -> Callable[[], Any]:
    def build() -> Any:
        make = getattr(_package("segmentation_models_pytorch"), architecture)
        return make(encoder_name=encoder, encoder_weights=None, **settings)

    return build


def _monai(name: str, **settings: Any) -> Callable[[], Any]:
    return lambda: getattr(_package("monai.networks.nets"), name)(**settings)


def _torchvision(name: str, classes: int) -> Callable[[], Any]:
    def build() -> Any:
        make = getattr(_package("torchvision.models.segmentation"), name)
        return _only_out(make(weights=None, weights_backbone=None, num_classes=classes))

    return build


def _yolo26() -> Any:
    """YOLO26's semantic segmentation, smallest scale; it gives logits at an eighth of the picture's size."""
    os.environ.setdefault("YOLO_CONFIG_DIR", tempfile.gettempdir())  # it would write settings below the home folder
    make = _package("ultralytics.nn.tasks").SemanticSegmentationModel
    return _at_full_size(make("yolo26n-sem.yaml", ch=3, nc=2, verbose=False), lambda found: found)


def _segformer() -> Any:
    """Segformer-B0 of transformers; it gives logits at a quarter of the picture's size."""
    transformers = _package("transformers")
    network = transformers.SegformerForSemanticSegmentation(transformers.SegformerConfig(num_labels=2))
    return _at_full_size(network, lambda found: found.logits)


def _only_out(network: Any) -> Any:
    return _adapted(network, lambda found, picture: found["out"])


def _at_full_size(network: Any, logits: Callable[[Any], Any]) -> Any:
    from torch.nn.functional import interpolate

    return _adapted(network, lambda found, picture: interpolate(logits(found), picture.shape[2:], mode="bilinear"))


def _adapted(network: Any, result: Callable[[Any, Any], Any]) -> Any:
    """A network whose output is made of another's: what people write around it before they export."""
    import torch

    class Adapted(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, picture: Any) -> Any:
            return result(self.network(picture), picture)

    return Adapted()


NETWORKS: dict[str, Callable[[], Any]] = {
    "smp Unet resnet18": _smp("Unet", "resnet18", classes=1),
    "smp UnetPlusPlus mobilenetv3": _smp("UnetPlusPlus", "timm-mobilenetv3_small_100", classes=1),
    "smp FPN efficientnet-lite0": _smp("FPN", "timm-tf_efficientnet_lite0", classes=1),
    "smp DeepLabV3Plus efficientnet-b0": _smp("DeepLabV3Plus", "efficientnet-b0", classes=1),
    "smp Linknet resnet18": _smp("Linknet", "resnet18", classes=2),
    "smp MAnet resnet18": _smp("MAnet", "resnet18", classes=1),
    "smp PAN resnet18": _smp("PAN", "resnet18", classes=1),
    "smp Segformer mit_b0": _smp("Segformer", "mit_b0", classes=1),
    "smp UPerNet resnet18": _smp("UPerNet", "resnet18", classes=1),
    "smp Unet convnext": _smp("Unet", "tu-convnext_atto", classes=1),
    "monai UNet": _monai(
        "UNet", spatial_dims=2, in_channels=3, out_channels=1, channels=(16, 32, 64), strides=(2, 2), num_res_units=1
    ),
    "monai AttentionUnet": _monai(
        "AttentionUnet", spatial_dims=2, in_channels=3, out_channels=1, channels=(16, 32, 64), strides=(2, 2)
    ),
    "monai SegResNet": _monai("SegResNet", spatial_dims=2, in_channels=3, out_channels=2, init_filters=8),
    "monai BasicUNetPlusPlus": _monai(
        "BasicUNetPlusPlus", spatial_dims=2, in_channels=3, out_channels=1, features=(16, 16, 32, 32, 64, 16)
    ),
    "monai DynUNet": _monai(
        "DynUNet",
        spatial_dims=2,
        in_channels=3,
        out_channels=1,
        kernel_size=[3, 3, 3],
        strides=[1, 2, 2],
        upsample_kernel_size=[2, 2],
    ),
    "monai SwinUNETR": _monai(  # needs einops
        "SwinUNETR",
        in_channels=3,
        out_channels=1,
        feature_size=12,
        spatial_dims=2,
        depths=(1, 1, 1, 1),
        num_heads=(1, 2, 2, 4),
    ),
    "monai FlexibleUNet": _monai(
        "FlexibleUNet", in_channels=3, out_channels=1, backbone="efficientnet-b0", spatial_dims=2, pretrained=False
    ),
    "transformers Segformer": _segformer,
    "ultralytics YOLO26-sem": _yolo26,
    "torchvision lraspp": _torchvision("lraspp_mobilenet_v3_large", 2),
    "torchvision deeplabv3": _torchvision("deeplabv3_mobilenet_v3_large", 21),
}


def _exported(build: Callable[[], Any], exporter: str, path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the exporter of PyTorch needs the extra `train`")
    pytest.importorskip("onnxscript", reason="likewise")
    torch.manual_seed(0)
    network = build()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
    settings: dict[str, Any] = {"opset_version": OPSETS[exporter], "dynamo": exporter == "dynamo", "verbose": False}
    picture = torch.rand(1, 3, SIDE_PX, SIDE_PX)
    try:
        with torch.no_grad():
            names = {"input_names": ["picture"], "output_names": ["map"]}
            torch.onnx.export(network.eval(), (picture,), path, **names, **settings)
    except Exception as error:  # not edgeseg's to mend: TorchScript's exporter knows no uneven adaptive pooling
        pytest.skip(f"PyTorch does not export it: {str(error).splitlines()[0][:200]}")


@pytest.mark.parametrize("exporter", OPSETS)
@pytest.mark.parametrize("name", NETWORKS)
def test_it_comes_in_and_builds(
    name: str, exporter: str, small_images: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    source, model = tmp_path / "net.onnx", tmp_path / "model.onnx"
    _exported(NETWORKS[name], exporter, source)
    result = import_onnx(source, model, ImportOptions(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)))
    parity = result.metadata.provenance.metrics["max_probability_difference"]
    record_property("parity", f"{parity:.1e}")
    assert parity <= MAX_PROBABILITY_DIFFERENCE
    assert not any(node.op_type in ("Shape", "BatchNormalization", "If") for node in onnx.load(model).graph.node)
    calibrate(load_onnx(model), list_images(small_images)).write(tmp_path / "table.json")
    refused = [warning for warning in result.warnings if "no FP16 engine" in warning]
    for backend in ("onnxruntime", "tensorrt-rtx"):
        if backend == "tensorrt-rtx" and not is_installed("tensorrt_rtx"):
            continue
        for precision in PRECISIONS:
            if backend == "onnxruntime" and precision == "fp16" and refused:
                record_property("onnxruntime fp16", refused[0])
                continue
            record_property(f"{backend} {precision}", _built(model, backend, precision, tmp_path))


def _built(model: Path, backend: str, precision: Precision, folder: Path) -> str:
    """Build an engine, run it where a CPU can, and say in a few words what came out."""
    engine, table = folder / f"{backend}.{precision}.engine", folder / "table.json"
    calibration = table if precision == "int8" else None
    passport = build_engine(model, BuildOptions(precision, backend, calibration, out=engine, keep_int8=True)).passport
    assert precision == "fp16" or passport.int8_convolutions > 0
    said = f"{passport.int8_convolutions} of {passport.convolutions}" if precision == "int8" else "built"
    if passport.kept_float32:
        said += f", {len(passport.kept_float32)} layers in float32"
    if backend != "onnxruntime":
        return said
    frames = np.random.default_rng(0).integers(0, 256, (1, SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    exact, found = open_engine(model).infer(frames), open_engine(engine).infer(frames)
    assert np.isfinite(found).all()
    difference = np.abs(found - exact).max()
    assert precision == "int8" or difference < LARGEST_FP16_DIFFERENCE
    return f"{said}, differs by {difference:.1e}"
