"""The uses of an engine: how many frames at once, in whose process, within which bounds."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgeseg.runtime.worker.restarts import RestartLimit
from edgeseg.runtime.worker.supervisor import SupervisorOptions
from edgeseg.runtime.worker.worker_engine import WorkerOptions
from edgeseg.signing.key_files import PublicKey

LOSSLESS = WorkerOptions(supervisor=SupervisorOptions(answer_deadline_s=10.0, restarts=RestartLimit(3, 600.0)))
"""The bounds for files and proofs, where a frame may be late but not lost."""
LANES_IN_A_ROW = 2
"""The lanes of a GPU that gets many frames one after another: while one's result is read, the other computes."""
LIVE_RESTARTS = RestartLimit(restarts=20, window_s=120.0, is_final=False)
"""The restarts of each process beside live video. Past them it rests, so an engine whose GPU was away for an
hour comes back without anybody's help."""
LIVE_DEADLINE_S = 2.0
"""A frame that takes longer has hung its process; beside video nobody waits longer for a mask."""
REFERENCE_DEADLINE_S = 30.0
"""A reference gives way to everything else, so a busy machine makes it late."""
LOWEST_PRIORITY = 19
"""The niceness at which a process gets what no other wants."""


@dataclass(frozen=True)
class Use:
    """Says how to open an engine. `PROOF`, `FILE`, `bench_use`, `live_use` and `REFERENCE` are the uses."""

    threads: int = 0
    """Threads inside one inference on a CPU; 0 takes every usable core."""
    at_once: int | None = 1
    """Frames at once: a CPU's sessions, a GPU's lanes; None takes as many as are fastest and fit."""
    stage_times: bool = False
    """True if a GPU times its stages, which costs it some microseconds a frame."""
    apart: bool = False
    """True if a CPU's engine runs in processes of its own, as a GPU's always does."""
    workers: WorkerOptions = field(default=LOSSLESS)
    """The number and bounds of the processes, where there are any."""
    start_s: float = 600.0
    """The time in which a process must become ready, restarts included."""
    signed_by: PublicKey | None = None
    """The key that must have signed the engine and its passport; None demands no signature."""


PROOF = Use()
"""One frame at a time."""
FILE = Use(at_once=None)
"""Many frames one after another, none of which may be lost."""


def bench_use(at_once: int, threads: int, frame_bytes: int, stage_times: bool = False) -> Use:
    """Make the use of a bench: lossless, in exactly this layout; a process that ends ends the measurement."""
    supervisor = SupervisorOptions(
        slots=at_once,
        frame_bytes=frame_bytes,
        answer_deadline_s=LOSSLESS.supervisor.answer_deadline_s,
        restarts=RestartLimit(restarts=0),
    )
    return Use(threads, at_once, stage_times, workers=WorkerOptions(supervisor=supervisor))


def live_use(active: int = 1, spares: int = 1, threads: int = 0) -> Use:
    """Make the use beside live video: the newest frame or none.

    Args:
        active: The number of processes that are given frames at a time.
        spares: The number of loaded processes beyond those, to take over.
        threads: Threads inside one inference on a CPU; 0 takes every usable core.
    """
    supervisor = SupervisorOptions(slots=1, answer_deadline_s=LIVE_DEADLINE_S, restarts=LIVE_RESTARTS)
    return Use(threads, apart=True, workers=WorkerOptions(active, spares, grows=False, supervisor=supervisor))


REFERENCE = Use(
    threads=1,
    apart=True,
    workers=WorkerOptions(
        grows=False,
        supervisor=SupervisorOptions(
            slots=1,
            answer_deadline_s=REFERENCE_DEADLINE_S,
            restarts=RestartLimit(restarts=5, window_s=600.0),
            niceness=LOWEST_PRIORITY,
        ),
    ),
)
"""The network that a live engine is watched against; it gives way to all other processes."""
