"""Engines without their weights, from `edgeseg build-engine --strip-weights` to masks, on the stand-in for TensorRT.

The stand-in zeroes the convolutions' weights and gives no context until all of them were put back by name. What the
real library does with a plan of its own is not shown by it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

from edgeseg.artifacts import EngineArtifact
from edgeseg.cli import run as edgeseg
from edgeseg.errors import MismatchError
from edgeseg.graph.files import load_onnx
from edgeseg.runtime.cuda.errors import DeviceMemoryError
from edgeseg.runtime.engine.session import segment
from edgeseg.runtime.opener.loading import open_engine, open_onnx
from edgeseg.runtime.passport.passports import passport_path
from edgeseg.runtime.worker.session import WorkerSession

Build = Callable[..., Path]


@pytest.fixture
def stripped(build: Build, library: Path) -> Build:
    """An engine without its weights; nothing of its build is left in the library's log."""

    def command(backend: str = "tensorrt") -> Path:
        engine = build(backend, "--strip-weights")
        library.unlink(missing_ok=True)  # TensorRT-RTX builds without opening
        return engine

    return command


@pytest.fixture
def box(stripped: Build, small_onnx: Path, tmp_path: Path) -> Path:
    """The engine and its passport on another machine: the network is not where the passport says."""
    engine = stripped()
    folder = tmp_path / "box"
    folder.mkdir()
    for path in (engine, passport_path(engine)):
        shutil.copy(path, folder)
    small_onnx.rename(tmp_path / "elsewhere.onnx")
    return folder / engine.name


def other_network(source: Path, path: Path) -> Path:
    proto = load_onnx(source).proto
    bias = next(tensor for tensor in proto.graph.initializer if tensor.name == "head.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(1), bias.name))
    path.write_bytes(proto.SerializeToString())
    return path


def frame() -> Any:
    return np.random.default_rng(1).integers(0, 256, (60, 70, 3), dtype=np.uint8)


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx"])
def test_the_masks_are_those_of_the_cpu_path(
    backend: str, stripped: Build, library: Path, small_onnx: Path, numbered_clip: Path, tmp_path: Path
) -> None:
    engine = stripped(backend)
    for name, model in (("gpu", engine), ("cpu", small_onnx)):
        assert edgeseg(["run", str(model), str(numbered_clip), "--masks", str(tmp_path / name)]) == 0
    calls = [line.split(maxsplit=1)[1] for line in library.read_text().splitlines()]
    assert [call.split()[0] for call in calls] == ["deserialize", "refit", "context", "context"]
    files = sorted((tmp_path / "cpu").iterdir())
    assert len(files) == 40
    for file in files:
        mask, other = (cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in (file, tmp_path / "gpu" / file.name))
        np.testing.assert_array_equal(mask, other, file.name)


def test_every_process_of_an_engine_puts_them_back(stripped: Build, library: Path, small_onnx: Path) -> None:
    session, picture = open_engine(stripped()), frame()
    assert isinstance(session, WorkerSession)
    expected = segment(open_onnx(small_onnx, 1), picture)
    np.testing.assert_array_equal(segment(session, picture), expected)
    os.kill(session.worker_pid or 0, signal.SIGKILL)
    np.testing.assert_array_equal(segment(session, picture), expected)
    session.close()
    assert library.read_text().count("refit") == 2


def test_without_the_network_it_is_exit_6_and_named_it_runs(
    box: Path, library: Path, numbered_clip: Path, tmp_path: Path, capsys: Any
) -> None:
    words = ["run", str(box), str(numbered_clip), "--masks", str(tmp_path / "masks"), "--json"]
    assert edgeseg(words) == 6
    error = json.loads(capsys.readouterr().out)
    assert error["found"] == f"no network in {box.parent}"
    assert EngineArtifact.read(passport_path(box)).onnx_sha256 in error["expected"]
    assert "--weights" in error["next"]
    assert not library.exists(), "the plan was handed to the library all the same"
    assert not (tmp_path / "masks").exists()
    assert edgeseg([*words, "--weights", str(tmp_path / "elsewhere.onnx")]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 40


@pytest.mark.parametrize("command", ["run", "live", "verify", "bench"])
def test_other_weights_are_never_handed_over(
    command: str, box: Path, library: Path, numbered_clip: Path, tmp_path: Path, capsys: Any
) -> None:
    wrong = other_network(tmp_path / "elsewhere.onnx", tmp_path / "wrong.onnx")
    data = tmp_path / "data"
    for part in ("images", "masks"):
        (data / part).mkdir(parents=True)
        cv2.imwrite(str(data / part / "a.png"), np.zeros((20, 20), np.uint8))
    words = {
        "run": ["run", str(box), str(numbered_clip), "--masks", str(tmp_path / "m")],
        "live": ["run", str(box), str(numbered_clip), "--pace", "live"],
        "verify": ["verify", str(box), "--reference", str(tmp_path / "elsewhere.onnx"), "--data", str(data)],
        "bench": ["bench", str(box), "--size", "64x48"],
    }[command]
    assert edgeseg([*words, "--weights", str(wrong), "--json"]) == 6
    assert load_onnx(wrong).sha256[:12] in json.loads(capsys.readouterr().out)["found"]
    assert not library.exists()


def test_live_video_takes_named_weights(box: Path, numbered_clip: Path, tmp_path: Path, capsys: Any) -> None:
    words = ["run", str(box), str(numbered_clip), "--pace", "live", "--spares", "0", "--json"]
    assert edgeseg([*words, "--weights", str(tmp_path / "elsewhere.onnx")]) == 0
    assert json.loads(capsys.readouterr().out)["inferences"] > 0


def test_a_session_of_this_process_takes_named_weights_and_says_so(
    box: Path, tmp_path: Path, double: Any, caplog: pytest.LogCaptureFixture
) -> None:
    from edgeseg.runtime.cuda.opening import open_cuda_session

    network = tmp_path / "elsewhere.onnx"
    batch = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    session = open_cuda_session(box, weights=network)
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [f"10 of them put back from {network}, made in" in line for line in said] == [True]
    expected = np.concatenate([open_onnx(network, 1).infer(picture[np.newaxis]) for picture in batch])
    np.testing.assert_array_equal(session.infer(batch), expected)
    session.close()
    assert double.live() == (0, 0)


def test_no_memory_for_the_weights(stripped: Build, monkeypatch: pytest.MonkeyPatch, double: Any) -> None:
    from edgeseg.runtime.cuda.opening import open_cuda_session

    engine = stripped()
    monkeypatch.setenv("EDGESEG_STANDIN_FAULT", "refit")
    with pytest.raises(DeviceMemoryError, match="weights"):
        open_cuda_session(engine)
    assert double.live() == (0, 0)


def test_an_engine_that_only_says_that_it_has_no_weights(build: Build, small_onnx: Path, double: Any) -> None:
    """A passport that says stripped beside a plan that holds its weights: the library gives no refitter."""
    from edgeseg.graph.weights import constants_sha256
    from edgeseg.runtime.cuda.opening import open_cuda_session

    engine = build(build_flags={"strip": True}, refit_sha256=constants_sha256(load_onnx(small_onnx).proto))
    with pytest.raises(MismatchError, match="takes no weights"):
        open_cuda_session(engine)
    assert double.live() == (0, 0)
