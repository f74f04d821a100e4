"""Wrong data and wrong networks through the command: none passes, and the first reason says what is wrong.

The right network marks what is red; each picture has one red disc. Whatever cannot be told lies in docs/inputs.md.
"""

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper
from PIL import Image

from edgeseg.cli import run
from edgeseg.graph.onnx_files import serialize, with_metadata
from edgeseg.images import write_png
from edgeseg.specs import ModelMetadata, ModelSpec, PreprocessSpec
from tests.cli.wrong_data import (
    FAILED,
    INPUT,
    MISMATCH,
    NOTHING_FOUND,
    SIZE_PX,
    WRONG_DATA,
    Pair,
    right_data,
)

pytestmark = pytest.mark.long


def network(
    path: Path,
    sign: float = 1,
    bias: float = -7.5,
    extra: tuple[str, np.ndarray] | None = None,
    *,
    kernel: np.ndarray | None = None,
) -> Path:
    """A network in the contract's form: sigmoid((red - (green + blue) / 2) / 8 + bias), or of another kernel.

    Args:
        path: Where it goes.
        sign: A factor of the weights.
        bias: Added to the logits.
        extra: An operator and a constant [1,1,H,W] that it joins to the logits.
        kernel: float [1,3,k,k] in place of the colours' weights.
    """
    weight = np.array([1 / 8, -1 / 16, -1 / 16], np.float32).reshape(1, 3, 1, 1) if kernel is None else kernel
    side = weight.shape[2] // 2
    tensors = [
        numpy_helper.from_array(np.asarray(sign * weight, np.float32), "weight"),
        numpy_helper.from_array(np.array([bias], np.float32), "bias"),
    ]
    nodes: list[NodeProto] = [
        helper.make_node("Cast", ["frame"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weight", "bias"], ["logit"], pads=[side] * 4),
    ]
    last = "logit"
    if extra is not None:
        tensors.append(numpy_helper.from_array(extra[1].astype(np.float32), "constant"))
        nodes.append(helper.make_node(extra[0], ["logit", "constant"], ["joined"]))
        last = "joined"
    nodes.append(helper.make_node("Sigmoid", [last], ["probability"]))
    graph = helper.make_graph(
        nodes,
        "red",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["N", SIZE_PX, SIZE_PX, 3])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N", 1, SIZE_PX, SIZE_PX])],
        tensors,
    )
    proto = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    model = ModelSpec(architecture="red", height=SIZE_PX, width=SIZE_PX)
    path.write_bytes(serialize(with_metadata(proto, ModelMetadata(model=model, preprocess=PreprocessSpec()))))
    return path


def band(rows: slice, value: float) -> np.ndarray:
    constant = np.zeros((1, 1, SIZE_PX, SIZE_PX), np.float32)
    constant[:, :, rows] = value
    return constant


def moved() -> np.ndarray:
    """The right kernel, 16 pixels beside its place."""
    kernel = np.zeros((1, 3, 33, 33), np.float32)
    kernel[0, :, 16, 0] = (1 / 8, -1 / 16, -1 / 16)
    return kernel


UNTRAINED = np.random.default_rng(4).normal(0, 0.05, (1, 3, 7, 7)).astype(np.float32)
UNTRAINED -= UNTRAINED.mean()
Make = Callable[[Path], Path]
NETWORKS: dict[str, Make] = {
    "right": network,
    "inverted": lambda path: network(path, -1, 7.5),
    "marks nothing": lambda path: network(path, 0, -9),
    "marks everything": lambda path: network(path, 0, 9),
    "marks a band": lambda path: network(path, 0, -9, ("Add", band(slice(20, 40), 18))),
    "untrained": lambda path: network(path, bias=0, kernel=UNTRAINED),
    "NaN": lambda path: network(path, bias=float("nan")),
    "red for blue": lambda path: network(path, kernel=np.array([-1, -1, 2], np.float32).reshape(1, 3, 1, 1) / 16),
    "half blind": lambda path: network(path, extra=("Add", band(slice(0, 32), -99))),
    "shifted": lambda path: network(path, kernel=moved()),
}
WRONG_NETWORKS: dict[tuple[str, str], str] = {
    ("marks nothing", "marks nothing"): "marks nothing on all 12 images",
    ("marks everything", "marks everything"): "marks the whole picture on all 12 images",
    ("marks a band", "marks a band"): "marks the same pixels on all 12 images",
    ("inverted", "inverted"): "finds the polyp of none",
    ("untrained", "untrained"): "finds the polyp of none",
    ("red for blue", "red for blue"): "finds the polyp of none",
    ("shifted", "shifted"): NOTHING_FOUND,
    ("marks nothing", "right"): "the engine marks nothing on all 12 images",
    ("marks everything", "right"): "the engine marks the whole picture",
    ("marks a band", "right"): "the engine marks the same pixels",
    ("inverted", "right"): "agree with the reference's",
    ("untrained", "right"): "agree with the reference's",
    ("half blind", "right"): "mean Dice drop",
    ("shifted", "right"): "agree with the reference's",
    ("NaN", "right"): "NaN or infinity on 12 of 12",
    ("right", "marks nothing"): "agree with the reference's",
    ("right", "marks everything"): "agree with the reference's",
    ("right", "inverted"): "agree with the reference's",
    ("right", "untrained"): "agree with the reference's",
    ("right", "half blind"): "is the reference the network",
    ("right", "NaN"): "NaN",
    ("NaN", "NaN"): "NaN",
}
"""Engine and reference -> the words that must stand in the reasons."""


@pytest.fixture(scope="module")
def engine_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path]]:
    """Give a network and an engine of it, each built once."""
    folder = tmp_path_factory.mktemp("networks")

    def make(name: str) -> tuple[Path, Path]:
        model = folder / f"{name.replace(' ', '-')}.onnx"
        engine = model.with_suffix(".engine")
        if not engine.exists():
            NETWORKS[name](model)
            assert run(["build-engine", str(model), "--precision", "fp32", "--out", str(engine)]) == 0
        return model, engine

    return make


def write(root: Path, pairs: list[Pair]) -> Path:
    for index, (frame, mask) in enumerate(pairs):
        write_png(root / "images" / f"{index:02d}.png", np.ascontiguousarray(frame))
        write_png(root / "masks" / f"{index:02d}.png", np.ascontiguousarray(mask))
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "right", right_data())


def verify(engine: Path, reference: Path, data: Path, *more: str) -> int:
    return run(["verify", str(engine), "--reference", str(reference), "--data", str(data), *more])


def test_the_right_network_on_the_right_data_passes(engine_of, data: Path, capsys) -> None:
    model, engine = engine_of("right")
    assert verify(engine, model, data) == 0, capsys.readouterr()


@pytest.mark.parametrize("kind", WRONG_DATA)
def test_wrong_data_never_pass(engine_of, tmp_path: Path, capsys, kind: str) -> None:
    change, code, words = WRONG_DATA[kind]
    model, engine = engine_of("right")
    root = write(tmp_path / "data", change(right_data()))
    capsys.readouterr()
    assert verify(engine, model, root) == code
    said = capsys.readouterr()
    assert re.search(words, said.out + said.err), said


@pytest.mark.parametrize("kind", ["cut", "turned", "unpaired", "several pictures", "no masks", "leak", "16 bits dark"])
def test_files_that_are_wrong_never_pass(engine_of, tmp_path: Path, capsys, kind: str) -> None:
    model, engine = engine_of("right")
    root = write(tmp_path / "data" / "test", right_data())
    image, mask = root / "images" / "00.png", root / "masks" / "00.png"
    words = kind
    if kind == "cut":
        image.write_bytes(image.read_bytes()[:-500])
        words = "cut off or damaged"
    elif kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 3
        Image.open(image).save(image, exif=exif)
        words = "EXIF orientation"
    elif kind == "unpaired":
        mask.unlink()
        words = "do not pair"
    elif kind == "several pictures":
        Image.open(image).save(image, save_all=True, append_images=[Image.open(mask).convert("RGB")])
    elif kind == "no masks":
        for path in (root / "masks").iterdir():
            path.unlink()
        words = "do not pair"
    elif kind == "leak":
        write(tmp_path / "data" / "train", right_data())
        words = "leak"
    else:
        cv2.imwrite(str(image), cv2.imread(str(image)).astype(np.uint16) * 16)
        words = "brightness of it is not clear"
    capsys.readouterr()
    code = verify(engine, model, tmp_path / "data")
    said = capsys.readouterr()
    if kind == "leak":  # verify reads one split; data inspect reads all of them
        assert run(["data", "inspect", str(tmp_path / "data")]) == INPUT
        said = capsys.readouterr()
    else:
        assert code == INPUT
    assert words in said.out + said.err, said


@pytest.mark.parametrize(("engine_name", "reference_name"), WRONG_NETWORKS)
def test_wrong_networks_never_pass(engine_of, data: Path, capsys, engine_name: str, reference_name: str) -> None:
    _, engine = engine_of(engine_name)
    model, _ = engine_of(reference_name)
    capsys.readouterr()
    code = verify(engine, model, data)
    said = capsys.readouterr()
    assert code in (FAILED, INPUT, MISMATCH), said
    assert re.search(WRONG_NETWORKS[engine_name, reference_name], said.out + said.err), said
