"""Weights in files beside an ONNX file: read from its own folder and from nowhere else."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgeseg.errors import BadInputError
from edgeseg.graph.external_data import with_data_inside

WEIGHT = np.random.default_rng(1).normal(0, 1, (4, 3, 3, 3)).astype(np.float32)


def network(**place: Any) -> onnx.ModelProto:
    """A convolution whose weight lies elsewhere; `place` overrides where."""
    weight = numpy_helper.from_array(WEIGHT, "w")
    picture = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 6, 6])
    graph = helper.make_graph([helper.make_node("Conv", ["x", "w"], ["y"])], "g", [picture], [result], [weight])
    proto = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entries = {"location": "net.onnx.data", "offset": 16, "length": WEIGHT.nbytes, **place}
    for key, entry in entries.items():
        if entry is not None:
            tensor.external_data.add(key=key, value=str(entry))
    return proto


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the weights, and a secret beside the folder."""
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "net.onnx.data").write_bytes(b"\0" * 16 + WEIGHT.tobytes())
    (tmp_path / "secret.bin").write_bytes(b"\0" * 16 + WEIGHT.tobytes())
    return tmp_path / "net"


def test_weights_beside_the_file_come_in(folder: Path) -> None:
    proto, sha256 = with_data_inside(network(), folder / "net.onnx")
    np.testing.assert_array_equal(numpy_helper.to_array(proto.graph.initializer[0]), WEIGHT)
    assert not proto.graph.initializer[0].external_data
    content = hashlib.sha256((folder / "net.onnx.data").read_bytes()).digest()
    assert sha256 == hashlib.sha256(content).hexdigest()
    onnx.checker.check_model(proto, full_check=True)


def test_onnx_own_writer_is_read(tmp_path: Path) -> None:
    proto, _ = with_data_inside(network(), _filled(tmp_path) / "net.onnx")
    onnx.save_model(proto, tmp_path / "again.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    outside = onnx.load(tmp_path / "again.onnx", load_external_data=False)
    assert outside.graph.initializer[0].data_location == TensorProto.EXTERNAL
    inside, _ = with_data_inside(outside, tmp_path / "again.onnx")
    np.testing.assert_array_equal(numpy_helper.to_array(inside.graph.initializer[0]), WEIGHT)


def _filled(folder: Path) -> Path:
    (folder / "net.onnx.data").write_bytes(b"\0" * 16 + WEIGHT.tobytes())
    return folder


def test_a_file_without_any_is_left_as_it_is(folder: Path) -> None:
    inside, _ = with_data_inside(network(), folder / "net.onnx")
    again, sha256 = with_data_inside(inside, folder / "elsewhere" / "net.onnx")
    assert again == inside and sha256 is None


REFUSED: dict[str, dict[str, Any]] = {
    "lie outside its folder": {"location": "../secret.bin"},
    "outside its folder": {"location": "sub/../../secret.bin"},
    "its folder": {"location": "..\\secret.bin"},
    "lie outside": {"location": "C:\\secret.bin"},
    "outside": {"location": ""},
    "weights of w lie outside": {"location": "net\0.onnx.data"},
    "cannot be read": {"location": "nothing.bin"},
    "do not fit": {"length": WEIGHT.nbytes - 4},
    "not fit": {"offset": 20},
    "fit the file": {"offset": 2**62},
    "is no number": {"offset": -16},
    "no number": {"length": "many"},
    "number": {"offset": "9" * 400},
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_lie_in_the_folder_or_does_not_fit_is_refused(what: str, folder: Path) -> None:
    (folder / "sub").mkdir()
    with pytest.raises(BadInputError, match=what) as caught:
        with_data_inside(network(**REFUSED[what]), folder / "net.onnx")
    assert "keeps weights in other files" in caught.value.what and caught.value.next_command


def test_an_absolute_path_is_refused_even_into_the_folder(folder: Path) -> None:
    with pytest.raises(BadInputError, match="outside its folder"):
        with_data_inside(network(location=folder / "net.onnx.data"), folder / "net.onnx")


@pytest.mark.parametrize("link", ["file", "folder"])
def test_a_link_out_of_the_folder_is_refused(link: str, folder: Path) -> None:
    if link == "file":
        (folder / "w.bin").symlink_to(folder.parent / "secret.bin")
    else:
        (folder / "w").symlink_to(folder.parent)
    location = "w.bin" if link == "file" else "w/secret.bin"
    with pytest.raises(BadInputError, match="outside its folder"):
        with_data_inside(network(location=location), folder / "net.onnx")


def test_links_in_a_circle_are_refused(folder: Path) -> None:
    (folder / "w.bin").symlink_to("w.bin")
    with pytest.raises(BadInputError, match="keeps weights in other files"):
        with_data_inside(network(location="w.bin"), folder / "net.onnx")


def test_a_link_inside_the_folder_is_followed(folder: Path) -> None:
    (folder / "w.bin").symlink_to("net.onnx.data")
    proto, _ = with_data_inside(network(location="w.bin"), folder / "net.onnx")
    np.testing.assert_array_equal(numpy_helper.to_array(proto.graph.initializer[0]), WEIGHT)


def test_a_pipe_and_a_folder_are_no_weights(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "sub").mkdir()
    for location in ("pipe", "sub"):
        with pytest.raises(BadInputError, match="keeps weights in other files"):
            with_data_inside(network(location=location), folder / "net.onnx")


@given(dims=st.lists(st.integers(-2, 2**40), max_size=4), kind=st.integers(0, 30))
def test_no_shape_or_type_reads_past_the_file(dims: list[int], kind: int, tmp_path_factory: Callable[..., Any]) -> None:
    folder = _filled(tmp_path_factory.mktemp("net"))  # type: ignore[attr-defined]
    proto = network(offset=0, length=None)
    proto.graph.initializer[0].dims[:] = dims
    proto.graph.initializer[0].data_type = kind
    try:
        inside, _ = with_data_inside(proto, folder / "net.onnx")
    except BadInputError:
        return
    assert len(inside.graph.initializer[0].raw_data) <= 16 + WEIGHT.nbytes
