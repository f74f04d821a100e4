"""Nothing leaves the box: commands in an empty home, under strace, leave what was asked for and look up no name.

onnxruntime, left alone, writes a device id below the home's .cache as soon as it is loaded and asks for its maker's
collector after about 15 s. So the files are the sign that a short run shows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from edgeseg.optional import is_installed
from tests.cli.traced_box import Box
from tests.conftest import ForeignNetwork, small_network

SMALL = {"height": 32, "width": 32, "base_width": 4, "depth": 2}


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, system_program: Callable[..., str]) -> Box:
    return Box(system_program("strace"), tmp_path_factory.mktemp("box"))


@pytest.fixture(scope="module")
def data(box: Box) -> str:
    sizes = ("--train", 6, "--validation", 2, "--test", 4, "--height", 64, "--width", 64)
    clip = ("--clip", "clip.mp4", "--clip-frames", 12, "--clip-height", 64, "--clip-width", 64)
    box.edgeseg("data", "synth", "--out", "data", *sizes, *clip, leaves=["data", "clip.mp4"])
    return "data"


@pytest.fixture(scope="module")
def model(box: Box) -> str:
    (box.work / "model.onnx").write_bytes(small_network())
    return "model.onnx"


@pytest.fixture(scope="module")
def engine(box: Box, data: str, model: str) -> str:
    """Calibrated and built in INT8."""
    box.edgeseg("calibrate", model, "--data", data, "--images", 4, "--out", "t.json", leaves=["t.json"])
    table = ("--precision", "int8", "--calibration", "t.json")
    box.edgeseg("build-engine", model, *table, "--out", "a.engine", leaves=["a.engine", "a.engine.json"])
    return "a.engine"


@pytest.mark.slow
def test_training_exporting_and_evaluating(box: Box, data: str) -> None:
    pytest.importorskip("torch", reason="training needs the extra `train`")
    settings = [f"model.{name}={value}" for name, value in SMALL.items()] + ["training.epochs=1"]
    flags = [word for setting in settings for word in ("--set", setting)]
    box.edgeseg("train", data, "--out", "run", *flags, leaves=["run"])
    box.edgeseg("export", "run", "--data", data, "--out", "exported.onnx", leaves=["exported.onnx"])
    box.edgeseg("evaluate", "run", data, "--report", "page", leaves=["page"])


def test_building_for_tensorrt_rtx(box: Box, model: str) -> None:
    pytest.importorskip("tensorrt_rtx", reason="building needs the extra `rtx`")
    flags = ("--backend", "tensorrt-rtx", "--precision", "fp16", "--out", "rtx.engine")
    box.edgeseg("build-engine", model, *flags, leaves=["rtx.engine", "rtx.engine.json"])


def test_building_and_running_on_openvino(box: Box, data: str, model: str) -> None:
    """The library would write a client's id and tell Google Analytics of each import."""
    if not is_installed("openvino"):
        pytest.skip("needs the extra `openvino`")
    flags = ("--backend", "openvino", "--precision", "fp16", "--out", "ov.engine")
    box.edgeseg("build-engine", model, *flags, leaves=["ov.engine", "ov.engine.json"])
    box.edgeseg("run", "ov.engine", "clip.mp4", "--masks", "ov-masks", leaves=["ov-masks"])


def test_verifying(box: Box, data: str, model: str, engine: str) -> None:
    flags = ("--reference", model, "--data", data, "--report", "proof")
    box.edgeseg("verify", engine, *flags, leaves=["proof"], code=3)  # four images prove nothing


def test_a_file_of_video(box: Box, data: str, engine: str) -> None:
    outputs = ("--out", "o.mp4", "--masks", "masks", "--latency", "latency.json")
    box.edgeseg("run", engine, "clip.mp4", *outputs, leaves=["o.mp4", "masks", "latency.json"])


@pytest.mark.slow
def test_live_video_with_its_page(box: Box, engine: str) -> None:
    outputs = ("--out", "live.mp4", "--masks", "live.jsonl", "--web", "127.0.0.1:0")
    box.edgeseg("live", engine, "synthetic:160x120@10", "--seconds", 3, *outputs, leaves=["live.mp4", "live.jsonl"])


@pytest.mark.slow
def test_bench_with_a_plot(box: Box, engine: str) -> None:
    pytest.importorskip("matplotlib", reason="plots need the extra `bench`")
    little = ("--seconds", 0.5, "--lanes", 1, "--batch", "none", "--rate", 50)
    box.edgeseg("bench", engine, *little, "--out", "b.json", "--plot", "b.png", leaves=["b.json", "b.png"])


def test_a_foreign_network(box: Box, data: str) -> None:
    (box.work / "foreign.onnx").write_bytes(ForeignNetwork().proto().SerializeToString())
    statistics = ("--mean", "0.5,0.5,0.5", "--std", "0.2,0.2,0.2")
    box.edgeseg("import-onnx", "foreign.onnx", *statistics, "--data", data, "--out", "own.onnx", leaves=["own.onnx"])


@pytest.mark.parametrize("words", ["doctor", "models", "data inspect data", "inspect a.engine --layers", "run --help"])
def test_what_only_tells(words: str, box: Box, data: str, engine: str) -> None:
    box.edgeseg(*words.split())


def test_the_watch_sees_a_file_that_is_gone_again_and_whom_a_program_calls(box: Box) -> None:
    code = """
import pathlib, socket
path = pathlib.Path.home() / "a"
path.touch()
path.unlink()
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"?", ("127.0.0.1", 53))
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("127.0.0.1", 9))
try:
    socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).connect(("fe80::1", 9))
except OSError:
    pass
pathlib.Path("/etc/resolv.conf").open()
"""
    _, trace = box.trace([sys.executable, "-c", code])
    assert box.strangers(trace) == [str(box.home / "a")]
    assert trace.calls == ("127.0.0.1:53", "fe80::1:9", "/etc/resolv.conf")
