"""Networks as they come: imported, and built in FP16 for two backends."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeseg.optional import is_installed

pytestmark = pytest.mark.long
Case = Callable[[str], Path]
Command = Callable[..., tuple[int, Any, str]]
NETWORKS = (
    "cast-breaks-fp16/net.onnx",
    "cast-breaks-fp16/where_border.onnx",
    "clip-in-shape-arithmetic/net.onnx",
    "dynamic-batch-refused/attention.onnx",
    "external-data-default-export/net.onnx",
    "fp16-overflow/net.onnx",
)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_imported_and_built(case: Case, command: Command, tmp_path: Path, name: str) -> None:
    imported = tmp_path / "net.onnx"
    code, _report, said = command("import-onnx", case(name), "--out", imported)
    assert code == 0, said
    for backend in ("onnxruntime", "tensorrt-rtx"):
        if backend == "tensorrt-rtx" and not is_installed("tensorrt_rtx"):
            continue
        engine = tmp_path / f"{backend}.engine"
        code, passport, said = command(
            "build-engine", imported, "--precision", "fp16", "--backend", backend, "--out", engine
        )
        assert code == 0, said
        assert bool(passport["kept_float32"]) == name.startswith("fp16-overflow")
        if name.startswith("fp16-overflow"):
            assert "FP16 ends at 65504" in said


@pytest.mark.parametrize("recipe", ["r_train.toml", "r_pool.toml"])
def test_a_network_of_the_user_s_own(
    case: Case, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str
) -> None:
    """Auxiliary outputs train; batch norm behind global pooling and a batch of one are the network's own fault."""
    pytest.importorskip("torch")
    folder = case("own-network-crash")
    shutil.copyfile(folder / "mynets.py", tmp_path / "mynets.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    assert command("data", "synth", "--out", data, "--train", 8, "--validation", 2, "--test", 2)[0] == 0
    batch = ("--set", "training.batch_size=1") if recipe == "r_pool.toml" else ()
    code, _, said = command("train", data, "--out", tmp_path / "run", "--recipe", folder / recipe, *batch)
    if recipe == "r_train.toml":
        assert code == 0, said
    else:
        assert code == 5 and "mynets.py" in said and "a defect of edgeseg" not in said
