"""The checks together: what backends can do, what `auto` takes, and that nothing heavy is loaded for it."""

import dataclasses
import json
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from edgeseg.machine.doctor import loading_probes as probes
from edgeseg.machine.doctor.checks import AutomaticChoice, DoctorReport, PartName
from edgeseg.machine.doctor.machine_examination import examine
from edgeseg.machine.doctor.machine_view import ask_child, run_command, space_bytes, this_machine

Look = Callable[..., Any]
TENSORRTS = ("tensorrt", "tensorrt-rtx")


def chosen() -> AutomaticChoice:
    return AutomaticChoice(backend="tensorrt", reason="asked the builders")


def refuse() -> AutomaticChoice:
    raise AssertionError("there is nothing to ask the builders")


def test_a_notebook_runs_the_base_path(look: Look, fake_machine) -> None:
    report = examine(look(fake_machine())[0], refuse)
    assert report.base_works
    assert [(state.builds, state.runs) for state in report.backends] == [(True, True), *[(False, False)] * 3]
    assert report.auto.backend == "onnxruntime" and "no GPU" in report.auto.reason
    assert {check.part for check in report.checks} <= set(get_args(PartName))


def test_a_workstation_builds_tensorrt(look: Look, workstation) -> None:
    report = examine(look(workstation())[0], chosen)
    assert report.backend("tensorrt").builds
    assert report.auto == chosen()
    assert not report.lacking("CUDA runtime") and not report.lacking("TensorRT")


@pytest.mark.parametrize(
    ("answer", "runs", "said"),
    [
        ({"version": "2026.4.1-22982-e213a147257-releases/2026/4"}, True, "everything it needs is here"),
        ({"version": "2024.6.0-1"}, False, "to build, it lacks openvino"),
        ({"missing": "libopenvino.so: cannot open"}, False, "to build, it lacks openvino"),
    ],
)
def test_openvino_needs_its_package_in_a_version_that_fits(
    look: Look, fake_machine, answer: dict[str, str], runs: bool, said: str
) -> None:
    machine = fake_machine(modules=frozenset({"av", "openvino"}), probes={"openvino": answer})
    state = examine(look(machine)[0], refuse).backend("openvino")
    assert (state.builds, state.runs, state.reason) == (runs, runs, said)
    assert runs or state.next_command == "pip install '.[openvino]'"


def test_every_backend_that_has_all_runs(look: Look, workstation) -> None:
    machine = workstation()
    rtx = {**machine.probes, "tensorrt_rtx": {"version": "1.7.1.116"}}
    report = examine(look(workstation(modules=machine.modules | {"tensorrt_rtx"}, probes=rtx))[0], chosen)
    assert {state.name for state in report.backends if state.builds} == set(TENSORRTS) | {"onnxruntime"}
    assert {state.name for state in report.backends if state.runs} == set(TENSORRTS) | {"onnxruntime"}


def test_an_orin_is_told_how_to_see_its_tensorrt(look: Look, agx_orin) -> None:
    report = examine(look(agx_orin())[0], refuse)
    state = report.backend("tensorrt")
    assert not state.builds and state.reason == "to build, it lacks tensorrt"
    assert (state.next_command or "").startswith("ln -s ")
    assert report.auto.backend == "onnxruntime" and "does not see" in report.auto.reason


def test_what_tensorrt_lacks_to_run(look: Look, workstation, base_packages) -> None:
    report = examine(look(workstation(packages={**base_packages, "tensorrt": "10.13.0"}))[0], chosen)
    state = report.backend("tensorrt")
    assert state.builds and not state.runs
    assert state.reason == "to run, it lacks cuda-bindings, pycuda"


def test_a_broken_base_fells_every_backend(look: Look, fake_machine, base_packages) -> None:
    del base_packages["av"]
    report = examine(look(fake_machine(packages=base_packages))[0], refuse)
    assert not report.base_works
    assert not any(state.builds for state in report.backends)


def test_children_are_only_asked_for_what_is_there(look: Look, fake_machine, workstation) -> None:
    asked: list[str] = []

    def noting(view: Any) -> Any:
        def probe(name: str) -> dict[str, Any]:
            asked.append(name)
            return dict(view.probe(name))

        return dataclasses.replace(view, probe=probe)

    examine(noting(look(fake_machine(modules=frozenset({"av", "pycuda", "tensorrt"})))[0]))
    assert sorted(asked) == ["codecs", "gpu"]
    asked.clear()
    examine(noting(look(workstation())[0]), chosen)
    assert sorted(asked) == ["codecs", "gpu", "pycuda", "tensorrt"]


def test_a_report_is_a_value(look: Look, workstation) -> None:
    report = examine(look(workstation())[0], chosen)
    assert DoctorReport.from_json(report.to_json()) == report


def test_the_real_machine_loads_nothing_heavy() -> None:
    heavy = {"torch", "onnx", "onnxruntime", "cv2", "av", "tensorrt", "tensorrt_rtx", "pycuda", "cuda"}
    code = (
        "import sys; from edgeseg.machine.doctor.machine_examination import examine; "
        "from edgeseg.machine.doctor.machine_view import this_machine; report = examine(this_machine()); "
        f"print(report.base_works, sorted({heavy!r} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split(" ", 1)[1].strip() == "[]"


def test_this_machine_answers() -> None:
    view = this_machine()
    assert view.python.version == ".".join(map(str, sys.version_info[:3]))
    assert view.has_module("json") and not view.has_module("no_such_module")
    assert view.installed_version("no-such-distribution") is None
    assert view.can_listen()


def test_a_command_that_fails_says_nothing() -> None:
    assert run_command(["true"]) == ""
    assert run_command(["false"]) is None
    assert run_command(["no-such-command-anywhere"]) is None


def test_space_is_of_the_nearest_folder_that_exists(tmp_path: Path) -> None:
    space = space_bytes(tmp_path / "not" / "there")
    assert space is not None and space[0] >= space[1] > 0


def test_a_child_that_knows_no_such_probe_or_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "KeyError" in ask_child("no-such-probe")["missing"]
    died = types.SimpleNamespace(stdout=b"", stderr=b"Illegal instruction\n", returncode=-4)
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: died)
    assert ask_child("codecs")["missing"] == "the process that loads it ended with -4: Illegal instruction"


def test_the_probes_of_this_machine() -> None:
    assert probes.codecs()["ffmpeg"]
    assert "libx264" in probes.codecs()["encoders"]
    assert "missing" in probes.gpu("libno-such-driver.so.1")
    assert json.dumps(probes.answer("gpu"))
