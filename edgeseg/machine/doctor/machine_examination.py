"""All checks of a machine, put together as a report."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import edgeseg
from edgeseg.machine.doctor.backend_conclusions import Candidate, automatic_choice, backend_state, candidates
from edgeseg.machine.doctor.board_checks import check_board
from edgeseg.machine.doctor.checks import AutomaticChoice, Check, DoctorReport
from edgeseg.machine.doctor.cpu_checks import check_int8
from edgeseg.machine.doctor.gpu_checks import check_cuda_packages, check_gpu, check_persistence, check_toolkit
from edgeseg.machine.doctor.hardware import Hardware, read_hardware
from edgeseg.machine.doctor.host_checks import check_host
from edgeseg.machine.doctor.machine_view import MachineView
from edgeseg.machine.doctor.python_checks import (
    check_base_packages,
    check_bench,
    check_codecs,
    check_edgeseg,
    check_python,
    check_training,
)
from edgeseg.runtime.engine.machine import describe_machine

# Probe -> the module without which there is nothing to ask.
_ALWAYS: dict[str, str | None] = {"gpu": None, "codecs": "av", "int8": "onnxruntime"}
_BESIDE_A_GPU: dict[str, str | None] = {"pycuda": "pycuda"}

Answers = dict[str, dict[str, Any]]


def examine(view: MachineView, ask: Callable[[], AutomaticChoice] | None = None) -> DoctorReport:
    """Look at a machine.

    Args:
        view: The machine.
        ask: Lets the engine builders decide what `auto` takes; see `automatic_choice`.
    """
    backends = candidates()
    answers = _ask(view, _ALWAYS | _packages(backends, beside_gpu=False))
    hardware = read_hardware(view, answers["gpu"])
    answers |= _ask(view, _BESIDE_A_GPU | _packages(backends, beside_gpu=True) if hardware.gpu is not None else {})
    checks = _checks(view, hardware, answers, backends)
    return DoctorReport(
        edgeseg_version=edgeseg.__version__,
        machine=describe_machine(),
        hardware=hardware,
        checks=tuple(checks),
        backends=tuple(backend_state(backend, checks) for backend in backends),
        auto=automatic_choice(checks, hardware, ask),
    )


def _packages(backends: list[Candidate], beside_gpu: bool) -> dict[str, str | None]:
    """The packages of the backends that have a check of their own; the probe of each has its name."""
    return {
        item.backend.package: item.backend.package
        for item in backends
        if item.backend is not None
        and item.requirements.check is not None
        and item.requirements.beside_gpu is beside_gpu
    }


def _checks(view: MachineView, hardware: Hardware, answers: Answers, backends: list[Candidate]) -> list[Check]:
    unasked: dict[str, Any] = {"missing": "not installed"}
    return [
        check_python(view),
        check_edgeseg(view),
        *check_base_packages(view),
        check_codecs(answers["codecs"]),
        check_int8(answers["int8"]),
        *check_training(view, hardware),
        check_gpu(view, hardware),
        *check_persistence(view, hardware),
        check_toolkit(view, hardware),
        *check_cuda_packages(view, hardware, answers.get("pycuda", unasked)),
        *(
            item.requirements.check(view, hardware, answers.get(item.backend.package, unasked))
            for item in backends
            if item.backend is not None and item.requirements.check is not None
        ),
        *check_bench(view, hardware),
        *check_board(view, hardware),
        *check_host(view, hardware),
    ]


def _ask(view: MachineView, probes: dict[str, str | None]) -> Answers:
    """Ask several child processes at once; those whose module is not there are not started."""
    wanted = [name for name, module in probes.items() if module is None or view.has_module(module)]
    answers: Answers = {name: {"missing": "not installed"} for name in probes}
    if wanted:
        with ThreadPoolExecutor(len(wanted)) as pool:
            answers |= dict(zip(wanted, pool.map(view.probe, wanted), strict=True))
    return answers
