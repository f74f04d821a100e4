"""Networks as PyTorch exports them, with shapes that are computed in the graph."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from scipy.special import softmax

from edgeseg.calibration.ranges import calibrate
from edgeseg.errors import BadInputError
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.export.foreign.foreign_options import ImportOptions
from edgeseg.export.foreign.importing import ImportResult, import_onnx
from edgeseg.files import sha256_file
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.images import list_images
from edgeseg.optional import is_installed
from edgeseg.runtime.opener.engine_from_file import open_engine

Import = Callable[..., tuple[Path, ImportResult]]
MEAN, STD = (0.48, 0.45, 0.4), (0.2, 0.3, 0.25)


def bare(proto: onnx.ModelProto, pictures: np.ndarray) -> np.ndarray:
    """The network as it came, fed with pictures that are normalised here."""
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    planes = ((pictures / 255 - MEAN) / STD).astype(np.float32).transpose(0, 3, 1, 2)
    return np.concatenate([session.run(None, {session.get_inputs()[0].name: plane[np.newaxis]})[0] for plane in planes])


def exported_by_torch(dynamic: bool, optimize: bool) -> onnx.ModelProto:
    torch = pytest.importorskip("torch", reason="the exporter of PyTorch needs the extra `train`")
    pytest.importorskip("onnxscript", reason="likewise")
    nn = torch.nn

    class Small(nn.Module):  # type: ignore[name-defined,misc]
        """Attention over channels, a reshape, an upsampling to another's size."""

        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.SiLU())
            self.down = nn.Sequential(nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.Hardswish())
            self.gate = nn.Linear(8, 8)
            self.head = nn.Conv2d(16, 2, 1)

        def forward(self, image: Any) -> Any:
            stem = self.stem(image)
            down = self.down(stem)
            gate = torch.sigmoid(self.gate(down.mean((2, 3)))).view(image.shape[0], -1, 1, 1)
            down = (down * gate).reshape(image.shape[0], 2, 4, -1).transpose(1, 2).reshape(down.shape)
            larger = nn.functional.interpolate(down, size=stem.shape[2:], mode="bilinear", align_corners=False)
            return self.head(torch.cat([larger, stem], 1))

    torch.manual_seed(0)
    network = Small().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 2)
    shapes = {"image": {0: torch.export.Dim("batch", min=1, max=8)}} if dynamic else None
    example = torch.zeros((2 if dynamic else 1, 3, 32, 32))
    program = torch.onnx.export(
        network, (example,), dynamo=True, dynamic_shapes=shapes, external_data=False, verbose=False, optimize=optimize
    )
    return onnx.load_model_from_string(program.model_proto.SerializeToString())


@pytest.mark.skipif(not is_installed("torch"), reason="the exporter of PyTorch needs the extra `train`")
@pytest.mark.parametrize(("dynamic", "optimize"), [(False, True), (True, True), (False, False)])
def test_what_pytorch_exports(
    dynamic: bool, optimize: bool, imported: Import, tmp_path: Path, small_images: Path
) -> None:
    source = exported_by_torch(dynamic, optimize)
    path, _ = imported(source, mean=MEAN, std=STD)
    assert not any(node.op_type == "BatchNormalization" for node in onnx.load(path).graph.node)
    pictures = np.random.default_rng(4).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_allclose(open_engine(path).infer(pictures), softmax(bare(source, pictures), axis=1), atol=1e-5)
    calibrate(load_onnx(path), list_images(small_images)).write(tmp_path / "t.json")
    options = BuildOptions("int8", "onnxruntime", tmp_path / "t.json", out=tmp_path / "x.engine")
    assert build_engine(path, options).passport.convolutions == 3
    if is_installed("tensorrt_rtx"):
        build_engine(path, BuildOptions("int8", "tensorrt-rtx", tmp_path / "t.json", out=tmp_path / "r.engine"))


@pytest.mark.skipif(not is_installed("torch"), reason="the exporter of PyTorch needs the extra `train`")
def test_the_two_files_of_pytorchs_default_export(tmp_path: Path) -> None:
    import torch

    pytest.importorskip("onnxscript", reason="the exporter of PyTorch needs the extra `train`")
    nn = torch.nn
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.SiLU(), nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 1, 1)
    )
    source = tmp_path / "net.onnx"
    torch.onnx.export(network.eval(), (torch.rand(1, 3, 32, 32),), source, verbose=False)
    assert (tmp_path / "net.onnx.data").is_file()
    result = import_onnx(source, tmp_path / "model.onnx", ImportOptions())
    provenance = result.metadata.provenance
    assert provenance.source_sha256 == sha256_file(source) and provenance.source_data_sha256 is not None
    pictures = np.random.default_rng(4).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    with torch.no_grad():
        planes = torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255
        expected = torch.sigmoid(network(planes)).numpy()
    np.testing.assert_allclose(open_engine(tmp_path / "model.onnx").infer(pictures), expected, atol=1e-5)
    with pytest.raises(BadInputError, match="keeps weights in other files"):
        load_onnx(source)
    (tmp_path / "net.onnx.data").unlink()
    with pytest.raises(BadInputError, match=r"cannot be read: net\.onnx\.data"):
        import_onnx(source, tmp_path / "model.onnx", ImportOptions())
