"""Concludes what each backend can do here from the checks of the parts that it stands on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgeseg.machine.doctor.checks import AutomaticChoice, BackendName, BackendState, Check, PartName
from edgeseg.machine.doctor.hardware import Hardware

_BUILDS_WITH: dict[BackendName, tuple[PartName, ...]] = {
    "onnxruntime": ("base",),
    "tensorrt": ("base", "GPU", "TensorRT"),
    "tensorrt-rtx": ("base", "TensorRT-RTX"),
}
_RUNS_WITH: dict[BackendName, tuple[PartName, ...]] = {
    "onnxruntime": ("base",),
    "tensorrt": ("base", "GPU", "TensorRT", "CUDA runtime"),
    "tensorrt-rtx": ("base", "GPU", "TensorRT-RTX", "CUDA runtime"),
}
_OTHERWISE = "edgeseg build-engine MODEL --backend onnxruntime"


def backend_state(name: BackendName, checks: Sequence[Check]) -> BackendState:
    """Conclude whether a backend can build and run here, and what it lacks.

    A part that is not needed here counts as lacking for a backend that stands on it: without a GPU nothing mends that.
    """
    lacks_to_build = _lacking(_BUILDS_WITH[name], checks)
    lacks_to_run = _lacking(_RUNS_WITH[name], checks)
    builds = not lacks_to_build
    runs = not lacks_to_run
    first = next(iter(lacks_to_build or lacks_to_run), None)
    return BackendState(
        name=name,
        builds=builds,
        runs=runs,
        reason=_reason(lacks_to_build, lacks_to_run),
        next_command=(first and first.next_command) or (None if runs else _OTHERWISE),
    )


def _lacking(parts: Sequence[PartName], checks: Sequence[Check]) -> list[Check]:
    needed = [check for check in checks if check.part in parts]
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
    tensorrt = next(check for check in checks if check.part == "TensorRT")
    if hardware.gpu is None:
        return AutomaticChoice(backend="onnxruntime", reason=f"no GPU for TensorRT: {hardware.gpu_missing}")
    if tensorrt.status != "ok" or ask is None:
        return AutomaticChoice(backend="onnxruntime", reason=f"no tensorrt here: {tensorrt.found}")
    return ask()
