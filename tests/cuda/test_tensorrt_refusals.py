"""Engines that cannot be opened, on the stand-in for TensorRT (standin_tensorrt.py): exit codes and what is said."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeseg.cli import run as edgeseg
from edgeseg.errors import BadInputError, MismatchError, MissingComponentError
from edgeseg.runtime.cuda.cuda_errors import DeviceMemoryError
from edgeseg.runtime.engine.engine_layout import SessionLayout
from edgeseg.runtime.opener.engine_from_file import open_engine

DEVICE = "CUDA test double (host CPU)"


def _document(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


DRIVER = {"gpu": "NVIDIA RTX A2000", "compute_capabilities": ("8.7",), "driver": "CUDA 13.0"}


def test_an_engine_of_another_gpu_is_exit_6_with_the_rebuild_command(
    build: Callable[..., Path], library: Path, numbered_clip: Path, tmp_path: Path, capsys: Any
) -> None:
    from edgeseg.artifacts import Binding

    engine = build(binding=Binding(**DRIVER))
    library.unlink()
    words = ["run", str(engine), str(numbered_clip), "--masks", str(tmp_path / "masks"), "--json"]
    assert edgeseg(words) == 6
    error = _document(capsys)
    assert DEVICE in error["found"] and "A2000" in error["expected"]
    assert error["next"].startswith("edgeseg build-engine") and "--backend tensorrt" in error["next"]
    assert not (tmp_path / "masks").exists()
    assert not library.exists(), "the plan was handed to the library all the same"


REFUSED = {
    "deserialize": (MismatchError, "kSERIALIZATION_VERSION"),
    "dtype": (MismatchError, "float16"),
    "memory": (DeviceMemoryError, "out of memory"),
    "context": (DeviceMemoryError, None),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_an_engine_that_the_library_refuses(
    build: Callable[..., Path], library: Path, monkeypatch: pytest.MonkeyPatch, double: Any, fault: str
) -> None:
    from edgeseg.runtime.opener.engine_from_file import open_here

    engine = build()
    monkeypatch.setenv("EDGESEG_STANDIN_FAULT", fault)
    kind, found = REFUSED[fault]
    with pytest.raises(kind) as raised:
        open_here(engine, SessionLayout())
    assert found is None or found in str(raised.value.found)
    assert kind is not MismatchError or str(raised.value.next_command).startswith("edgeseg build-engine")
    assert "a warning before" not in str(raised.value)
    assert double.live() == (0, 0)


def test_no_memory_at_open_is_tried_again_in_new_processes_and_then_exit_4(
    build: Callable[..., Path], library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = build()
    library.unlink()
    monkeypatch.setenv("EDGESEG_STANDIN_FAULT", "memory")
    with pytest.raises(DeviceMemoryError) as raised:
        open_engine(engine)
    assert raised.value.exit_code == 4
    tries = {line.split()[0] for line in library.read_text().splitlines()}
    assert len(tries) == 4, "one process and three more"


def test_what_the_library_says_is_logged_at_its_own_level(
    build: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from edgeseg.runtime.opener.engine_from_file import open_here

    engine = build()
    monkeypatch.setenv("EDGESEG_STANDIN_FAULT", "deserialize")
    with pytest.raises(MismatchError):
        open_here(engine, SessionLayout())
    said = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "edgeseg.tensorrt"]
    assert ("WARNING", "a warning before it") in said
    assert [level for level, _ in said].count("ERROR") == 1


@pytest.mark.parametrize(("compatible", "allowed"), [(True, "True"), (False, "False")])
def test_host_code_is_allowed_only_where_the_passport_says_so(
    build: Callable[..., Path], library: Path, compatible: bool, allowed: str
) -> None:
    from edgeseg.runtime.opener.engine_from_file import open_here

    engine = build(build_flags={"version_compatible": compatible})
    library.unlink()
    open_here(engine, SessionLayout()).close()
    assert f"deserialize host_code={allowed}" in library.read_text()


def test_tensorrt_rtx_compiles_at_once_and_leaves_the_capture_to_us(build: Callable[..., Path], library: Path) -> None:
    from edgeseg.runtime.opener.engine_from_file import open_here

    engine = build("tensorrt-rtx")
    open_here(engine, SessionLayout()).close()
    assert "context EAGER DISABLED" in library.read_text()


def test_an_engine_that_takes_no_single_frame_is_refused_unloaded(build: Callable[..., Path], library: Path) -> None:
    from edgeseg.runtime.opener.engine_from_file import open_here

    engine = build("tensorrt", "--min-batch", "2", "--max-batch", "4")
    library.unlink()
    with pytest.raises(BadInputError, match="no single frame") as raised:
        open_here(engine, SessionLayout())
    assert raised.value.found == "an engine for batches of 2 to 4"
    assert "--min-batch 2" in str(raised.value.next_command)
    assert not library.exists()


def test_without_the_package_it_is_exit_4(
    build: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, numbered_clip: Path, tmp_path: Path, capsys: Any
) -> None:
    engine = build()
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if Path(entry).name != "standins"])
    assert edgeseg(["run", str(engine), str(numbered_clip), "--masks", str(tmp_path / "m"), "--json"]) == 4
    assert "tensorrt" in _document(capsys)["next"]


def test_without_a_gpu_it_is_exit_4(
    build: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, numbered_clip: Path, tmp_path: Path, capsys: Any
) -> None:
    engine = build()
    monkeypatch.setenv("CUDADOUBLE_DEVICES", "0")
    assert edgeseg(["run", str(engine), str(numbered_clip), "--masks", str(tmp_path / "m"), "--json"]) == 4
    assert "onnxruntime" in _document(capsys)["next"]


def test_missing_parts_of_the_cuda_runtime_are_said(
    build: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgeseg.runtime.opener.engine_from_file import open_here

    engine = build()
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    with pytest.raises(MissingComponentError) as raised:
        open_here(engine, SessionLayout())
    assert "cuda13" in str(raised.value.next_command)
