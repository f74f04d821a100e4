from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from edgeseg.artifacts import EngineArtifact
from edgeseg.cli import run
from edgeseg.runtime.passport.gpu import Gpu
from edgeseg.runtime.passport.passports import passport_path
from tests.export.tensorrt_targets import A2000, COMPATIBLE, ORIN, RTX

FLAGS = ["--min-batch", "2", "--opt-batch", "4", "--max-batch", "16", "--workspace-mib", "256"]


def test_flags_of_the_command_reach_tensorrt_and_the_rebuild_command(
    install, small_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module, out = install("tensorrt 10.13.0.35"), tmp_path / "x.engine"
    words = [*FLAGS, "--hardware-compatible", "ampere-plus", "--version-compatible"]
    place = ["build-engine", str(small_onnx), "--backend", "tensorrt", "--out", str(out)]
    assert run([*place, *words]) == 0
    for call in (
        ("IOptimizationProfile.set_shape", "frame", (2, 16, 16, 3), (4, 16, 16, 3), (16, 16, 16, 3)),
        ("IBuilderConfig.set_memory_pool_limit", "MemoryPoolType.WORKSPACE", 256 << 20),
        *COMPATIBLE,
    ):
        assert call in module.calls
    first = EngineArtifact.read(passport_path(out))
    module.calls.clear()
    assert run(shlex.split(first.rebuild)[1:]) == 0
    again = EngineArtifact.read(passport_path(out))
    assert again.model_copy(update={"built": first.built}) == first
    capsys.readouterr()


REFUSED_FLAGS = [
    ("tensorrt", ORIN, ["--hardware-compatible", "ampere-plus"], "Jetson"),
    ("tensorrt", A2000, ["--compute-capabilities", "8.6"], "the GPU that it builds on"),
    ("tensorrt", A2000, ["--min-batch", "4", "--max-batch", "2"], "not in order"),
    ("tensorrt-rtx", A2000, ["--version-compatible"], "no compatibility flags"),
    ("tensorrt-rtx", A2000, ["--hardware-compatible", "ampere-plus"], "no compatibility flags"),
    ("onnxruntime", A2000, ["--max-batch", "2"], "no builder options"),
    ("tensorrt", A2000, ["--workspace-mib", "0"], "--workspace-mib"),
]


@pytest.mark.parametrize(("backend", "gpu", "words", "said"), REFUSED_FLAGS)
def test_flags_that_a_backend_or_board_does_not_have(
    backend: str, gpu: Gpu, words: list[str], said: str, install, small_onnx: Path, tmp_path: Path, capsys
) -> None:
    install(RTX if backend == "tensorrt-rtx" else "tensorrt 10.3.0", gpu)
    out = tmp_path / "out" / "x.engine"
    assert run(["build-engine", str(small_onnx), "--backend", backend, "--out", str(out), *words]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not out.parent.exists()
