"""The values of single checks, and of all checks of a machine together."""

from __future__ import annotations

from typing import Literal

from edgeseg.machine.doctor.hardware import Hardware
from edgeseg.values import Part, Value

Status = Literal["ok", "missing", "wrong version", "advice", "unknown", "not needed here"]
"""`advice`: it works, and something would make it better. `unknown`: the machine does not tell."""
PartName = Literal[
    "base",
    "training",
    "GPU",
    "CUDA runtime",
    "TensorRT",
    "TensorRT-RTX",
    "backend",
    "bench",
    "board",
    "host",
    "live video",
]
"""`backend`: the package of the backend that the check is named after."""
_BROKEN: tuple[Status, ...] = ("missing", "wrong version")


class Check(Part):
    """One thing that was looked for."""

    part: PartName
    """The part of the path that stands or falls with this check."""
    name: str
    status: Status
    found: str
    purpose: str
    """The use of the thing that was checked."""
    next_command: str | None = None
    """The command that mends or improves it."""

    @property
    def broken(self) -> bool:
        """True if its part cannot work without it being mended."""
        return self.status in _BROKEN


class BackendState(Part):
    """The abilities of a backend on this machine."""

    name: str
    builds: bool
    runs: bool
    reason: str
    """The things that it has, or lacks."""
    next_command: str | None = None


class AutomaticChoice(Part):
    """The backend that `--backend auto` takes here."""

    backend: str
    reason: str


class DoctorReport(Value):
    """Everything a machine has and lacks, for each part of the path."""

    edgeseg_version: str
    machine: str
    """Processor or board, and cores."""
    hardware: Hardware
    checks: tuple[Check, ...]
    backends: tuple[BackendState, ...]
    auto: AutomaticChoice

    @property
    def base_works(self) -> bool:
        """True if the base path (onnxruntime on the CPU) works."""
        return not any(check.broken for check in self.checks if check.part == "base")

    def backend(self, name: str) -> BackendState:
        """One backend's state."""
        return next(state for state in self.backends if state.name == name)

    def lacking(self, part: PartName) -> list[Check]:
        """List the checks that a part fails."""
        return [check for check in self.checks if check.part == part and check.broken]
