"""An onnxruntime engine is an ONNX file that may come from a stranger, passport and all."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from edgeseg.artifacts import EngineArtifact
from edgeseg.cli import run
from edgeseg.errors import BadInputError
from edgeseg.files import sha256_bytes
from edgeseg.runtime.onnxruntime.onnxruntime_session import opened, session_options
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.passport.passports import passport_path


def exchange(engine: Path, data: bytes) -> None:
    """Put other bytes there, and let the passport agree."""
    engine.write_bytes(data)
    passport = EngineArtifact.read(passport_path(engine))
    passport.model_copy(update={"engine_sha256": sha256_bytes(data)}).write(passport_path(engine))


def outside(tensor: onnx.TensorProto, location: str) -> None:
    """Let a tensor's values come from another file."""
    values = numpy_helper.to_array(tensor)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.external_data_helper.set_external_data(tensor, location, length=len(tensor.raw_data))
    tensor.ClearField("raw_data")


def as_initializer(proto: onnx.ModelProto, location: str) -> None:
    outside(proto.graph.initializer[0], location)


def as_constant(proto: onnx.ModelProto, location: str) -> None:
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "value")
    outside(tensor, location)
    proto.graph.node.insert(0, helper.make_node("Constant", [], ["unused"], value=tensor))


def in_a_branch(proto: onnx.ModelProto, location: str) -> None:
    inner = helper.make_model(helper.make_graph([], "inner", [], []))
    as_constant(inner, location)
    holder = helper.make_node("If", ["unused"], ["unused too"], then_branch=inner.graph, else_branch=inner.graph)
    proto.graph.node.append(holder)


@pytest.mark.parametrize("hide", [as_initializer, as_constant, in_a_branch])
@pytest.mark.parametrize("location", ["weights.bin", "../secret.bin", "/etc/hostname", "*/_ORT_MEM_ADDR_/*"])
def test_values_from_another_file_are_refused(
    tiny_engine: Path, hide: Callable[[onnx.ModelProto, str], None], location: str, monkeypatch
) -> None:
    monkeypatch.chdir(tiny_engine.parent)
    Path("weights.bin").write_bytes(b"\0" * 4096)
    proto = onnx.load_model_from_string(tiny_engine.read_bytes())
    hide(proto, location)
    exchange(tiny_engine, proto.SerializeToString())
    with pytest.raises(BadInputError, match="keeps weights in other files"):
        open_engine(tiny_engine)


def test_every_command_that_takes_an_engine_refuses_them(tiny_engine: Path, tmp_path: Path, capsys) -> None:
    proto = onnx.load_model_from_string(tiny_engine.read_bytes())
    as_initializer(proto, "weights.bin")
    exchange(tiny_engine, proto.SerializeToString())
    engine = str(tiny_engine)
    for command in (["inspect", engine], ["inspect", engine, "--layers"], ["bench", engine, "--seconds", "1"]):
        assert run(command) == 5
        assert "keeps weights in other files" in capsys.readouterr().err


def test_what_is_no_onnx_at_all_is_refused(tiny_engine: Path) -> None:
    exchange(tiny_engine, b"no network")
    with pytest.raises(BadInputError, match="no valid ONNX file"):
        open_engine(tiny_engine)


def test_the_binary_format_of_onnxruntime_is_refused(tiny_engine: Path, tmp_path: Path) -> None:
    """It is no ONNX, so no check of ours reads it; ONNX Runtime by itself would take it."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "engine.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    opened(tiny_engine.read_bytes(), options)
    data = (tmp_path / "engine.ort").read_bytes()
    onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    with pytest.raises(BadInputError, match="cannot load"):
        opened(data, session_options())
