"""Graphs on which a library crashes: they end a process of their own, never the command."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeseg.child import ChildFailedError, ask_child
from edgeseg.cli import run
from edgeseg.errors import BadInputError
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.export.builders import trial_opening
from edgeseg.export.foreign.importing import ImportResult
from edgeseg.optional import is_installed

Import = Callable[..., tuple[Path, ImportResult]]
needs_openvino = pytest.mark.skipif(not is_installed("openvino"), reason="openvino is not installed")


def network(*, attention: bool) -> onnx.ModelProto:
    """Two convolutions; with `attention` a product of matrices between them, as in a transformer."""
    rng = np.random.default_rng(4)
    tensors = [
        numpy_helper.from_array(rng.normal(0, 0.3, shape).astype(np.float32), name)
        for name, shape in (("a", (4, 3, 3, 3)), ("mixing", (16, 16)), ("b", (1, 4, 1, 1)))
    ]
    between = [helper.make_node("MatMul", ["y", "mixing"], ["z"], name="mix")]
    nodes = [
        helper.make_node("Conv", ["picture", "a"], ["y"], name="first", pads=[1] * 4),
        *(between if attention else [helper.make_node("Relu", ["y"], ["z"], name="relu")]),
        helper.make_node("Conv", ["z", "b"], ["logits"], name="last"),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", channels, 16, 16])
        for name, channels in (("picture", 3), ("logits", 1))
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


@pytest.fixture
def crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries that end the process in which a graph is tried."""
    (tmp_path / "crashing.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(trial_opening, "THIS", "crashing")


@pytest.mark.usefixtures("crash")
def test_a_graph_on_which_onnxruntime_crashes_ends_no_command(imported: Import, tmp_path: Path) -> None:
    """ONNX Runtime 1.32 ends the process on some transformers in FP16."""
    path, result = imported(network(attention=True))
    assert len(result.warnings) == 1
    assert "ONNX Runtime crashes when it opens the graph (exit code -11" in result.warnings[0]
    with pytest.raises(BadInputError, match="ONNX Runtime cannot run") as caught:
        build_engine(path, BuildOptions("fp16", "onnxruntime", out=tmp_path / "x.engine"))
    assert "--precision fp32" in (caught.value.next_command or "")
    build_engine(path, BuildOptions("fp32", "onnxruntime", out=tmp_path / "x.engine"))


@needs_openvino
def test_openvino_builds_what_it_survives(imported: Import, tmp_path: Path) -> None:
    path, _ = imported(network(attention=True))
    build_engine(path, BuildOptions("fp16", "openvino", out=tmp_path / "x.engine"))
    assert (tmp_path / "x.engine").is_file()


@needs_openvino
def test_a_graph_on_which_openvino_crashes_ends_no_command(
    imported: Import, crash: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = imported(network(attention=True))
    out = tmp_path / "built" / "x.engine"
    words = ["build-engine", str(path), "--precision", "fp16", "--backend", "openvino", "--out", str(out)]
    assert run(words) == 5
    said = " ".join(capsys.readouterr().err.split())
    assert "OpenVINO cannot run" in said and "in FP16" in said
    assert "OpenVINO crashes when it opens the graph (exit code -11" in said
    assert "--backend openvino --precision fp32" in said
    assert not out.parent.exists() or not any(out.parent.iterdir())


@needs_openvino
def test_a_graph_of_convolutions_alone_needs_no_trial(imported: Import, crash: None, tmp_path: Path) -> None:
    path, _ = imported(network(attention=False))
    build_engine(path, BuildOptions("fp16", "openvino", out=tmp_path / "x.engine"))


def test_a_child_that_does_not_answer_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sleeping.py").write_text("import time; time.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ChildFailedError, match="the sleeper's process did not answer in 1 s"):
        ask_child("sleeping", role="the sleeper", timeout_s=1)
