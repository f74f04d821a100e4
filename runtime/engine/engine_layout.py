"""The layout in which an engine is opened, whatever backend executes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from edgeseg.artifacts import EngineArtifact
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.session import Session


@dataclass(frozen=True)
class SessionLayout:
    """The layout of a CPU's session or a GPU's engine. A backend ignores what means nothing to it."""

    threads: int = 0
    """Threads inside one inference on a CPU; 0 takes every usable core."""
    lanes: int = 1
    """The number of frames at once on a GPU."""
    frame_bytes: int = 1920 * 1080 * 3
    """The size of the largest frame that a GPU is given."""
    stage_times: bool = False
    """True if a GPU times its stages, which costs it some microseconds a frame."""
    largest_batch: int = 1
    """The largest number of frames that a GPU runs in one inference; above 1 it sets memory aside."""
    results: Literal["host", "device"] = "host"
    """``host``: a GPU brings results to the host; ``device``: it leaves them where they are."""


Opener = Callable[[bytes, EngineArtifact, SessionLayout], Session | Engine]
"""A function that loads an engine in this process: a `Session` on the CPU, an `Engine` on a GPU.

The file fits its passport, and the passport fits the machine: both were checked before."""
