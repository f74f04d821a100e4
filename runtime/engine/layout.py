"""How an engine is laid out when it is opened, whatever backend executes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from edgeseg.artifacts import EngineArtifact
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.session import Session


@dataclass(frozen=True)
class SessionLayout:
    """What one session is opened for. A backend passes over what means nothing to it."""

    threads: int = 0
    """Threads inside one inference on a CPU; 0 takes every usable core."""
    lanes: int = 1
    """Frames at once on a GPU."""
    frame_bytes: int = 1920 * 1080 * 3
    """Size of the largest frame that a GPU is given."""
    stage_times: bool = False
    """Whether a GPU times its stages, which costs it some microseconds a frame."""
    largest_batch: int = 1
    """Frames that a GPU runs in one inference; above 1 it sets memory aside."""
    results: Literal["host", "device"] = "host"
    """Whether a GPU brings results to the host or leaves them where they are."""


Opener = Callable[[bytes, EngineArtifact, SessionLayout], Session | Engine]
"""Loads an engine in this process: a `Session` on the CPU, an `Engine` on a GPU, whose memory it shares out itself.

Its file fits its passport, and its passport fits the machine."""
