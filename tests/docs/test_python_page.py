"""Every example of docs/python.md runs as it stands, in order, with a small network under the names that it uses."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgeseg
from edgeseg.calibration.ranges import calibrate
from edgeseg.errors import BadInputError, MismatchError
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.images import list_images, write_png
from edgeseg.packages import PACKAGE_CALIBRATION, PACKAGE_ONNX
from edgeseg.runtime.engine.one_frame import segment
from edgeseg.runtime.opener.engine_from_file import open_engine

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_examples_of_the_page(
    small_onnx: Path,
    small_images: Path,
    foreign_network: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "models" / "kvasir-small"
    package.mkdir(parents=True)
    shutil.copy(small_onnx, package / PACKAGE_ONNX)
    calibrate(load_onnx(small_onnx), list_images(small_images)).write(package / PACKAGE_CALIBRATION)
    (tmp_path / "net.onnx").write_bytes(foreign_network().proto().SerializeToString())
    data = tmp_path / "data"
    frame = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    for index in range(8):
        picture = np.roll(frame, index, axis=1)
        write_png(data / "test" / "images" / f"{index}.png", picture)
        write_png(data / "test" / "masks" / f"{index}.png", segment(open_engine(small_onnx), picture))
    names: dict[str, Any] = {"frame": frame, "DATA": data}
    segmenting, building, proving, importing = EXAMPLES
    for example in (building, segmenting, proving, importing):
        exec(compile(example, str(PAGE), "exec"), names)
    assert names["mask"].shape == (48, 64) and set(np.unique(names["mask"])) <= {0, 255}
    assert names["probability"].shape == (1, 16, 16)
    assert names["built"].passport.precision == "int8"
    assert names["verdict"].image_count == 8 and (tmp_path / "proof" / "verdict.html").is_file()
    assert (tmp_path / "model.onnx").is_file()


def test_an_engine_gives_what_run_gives(tiny_onnx: Path) -> None:
    frame = np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8)
    with edgeseg.open_engine(tiny_onnx, threads=1) as engine:
        np.testing.assert_array_equal(engine.segment(frame), segment(open_engine(tiny_onnx), frame))
        assert "onnxruntime fp32, 32x32" in repr(engine)


@pytest.mark.parametrize("frame", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), "frame.png"])
def test_what_is_no_frame_is_refused(frame: Any, tiny_onnx: Path) -> None:
    with edgeseg.open_engine(tiny_onnx) as engine, pytest.raises(BadInputError, match="no frame"):
        engine.segment(frame)


def test_errors_are_those_of_the_commands(tiny_engine: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError):
        edgeseg.open_engine(tmp_path / "none.onnx")
    tiny_engine.write_bytes(tiny_engine.read_bytes() + b"x")
    with pytest.raises(MismatchError):
        edgeseg.open_engine(tiny_engine)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        edgeseg.nonsense  # noqa: B018


def test_importing_edgeseg_loads_nothing_heavy() -> None:
    heavy = ("numpy", "onnx", "cv2", "pydantic", "onnxruntime")
    code = f"import sys, edgeseg; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
