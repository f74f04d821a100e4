"""Tests of what `import-onnx` refuses, and the words that it finds."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeseg.errors import BadInputError, ToleranceError, UsageError
from edgeseg.export.foreign import foreign_wrap
from edgeseg.export.foreign.foreign_options import ImportOptions
from edgeseg.export.foreign.importing import ImportResult, import_onnx
from edgeseg.export.parity import check_parity
from edgeseg.images import read_rgb

Import = Callable[..., tuple[Path, ImportResult]]


def simple(
    nodes: list[Any], inputs: list[Any], outputs: list[Any], tensors: list[Any] | None = None, **model: Any
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "g", inputs, outputs, tensors or [])
    opsets = [helper.make_opsetid("", model.get("opset", 17)), *model.get("domains", [])]
    return helper.make_model(graph, ir_version=8, opset_imports=opsets)


def value(name: str, shape: Any, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


PICTURE = [value("x", [1, 3, 16, 16])]
MEAN_OF_PLANES = helper.make_node("ReduceMean", ["x"], ["m"], axes=[1], keepdims=1)
REFUSED = {
    "two inputs": (
        simple([MEAN_OF_PLANES], [*PICTURE, value("z", [1])], [value("m", [1, 1, 16, 16])]),
        "has 2 inputs",
        "z: float",
    ),
    "one channel in": (
        simple([helper.make_node("Relu", ["x"], ["y"])], [value("x", [1, 1, 16, 16])], [value("y", [1, 1, 16, 16])]),
        "no picture of three colours",
        r"[1,1,16,16]",
    ),
    "a mask out": (
        simple(
            [MEAN_OF_PLANES, helper.make_node("Greater", ["m", "half"], ["y"])],
            PICTURE,
            [value("y", [1, 1, 16, 16], TensorProto.BOOL)],
            [numpy_helper.from_array(np.float32(0.5), "half")],
        ),
        "no map of classes",
        "class indices",
    ),
    "rank 2 out": (
        simple(
            [helper.make_node("ReduceMean", ["x"], ["y"], axes=[0, 1], keepdims=0)], PICTURE, [value("y", [16, 16])]
        ),
        "no map of classes",
        "[16, 16]",
    ),
    "whole numbers in": (
        simple(
            [helper.make_node("Identity", ["x"], ["y"])],
            [value("x", [1, 3, 16, 16], TensorProto.INT32)],
            [value("y", [1, 3, 16, 16], TensorProto.INT32)],
        ),
        "no picture of three colours",
        "int32",
    ),
    "odd size out": (
        simple([helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[6, 6])], PICTURE, [value("y", [1, 3, 11, 11])]),
        "another size",
        "[1, 3, 11, 11]",
    ),
    "custom operator": (
        simple(
            [helper.make_node("Swish", ["x"], ["y"], domain="com.somebody")],
            PICTURE,
            [value("y", [1, 3, 16, 16])],
            domains=[helper.make_opsetid("com.somebody", 1)],
        ),
        "not part of ONNX",
        "com.somebody.Swish",
    ),
    "quantised": (
        simple(
            [
                helper.make_node("QuantizeLinear", ["x", "s"], ["q"]),
                helper.make_node("DequantizeLinear", ["q", "s"], ["y"]),
            ],
            PICTURE,
            [value("y", [1, 3, 16, 16])],
            [numpy_helper.from_array(np.float32(1), "s")],
        ),
        "quantised already",
        "DequantizeLinear, QuantizeLinear",
    ),
    "opset 9": (
        simple([helper.make_node("Relu", ["x"], ["y"])], PICTURE, [value("y", [1, 3, 16, 16])], opset=9),
        "operator set",
        "opset 9",
    ),
    "opset 25": (
        simple([helper.make_node("Relu", ["x"], ["y"])], PICTURE, [value("y", [1, 3, 16, 16])], opset=25),
        "operator set",
        "opset 25",
    ),
    "two pictures at once, which depend on each other": (
        simple(
            [helper.make_node("ReduceSum", ["x", "axes"], ["s"]), helper.make_node("Sub", ["x", "s"], ["y"])],
            [value("x", [2, 3, 16, 16])],
            [value("y", [2, 3, 16, 16])],
            [numpy_helper.from_array(np.array([0]), "axes")],
        ),
        "one batch size only",
        "another result",
    ),
    "constant out": (
        simple(
            [helper.make_node("Relu", ["c"], ["y"])],
            PICTURE,
            [value("y", [1])],
            [numpy_helper.from_array(np.ones(1, np.float32), "c")],
        ),
        "not computed from its input",
        "",
    ),
    "NaN in the weights": (
        simple(
            [helper.make_node("Conv", ["x", "w"], ["y"])],
            PICTURE,
            [value("y", [1, 1, 16, 16])],
            [numpy_helper.from_array(np.full((1, 3, 1, 1), np.nan, np.float32), "w")],
        ),
        "not finite",
        "nan",
    ),
    "a picture of 50 GB": (
        simple(
            [helper.make_node("Relu", ["x"], ["y"])],
            [value("x", [1, 3, 65536, 65536])],
            [value("y", [1, 3, 65536, 65536])],
        ),
        "too large a picture",
        "height 65536",
    ),
    "not finite": (
        simple([helper.make_node("Log", ["x"], ["y"])], PICTURE, [value("y", [1, 3, 16, 16])]),
        "not finite",
        "inf",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_in_words(case: str, imported: Import, tmp_path: Path) -> None:
    proto, what, found = REFUSED[case]
    with pytest.raises(BadInputError) as caught:
        imported(proto)
    assert what in caught.value.what
    assert found in (caught.value.found or "")
    assert not (tmp_path / "ours").exists()


def test_branches_are_refused(imported: Import) -> None:
    branch = helper.make_graph([helper.make_node("Relu", ["x"], ["b"])], "b", [], [value("b", [1, 3, 16, 16])])
    node = helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch)
    yes = numpy_helper.from_array(np.array(True), "yes")
    with pytest.raises(BadInputError, match="branches or loops"):
        imported(simple([node], PICTURE, [value("y", [1, 3, 16, 16])], [yes]))


def test_weights_in_other_files_are_refused_unread(
    foreign_network: Any, imported: Import, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("secret.bin").write_bytes(b"\0" * 4096)
    source = foreign_network().proto()
    tensor = source.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, location="secret.bin")
    tensor.ClearField("raw_data")
    with pytest.raises(BadInputError, match="keeps weights in other files"):
        imported(source)


def test_logits_said_to_be_probabilities_are_refused(foreign_network: Any, imported: Import) -> None:
    with pytest.raises(BadInputError, match="these are logits"):
        imported(foreign_network().proto(), output="probability")
    with pytest.raises(BadInputError, match="do not share one probability"):
        imported(foreign_network(channels=2, activation="Sigmoid").proto(), output="probability")


def test_probabilities_said_to_be_logits_are_suspected(foreign_network: Any, imported: Import) -> None:
    _, result = imported(foreign_network(activation="Sigmoid").proto(), output="logits")
    assert len(result.warnings) == 1 and "--output probability" in result.warnings[0]


def test_a_wrong_graph_is_refused_with_its_worst_input(
    foreign_network: Any, imported: Import, small_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = foreign_wrap._head

    def skewed(options: ImportOptions) -> Any:
        return honest(ImportOptions(mean=(0.1, 0.0, 0.0)))

    monkeypatch.setattr(foreign_wrap, "_head", skewed)
    with pytest.raises(ToleranceError, match=r"net\.onnx itself") as caught:
        imported(foreign_network().proto(), data=small_images)
    assert caught.value.exit_code == 3
    assert [path.name for path in (tmp_path / "ours").iterdir()] == ["model.worst-input.png"]
    assert read_rgb(tmp_path / "ours" / "model.worst-input.png").shape == (16, 16, 3)


def test_nan_in_one_input_is_not_forgotten_for_the_next(tmp_path: Path) -> None:
    class Constant:
        def __init__(self, bad: float) -> None:
            self.bad = bad

        def infer(self, pictures: np.ndarray) -> np.ndarray:
            return np.full((1, 1, 4, 4), self.bad if pictures[0, 0, 0, 0] == 0 else 0.5, np.float32)

    inputs = [np.full((1, 4, 4, 3), grey, np.uint8) for grey in (0, 9)]
    with pytest.raises(ToleranceError):
        check_parity(Constant(0.5), Constant(np.nan), inputs, tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("off", "by", "decides", "passes"),
    [(40, 0.04, True, True), (41, 0.04, True, False), (1, 0.06, True, False), (1, 0.04, False, False)],
)
def test_a_network_that_decides_may_decide_otherwise_at_a_few_pixels(
    off: int, by: float, decides: bool, passes: bool, tmp_path: Path
) -> None:
    """40 of 4,096 pixels are just below 1 %, in the second picture of the batch."""

    class Off:
        def __init__(self, count: int) -> None:
            self.count = count

        def infer(self, pictures: np.ndarray) -> np.ndarray:
            answer = np.full((2, 1, 64, 64), 0.5, np.float32)
            answer[1].flat[: self.count] += by
            return answer

    judged = functools.partial(check_parity, Off(0), Off(off), [np.zeros((2, 64, 64, 3), np.uint8)])
    if passes:
        assert judged(tmp_path / "model.onnx", decides=decides) == pytest.approx(by)
    else:
        with pytest.raises(ToleranceError):
            judged(tmp_path / "model.onnx", decides=decides)


def test_the_file_that_is_read_is_not_overwritten(foreign_network: Any, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(foreign_network().proto().SerializeToString())
    with pytest.raises(UsageError, match="is read"):
        import_onnx(path, path, ImportOptions())


@pytest.mark.parametrize("options", [{"std": (1, 0, 1)}, {"scale": 0.0}, {"mean": (float("nan"), 0, 0)}])
def test_a_normalisation_that_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="normalisation"):
        ImportOptions(**options)
