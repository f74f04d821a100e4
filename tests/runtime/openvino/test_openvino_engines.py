"""Engines of OpenVINO: built, opened and told, held against ONNX Runtime on the same graphs."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgeseg.artifacts import EngineArtifact, PrecisionPlan
from edgeseg.calibration.ranges import calibrate
from edgeseg.errors import BadInputError, MismatchError, MissingComponentError, UsageError
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.export.builders import int8_gain
from edgeseg.export.builders.openvino_builder import OpenVinoBuilder
from edgeseg.export.builders.tensorrt_options import TensorRtOptions
from edgeseg.export.layers.engine_layers import layer_report
from edgeseg.export.rebuild import rebuild_engine
from edgeseg.files import sha256_bytes
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.images import list_images
from edgeseg.machine.bench.subject import subject_of
from edgeseg.optional import is_installed
from edgeseg.runtime.engine.inputs import NetworkInput
from edgeseg.runtime.engine.local_engine import LocalEngine
from edgeseg.runtime.engine.time_ratio import TimeRatio
from edgeseg.runtime.opener.engine_from_file import open_engine, start_workers
from edgeseg.runtime.opener.use import FILE, live_use
from edgeseg.runtime.openvino.openvino_session import OpenVinoSession, compiled
from edgeseg.runtime.passport.passports import passport_path

pytestmark = pytest.mark.skipif(not is_installed("openvino"), reason="needs the extra openvino")
FRAMES = np.random.default_rng(5).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)


@pytest.fixture
def table(small_onnx: Path, small_images: Path, tmp_path: Path) -> Path:
    path = tmp_path / "table.json"
    calibrate(load_onnx(small_onnx), list_images(small_images)).write(path)
    return path


def built(model: Path, precision: Any, out: Path, table: Path | None = None, backend: str = "openvino") -> Path:
    ranges = table if precision == "int8" else None
    build_engine(model, BuildOptions(precision, backend, ranges, out=out, keep_int8=True))
    return out


def exchange(engine: Path, data: bytes) -> None:
    """Put other bytes there, and let the passport agree."""
    engine.write_bytes(data)
    passport = EngineArtifact.read(passport_path(engine))
    passport.model_copy(update={"engine_sha256": sha256_bytes(data)}).write(passport_path(engine))


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("fp16", 2e-3), ("int8", 0.02)])
def test_it_gives_what_onnxruntime_gives(
    precision: str, tolerance: float, small_onnx: Path, table: Path, tmp_path: Path
) -> None:
    theirs = built(small_onnx, precision, tmp_path / "ort.engine", table, "onnxruntime")
    ours = built(small_onnx, precision, tmp_path / "ov.engine", table)
    assert ours.read_bytes() == theirs.read_bytes(), "the graph is the same"
    found, expected = open_engine(ours).infer(FRAMES), open_engine(theirs).infer(FRAMES)
    assert found.dtype == np.float32 and found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=tolerance)


def test_a_result_is_the_callers_own(small_onnx: Path, tmp_path: Path) -> None:
    session = open_engine(built(small_onnx, "fp32", tmp_path / "x.engine"))
    first = session.infer(FRAMES[:1])
    kept = first.copy()
    session.infer(FRAMES[1:2])
    np.testing.assert_array_equal(first, kept)
    session.close()
    session.close()


def test_int8_is_counted_in_what_openvino_executes(small_onnx: Path, table: Path, tmp_path: Path) -> None:
    passport = EngineArtifact.read(passport_path(built(small_onnx, "int8", tmp_path / "x.engine", table)))
    assert (passport.int8_convolutions, passport.convolutions) == (3, 5)
    assert passport.binding.instruction_set == "any"
    plain = EngineArtifact.read(passport_path(built(small_onnx, "fp32", tmp_path / "y.engine")))
    assert (plain.int8_convolutions, plain.binding.instruction_set) == (0, None)


def test_its_layers_are_told_with_their_times(small_onnx: Path, table: Path, tmp_path: Path) -> None:
    report = layer_report(built(small_onnx, "int8", tmp_path / "x.engine", table))
    assert "OpenVINO" in str(report.time_source) and (report.total_ms or 0) > 0
    convolutions = {node for layer in report.layers if layer.type == "Convolution" for node in layer.nodes}
    assert {"stem", "down", "residual"} <= {name.partition("/")[0] for name in convolutions}
    assert sum(layer.precision == "int8" for layer in report.layers if "onvolution" in layer.type) == 3


def test_threads_and_arithmetic_are_what_was_asked_for(small_onnx: Path) -> None:
    model = compiled(small_onnx.read_bytes(), open_engine(small_onnx).info, threads=1)
    assert model.get_property("INFERENCE_NUM_THREADS") == 1
    assert model.get_property("NUM_STREAMS") == 1
    assert "32" in str(model.get_property("INFERENCE_PRECISION_HINT")), "never BF16 in a float32 engine"


def test_it_streams_in_sessions_side_by_side_and_runs_beside_live_video(small_onnx: Path, tmp_path: Path) -> None:
    engine = built(small_onnx, "fp32", tmp_path / "x.engine")
    expected = open_engine(small_onnx).infer(FRAMES[:1])[0]
    streaming = open_engine(engine, dataclasses.replace(FILE, threads=1))
    assert isinstance(streaming, LocalEngine | OpenVinoSession) and streaming.info.backend == "openvino"
    streaming.close()
    pool = start_workers(engine, live_use(spares=0, threads=1))
    try:
        pool.wait_ready(60)
        assert pool.submit(NetworkInput(FRAMES[0])) is not None
        (outcome,) = pool.poll(60)
        np.testing.assert_allclose(outcome.probability, expected, atol=1e-5)  # type: ignore[union-attr]
    finally:
        pool.close()


FIRST_INFERENCES = """
import sys
from pathlib import Path
from threading import Barrier, Thread
import numpy as np
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.openvino.openvino_session import OpenVinoSession
data, info = Path(sys.argv[1]).read_bytes(), open_engine(Path(sys.argv[1])).info
sessions = [OpenVinoSession(data, info, threads=1) for _ in range(6)]
together = Barrier(len(sessions))
sys.setswitchinterval(1e-6)
def infer(session):
    together.wait()
    session.infer(np.zeros((1, info.model.height, info.model.width, 3), np.uint8))
threads = [Thread(target=infer, args=(session,), daemon=True) for session in sessions]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_first_inferences_at_once_do_not_wait_for_each_other(small_onnx: Path) -> None:
    """The binding's first inference in a process may be in one thread only; two of three such starts stood still."""
    starts = [subprocess.Popen([sys.executable, "-c", FIRST_INFERENCES, str(small_onnx)]) for _ in range(3)]
    try:
        assert [start.wait(60) for start in starts] == [0, 0, 0]
    finally:
        for start in starts:
            start.kill()
            start.wait()


def test_a_bench_knows_its_network(small_onnx: Path, tmp_path: Path) -> None:
    subject = subject_of(built(small_onnx, "fp32", tmp_path / "x.engine"))
    assert subject.on_cpu and subject.tf32 is False and subject.costs is not None and len(subject.costs) == 5


def test_a_build_is_repeated_to_the_byte(small_onnx: Path, table: Path, tmp_path: Path) -> None:
    engine = built(small_onnx, "int8", tmp_path / "x.engine", table)
    assert rebuild_engine(passport_path(engine), tmp_path / "again.engine").identical


def test_float32_takes_the_place_of_int8_that_gains_nothing(
    small_onnx: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds: list[type] = []

    def measured(int8: Any, float32: Any) -> TimeRatio:
        kinds.extend((type(int8), type(float32)))
        return TimeRatio(1.2, 4.8, 4.0)

    monkeypatch.setattr(int8_gain, "time_ratio", measured)
    result = build_engine(small_onnx, BuildOptions("int8", "openvino", table, out=tmp_path / "x.engine"))
    assert result.passport.precision == "fp32" and "1.20" in str(result.instead_of_int8)
    assert kinds == [OpenVinoSession, OpenVinoSession]


def test_options_and_plans_that_it_has_not(small_onnx: Path, table: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the backend openvino has no builder options"):
        OpenVinoBuilder(TensorRtOptions())
    plan = PrecisionPlan(default="int8", layers={"stem": "fp16"})
    with pytest.raises(UsageError, match="openvino mixes INT8 with FP32"):
        build_engine(small_onnx, BuildOptions("int8", "openvino", table, out=tmp_path / "x", plan=plan))


@pytest.mark.parametrize("data", [b"<?xml version='1.0'?><net name='x' version='11'></net>", b"no network", b""])
def test_what_is_no_onnx_file_is_not_handed_to_openvino(
    data: bytes, small_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = built(small_onnx, "fp32", tmp_path / "x.engine")
    engine.write_bytes(data)
    with pytest.raises(MismatchError, match="not the engine"):
        open_engine(engine)
    exchange(engine, data)
    with pytest.raises(BadInputError):
        open_engine(engine)


def test_values_from_other_files_are_refused(small_onnx: Path, tmp_path: Path) -> None:
    engine = built(small_onnx, "fp32", tmp_path / "x.engine")
    proto = onnx.load_model_from_string(engine.read_bytes())
    onnx.external_data_helper.set_external_data(proto.graph.initializer[0], "weights.bin", length=4)
    proto.graph.initializer[0].ClearField("raw_data")
    exchange(engine, proto.SerializeToString())
    with pytest.raises(BadInputError, match="keeps weights in other files"):
        open_engine(engine)


def test_a_graph_that_openvino_does_not_take(small_onnx: Path) -> None:
    proto = load_onnx(small_onnx).proto
    proto.graph.node[-1].op_type = "NoSuchOperator"
    with pytest.raises(BadInputError, match="OpenVINO cannot load") as caught:
        OpenVinoSession(proto.SerializeToString(), open_engine(small_onnx).info)
    assert "NoSuchOperator" in str(caught.value.found)


def test_without_the_package_it_says_how_to_get_it(
    small_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = built(small_onnx, "fp32", tmp_path / "x.engine")
    monkeypatch.setitem(sys.modules, "openvino", None)
    for use in (lambda: open_engine(engine), OpenVinoBuilder):
        with pytest.raises(MissingComponentError) as caught:
            use()
        assert "edgeseg[openvino]" in str(caught.value.next_command)


def test_its_converter_and_telemetry_are_never_imported() -> None:
    """Neither by us nor, later, by a program that asks for them: what is imported once is not imported again."""
    code = (
        "import sys; from edgeseg.optional import require; openvino = require('openvino'); import openvino; "
        "print([name for name in sys.modules if 'telemetry' in name or 'openvino.tools' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
