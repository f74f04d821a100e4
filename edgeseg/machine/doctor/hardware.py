"""The board and its GPU, as the driver's child process and the board's own files tell."""

from __future__ import annotations

import re
from typing import Any

from edgeseg.machine.doctor.machine_view import MachineView
from edgeseg.runtime.engine.machine import BOARD
from edgeseg.runtime.passport.gpu import TEGRA_RELEASE
from edgeseg.values import Part

# Jetson Linux (L4T) major -> JetPack major; 38 is JetPack 7.0 and 7.1, 39 is 7.2.
_JETPACKS = {35: 5, 36: 6, 38: 7, 39: 7}


class GpuFacts(Part):
    """The GPU that CUDA calls device 0."""

    name: str
    compute_capability: str
    driver: str
    """Version of the kernel's driver, for example ``580.65.06``."""
    cuda: str
    """The newest CUDA that the driver runs, for example ``13.0``."""
    integrated: bool
    """True if it shares the host's memory, as on Jetson."""
    memory_bytes: int
    count: int = 1
    """How many GPUs there are."""
    bus_id: str | None = None
    """PCI address, by which nvidia-smi finds the same GPU: it numbers them in another order than CUDA."""


class Hardware(Part):
    """The machine's processor, board and GPU."""

    board: str | None = None
    """The firmware's name of an Arm board, for example ``NVIDIA Jetson AGX Orin Developer Kit``."""
    jetson_linux: str | None = None
    """Release of Jetson Linux (L4T), for example ``36.4.3``."""
    jetpack: int | None = None
    """Major version; None where there is none, or it is not known."""
    gpu: GpuFacts | None = None
    gpu_missing: str | None = None
    """Why there is none."""

    @property
    def is_nvidia_board(self) -> bool:
        """True if this is a Jetson or an IGX."""
        return self.jetson_linux is not None or (self.board or "").startswith("NVIDIA")


def read_hardware(view: MachineView, gpu_answer: dict[str, Any]) -> Hardware:
    """Put together what the board's files and the GPU probe say.

    Args:
        view: The machine.
        gpu_answer: The answer of the probe ``gpu``.
    """
    release = parse_tegra_release(view.text(str(TEGRA_RELEASE)) or "")
    gpu = None if "missing" in gpu_answer else GpuFacts(**gpu_answer)
    return Hardware(
        board=view.text(str(BOARD)) or None,
        jetson_linux=release,
        jetpack=None if release is None else _JETPACKS.get(int(release.split(".")[0])),
        gpu=gpu,
        gpu_missing=gpu_answer.get("missing"),
    )


def parse_tegra_release(text: str) -> str | None:
    """``# R36 (release), REVISION: 4.3, GCID: ...`` -> ``36.4.3``; None where it says something else."""
    match = re.search(r"R(\d+)\s*\(release\)\s*,\s*REVISION:\s*(\d+(?:\.\d+)*)", text)
    return None if match is None else f"{match[1]}.{match[2]}"
