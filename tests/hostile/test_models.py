"""Graphs and engines whose hashes are right and whose content lies."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from benchmarks.fuzz import corpus
from edgeseg.artifacts import EngineArtifact
from edgeseg.errors import BadInputError, MismatchError
from edgeseg.files import sha256_bytes
from edgeseg.graph.external_data import with_data_inside
from edgeseg.graph.onnx_files import load_onnx, serialize
from edgeseg.runtime.engine.failures import InferenceFailedError
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.engine.one_frame import probability_of
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.passport.bindings import numbers

Change = Callable[[onnx.ModelProto], Any]


@pytest.mark.parametrize("dims", [[1] * 5000, [2**40, 2**40], [-1], [2**62, 4]])
def test_weights_of_a_shape_that_they_do_not_have_are_refused(tiny_onnx: Path, dims: list[int]) -> None:
    proto = onnx.load_model_from_string(tiny_onnx.read_bytes())
    proto.graph.initializer[0].dims[:] = dims
    tiny_onnx.write_bytes(serialize(proto))
    with pytest.raises(BadInputError, match="is no valid ONNX file"):
        load_onnx(tiny_onnx)


def signed_again(engine: Path, change: Change) -> Path:
    """Change an engine's graph and put the right hash into its passport."""
    proto = onnx.load_model_from_string(engine.read_bytes())
    change(proto)
    data = serialize(proto)
    engine.write_bytes(data)
    path = engine.with_name(engine.name + ".json")
    sha256 = {"engine_sha256": sha256_bytes(data), "engine_bytes": len(data)}
    EngineArtifact.read(path).model_copy(update=sha256).write(path)
    return engine


def probability(engine: Path) -> Any:
    with contextlib.closing(open_engine(engine)) as opened:
        return probability_of(opened, PackedFrame(np.full((32, 32, 3), 200, np.uint8), "rgb"))


def test_an_engine_that_fails_on_its_frames_says_so(tiny_engine: Path) -> None:
    assert probability(tiny_engine).shape == (1, 32, 32)

    def bias_of_two_axes(proto: onnx.ModelProto) -> None:
        proto.graph.initializer[1].dims[:] = [1, 1]

    with pytest.raises(InferenceFailedError, match="onnxruntime failed while it computed") as caught:
        probability(signed_again(tiny_engine, bias_of_two_axes))
    assert caught.value.exit_code == 4 and caught.value.next_command


def test_an_engine_that_gives_something_else_than_its_passport_says_is_refused(tiny_engine: Path) -> None:
    def no_rows(proto: onnx.ModelProto) -> None:
        convolution = next(node for node in proto.graph.node if node.op_type == "Conv")
        convolution.attribute.append(onnx.helper.make_attribute("strides", [2, 1]))
        del proto.graph.output[0].type.tensor_type.shape.dim[:]

    with pytest.raises(MismatchError, match="does not give what its passport") as caught:
        probability(signed_again(tiny_engine, no_rows))
    assert "[1, 1, 16, 32]" in str(caught.value.found) and "[1, 1, 32, 32]" in str(caught.value.expected)


def test_a_version_of_any_length_is_a_version() -> None:
    assert numbers("10.3.0") == (10, 3, 0)
    assert numbers("1" * 5000)


def test_a_place_of_weights_that_is_no_text_is_refused(tmp_path: Path) -> None:
    data = corpus.foreign_networks()[1].replace(b"weights.bin", b"weight\xff.bin")
    with pytest.raises(BadInputError, match="is no text"):
        with_data_inside(onnx.load_model_from_string(data), tmp_path / "model.onnx")
