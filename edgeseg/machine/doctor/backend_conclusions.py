"""Concludes what each backend can do here from the checks of the parts that it stands on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgeseg.errors import MissingComponentError
from edgeseg.machine.doctor.checks import AutomaticChoice, BackendState, Check, PartName
from edgeseg.machine.doctor.hardware import Hardware
from edgeseg.machine.doctor.requirements import OptionalPackage, Requirements
from edgeseg.machine.doctor.tensorrt_checks import check_tensorrt, check_tensorrt_rtx
from edgeseg.runtime.engine.backends import EVERYWHERE, PREFERRED, Backend, backend_named, backend_names

ONNXRUNTIME = Requirements()
OPENVINO = Requirements(
    check=OptionalPackage(
        backend="openvino",
        module="openvino",
        purpose="builds and runs engines of the backend openvino",
        install="pip install '.[openvino]'",
        extra="openvino",
    )
)
TENSORRT = Requirements(
    builds_with=("base", "GPU", "TensorRT"),
    runs_with=("base", "GPU", "TensorRT", "CUDA runtime"),
    check=check_tensorrt,
    beside_gpu=True,
)
TENSORRT_RTX = Requirements(
    builds_with=("base", "TensorRT-RTX"),
    runs_with=("base", "GPU", "TensorRT-RTX", "CUDA runtime"),
    check=lambda view, hardware, answer: check_tensorrt_rtx(view, answer),
)
_OTHERWISE = f"edgeseg build-engine MODEL --backend {EVERYWHERE}"


@dataclass(frozen=True)
class Candidate:
    """A backend of the registry and what it needs."""

    name: str
    backend: Backend | None
    requirements: Requirements
    missing: str | None = None
    """Why the package that adds it does not load."""


def candidates() -> list[Candidate]:
    """Every backend of the registry, those of installed packages included."""
    return [_candidate(name) for name in backend_names()]


def _candidate(name: str) -> Candidate:
    try:
        backend = backend_named(name)
        return Candidate(name, backend, backend.load("requirements"))
    except MissingComponentError as error:
        return Candidate(name, None, Requirements(), f"{error.what}: {error.found}")


def backend_state(candidate: Candidate, checks: Sequence[Check]) -> BackendState:
    """Conclude whether a backend can build and run here, and what it lacks.

    A part that is not needed here counts as lacking for a backend that stands on it: without a GPU nothing mends that.
    """
    name, requirements = candidate.name, candidate.requirements
    if candidate.missing is not None:
        return BackendState(
            name=name, builds=False, runs=False, reason=candidate.missing, next_command=f"pip list  (what adds {name}?)"
        )
    lacks_to_build = _lacking(name, requirements.builds_with, checks)
    lacks_to_run = _lacking(name, requirements.runs_with, checks)
    first = next(iter(lacks_to_build or lacks_to_run), None)
    return BackendState(
        name=name,
        builds=not lacks_to_build,
        runs=not lacks_to_run,
        reason=_reason(lacks_to_build, lacks_to_run),
        next_command=(first and first.next_command) or (_OTHERWISE if lacks_to_run else None),
    )


def _lacking(name: str, parts: Sequence[PartName], checks: Sequence[Check]) -> list[Check]:
    needed = [check for check in checks if check.part in parts or (check.part == "backend" and check.name == name)]
    return [check for check in needed if check.broken or (check.status == "not needed here" and check.part != "base")]


def _reason(lacks_to_build: list[Check], lacks_to_run: list[Check]) -> str:
    if lacks_to_build or lacks_to_run:
        what = "to build" if lacks_to_build else "to run"
        return f"{what}, it lacks " + ", ".join(check.name for check in lacks_to_build or lacks_to_run)
    return "everything it needs is here"


def automatic_choice(
    checks: Sequence[Check], hardware: Hardware, ask: Callable[[], AutomaticChoice] | None
) -> AutomaticChoice:
    """Say what `--backend auto` takes.

    Args:
        checks: The checks of this machine.
        hardware: Likewise.
        ask: Lets the builders themselves decide, in a child process since that initialises CUDA; it is called only
            where there is something to decide. None where they cannot be asked.
    """
    preferred = next(check for check in checks if check.name == PREFERRED)
    if hardware.gpu is None:
        return AutomaticChoice(backend=EVERYWHERE, reason=f"no GPU for {PREFERRED}: {hardware.gpu_missing}")
    if preferred.status != "ok" or ask is None:
        return AutomaticChoice(backend=EVERYWHERE, reason=f"no {PREFERRED} here: {preferred.found}")
    return ask()
