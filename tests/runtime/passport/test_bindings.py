from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgeseg.artifacts import Binding, EngineArtifact
from edgeseg.errors import MismatchError, MissingComponentError
from edgeseg.runtime.cuda import engine_from_plan
from edgeseg.runtime.engine import machine
from edgeseg.runtime.engine.engine_layout import SessionLayout
from edgeseg.runtime.engine.machine import instruction_sets
from edgeseg.runtime.opener import engine_from_file
from edgeseg.runtime.opener.engine_from_file import open_engine, open_here
from edgeseg.runtime.passport.bindings import MachineFacts, check_binding, read_machine
from edgeseg.runtime.passport.gpu import Gpu
from edgeseg.runtime.passport.passports import passport_path

A2000 = Gpu("NVIDIA RTX A2000", "8.6", "580.65.06")
RTX4000 = Gpu("NVIDIA RTX 4000 Ada", "8.9", "580.65.06")
T4 = Gpu("Tesla T4", "7.5", "580.65.06")
TRT = {"backend": "tensorrt", "backend_version": "10.3.0"}
ON_A2000 = Binding(gpu=A2000.name, compute_capabilities=("8.6",), driver=A2000.driver)
RTX = {
    "backend": "tensorrt-rtx",
    "backend_version": "1.7.1.116",
    "binding": Binding(compute_capabilities=("8.6", "8.9"), driver="580"),
}
AMPERE = {"build_flags": {"hardware_compatibility": "ampere-plus"}}
SAME = {"build_flags": {"hardware_compatibility": "same-compute-capability"}}
LATER = {"build_flags": {"version_compatible": True}}


@pytest.fixture
def passport(tiny_engine: Path) -> EngineArtifact:
    return EngineArtifact.read(passport_path(tiny_engine)).model_copy(update={"binding": ON_A2000})


FITS: list[tuple[dict[str, Any], str, Gpu, int]] = [
    (TRT, "10.3.0", A2000, 0),
    (TRT, "10.3.0", replace(A2000, driver="590.1"), 1),
    (TRT, "10.3.0", replace(A2000, driver="CUDA 13.0"), 1),
    (TRT | AMPERE, "10.3.0", RTX4000, 0),
    (TRT | SAME, "10.3.0", replace(A2000, name="NVIDIA RTX A4000"), 0),
    (TRT | LATER, "10.13.0.35", A2000, 0),
    (TRT | LATER, "10.3.0", A2000, 0),
    (RTX, "1.7.1.116", A2000, 0),
    (RTX, "1.7.1.116", RTX4000, 0),
    (RTX, "1.7.1.116", replace(A2000, driver="590.1"), 0),
    (RTX, "1.7.1.116", replace(A2000, driver="CUDA 13.0"), 0),
]


@pytest.mark.parametrize(("update", "version", "gpu", "warnings"), FITS)
def test_an_engine_that_may_be_opened(update, version, gpu, warnings: int, passport: EngineArtifact) -> None:
    found = check_binding(passport.model_copy(update=update), MachineFacts(version, gpu))
    assert len(found) == warnings
    assert all("edgeseg verify" in warning and gpu.driver in warning for warning in found)


DIFFERS: list[tuple[dict[str, Any], str, Gpu, list[str], list[str]]] = [
    (TRT, "10.3.1", A2000, ["tensorrt 10.3.1"], ["tensorrt 10.3.0"]),
    (TRT, "10.3.0", RTX4000, [RTX4000.name], [A2000.name]),
    (TRT, "11.4.0.106", RTX4000, ["tensorrt 11.4.0.106", RTX4000.name], ["tensorrt 10.3.0", A2000.name]),
    (TRT | {"binding": Binding()}, "10.3.0", A2000, [A2000.name], ["does not name"]),
    (TRT | AMPERE, "10.3.0", T4, ["7.5"], ["8.0"]),
    (TRT | SAME, "10.3.0", RTX4000, ["8.9"], ["8.6"]),
    (TRT | LATER, "10.2.0", A2000, ["10.2.0"], ["10.3.0 or a later 10.x"]),
    (TRT | LATER, "11.4.0.106", A2000, ["11.4.0.106"], ["10.x"]),
    (RTX, "1.6.0.1", A2000, ["tensorrt-rtx 1.6.0.1"], ["tensorrt-rtx 1.7.1.116"]),
    (RTX, "1.7.1.116", T4, ["7.5", T4.name], ["8.6, 8.9"]),
    (RTX, "1.7.1.116", replace(A2000, driver="575.51.03"), ["driver 575.51.03"], ["driver 580"]),
    (RTX | {"binding": Binding()}, "1.7.1.116", A2000, ["8.6"], ["does not name"]),
]


@pytest.mark.parametrize(("update", "version", "gpu", "found", "expected"), DIFFERS)
def test_an_engine_of_another_machine(update, version, gpu, found, expected, passport: EngineArtifact) -> None:
    with pytest.raises(MismatchError) as caught:
        check_binding(passport.model_copy(update=update), MachineFacts(version, gpu))
    assert caught.value.exit_code == 6
    assert all(text in str(caught.value.found) for text in found)
    assert all(text in str(caught.value.expected) for text in expected)
    assert caught.value.next_command == passport.rebuild


@pytest.mark.parametrize("update", [TRT, RTX])
def test_a_machine_without_what_the_engine_needs(update, passport: EngineArtifact) -> None:
    engine = passport.model_copy(update=update)
    with pytest.raises(MissingComponentError) as caught:
        check_binding(engine, MachineFacts(engine.backend_version, None, "no NVIDIA driver"))
    assert caught.value.found == "no NVIDIA driver"
    assert "--backend onnxruntime" in (caught.value.next_command or "")
    with pytest.raises(MissingComponentError) as caught:
        check_binding(engine, MachineFacts(None, A2000))
    assert "install" in (caught.value.next_command or "")


def test_onnxruntime_is_bound_to_nothing(passport: EngineArtifact) -> None:
    engine = passport.model_copy(update={"backend_version": "1.20.0"})
    assert check_binding(engine, MachineFacts("1.20.0")) == []
    (warning,) = check_binding(engine, MachineFacts("1.21.0"))
    assert "1.20.0" in warning
    assert "1.21.0" in warning


def test_an_installed_backend_is_read_without_asking_for_a_gpu() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    found = read_machine("onnxruntime")
    assert found == MachineFacts(onnxruntime.__version__, instruction_sets=instruction_sets())


@pytest.mark.parametrize(("made_for", "fits"), [(None, True), ("any", True), ("avx2", True), ("avx512_vnni", False)])
def test_int8_of_another_instruction_set_is_refused(made_for: str | None, fits: bool, passport: EngineArtifact) -> None:
    update = {"backend_version": "1.32.0", "binding": Binding(instruction_set=made_for)}
    engine, notebook = passport.model_copy(update=update), MachineFacts("1.32.0", instruction_sets=frozenset({"avx2"}))
    if fits:
        assert check_binding(engine, notebook) == []
        return
    with pytest.raises(MismatchError) as caught:
        check_binding(engine, notebook)
    assert caught.value.found == "a processor without avx512_vnni"
    assert caught.value.next_command == engine.rebuild
    assert caught.value.exit_code == 6


def test_the_instruction_sets_are_those_that_linux_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "cpuinfo"
    monkeypatch.setattr(machine, "CPUINFO", told)
    assert instruction_sets() == frozenset()
    told.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512_vnni\n")
    assert instruction_sets() == {"fpu", "avx2", "avx512_vnni"}
    told.write_text("processor\t: 0\nFeatures\t: fp asimd asimddp\n")
    assert instruction_sets() == {"fp", "asimd", "asimddp"}


def test_the_binding_is_checked_before_an_engine_is_opened(
    tiny_engine: Path, passport: EngineArtifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    passport.model_copy(update=TRT).write(passport_path(tiny_engine))
    monkeypatch.setattr(engine_from_file, "read_machine", lambda backend: MachineFacts("10.3.0", RTX4000))
    monkeypatch.setattr(engine_from_plan, "CudaEngine", None)
    with pytest.raises(MismatchError, match="another machine"):
        open_here(tiny_engine, SessionLayout())


def test_an_engine_of_another_onnxruntime_opens_with_a_warning(
    tiny_engine: Path, caplog: pytest.LogCaptureFixture
) -> None:
    open_engine(tiny_engine).close()
    assert any("edgeseg verify" in record.getMessage() for record in caplog.records)
