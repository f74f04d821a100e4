"""Networks of the packages that people train with, exported by PyTorch: imported, built in FP16 and INT8.

Needs segmentation_models_pytorch, monai or torchvision; each test skips where its package is not installed. Weights are
random, batch norms too; what is compared is the arithmetic.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgeseg.calibration.ranges import calibrate
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.export.foreign.foreign_options import ImportOptions
from edgeseg.export.foreign.importing import import_onnx
from edgeseg.export.parity import MAX_PROBABILITY_DIFFERENCE
from edgeseg.graph.files import load_onnx
from edgeseg.images import list_images
from edgeseg.optional import is_installed
from edgeseg.runtime.opener.engine_from_file import open_engine

pytestmark = pytest.mark.long
SIDE_PX = 128
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


def _only_out(network: Any) -> Any:
    import torch

    class Out(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, picture: Any) -> Any:
            return self.network(picture)["out"]

    return Out()


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
def test_it_comes_in_and_builds(name: str, exporter: str, small_images: Path, tmp_path: Path) -> None:
    source, model = tmp_path / "net.onnx", tmp_path / "model.onnx"
    _exported(NETWORKS[name], exporter, source)
    result = import_onnx(source, model, ImportOptions(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)))
    assert result.metadata.provenance.metrics["max_probability_difference"] <= MAX_PROBABILITY_DIFFERENCE
    assert not any(node.op_type in ("Shape", "BatchNormalization", "If") for node in onnx.load(model).graph.node)
    frames = np.random.default_rng(0).integers(0, 256, (1, SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    exact = open_engine(model).infer(frames)
    table = tmp_path / "table.json"
    calibrate(load_onnx(model), list_images(small_images)).write(table)
    backends = ["onnxruntime", *(["tensorrt-rtx"] if is_installed("tensorrt_rtx") else [])]
    for backend in backends:
        for precision in ("fp16", "int8"):
            if (
                backend == "onnxruntime"
                and precision == "fp16"
                and any("no FP16 engine" in said for said in result.warnings)
            ):
                continue
            engine = tmp_path / f"{backend}.{precision}.engine"
            calibration = table if precision == "int8" else None
            passport = build_engine(
                model, BuildOptions(precision, backend, calibration, out=engine, keep_int8=True)
            ).passport
            assert precision == "fp16" or passport.int8_convolutions > 0
            if backend == "onnxruntime":
                found = open_engine(engine).infer(frames)
                assert np.isfinite(found).all()
                if precision == "fp16":
                    assert np.abs(found - exact).max() < LARGEST_FP16_DIFFERENCE
