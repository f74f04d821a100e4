"""Opens a roll-out from settings: the new engine, checked against the one that runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from edgeseg.errors import MismatchError, UsageError
from edgeseg.progress import Say
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.live.drift.drift_monitor import DriftMonitor
from edgeseg.runtime.live.rollout.roll_out import RollOut
from edgeseg.runtime.live.rollout.shadow import Shadow
from edgeseg.runtime.live.settings import LiveSettings
from edgeseg.runtime.live.shared_engine import SharedEngine
from edgeseg.runtime.live.takeover import contract_of, name_of, open_beside
from edgeseg.runtime.opener.engine_from_file import start_workers
from edgeseg.runtime.opener.use import REFERENCE, live_use
from edgeseg.runtime.worker.worker_engine import WorkerEngine


def open_shadow(settings: LiveSettings, shown: SessionInfo, say: Say) -> Shadow | None:
    """Open the new engine, unseen; None where none is named.

    It runs at the lowest priority and with one thread, so what it takes on a CPU is what no other wants.

    Args:
        settings: The settings of the box.
        shown: The engine that is shown.
        say: Called with lines for the person at the terminal.

    Raises:
        EdgesegError: It does not fit the one that is shown, or does not come up.
    """
    path = settings.roll_out.shadow
    if path is None:
        return None
    use = replace(REFERENCE, signed_by=settings.signed_by)
    return Shadow(open_beside(path, use, partial(check_successor, shown), "shadow", say), shown)


def open_roll_out(
    settings: LiveSettings, shared: SharedEngine, shadow: Shadow, monitors: Sequence[DriftMonitor]
) -> RollOut:
    """Make the way of a shadow onto the screen.

    Args:
        settings: The settings of the box.
        shared: The engine that runs.
        shadow: The new engine.
        monitors: The streams' drift watches.
    """
    path, processes = settings.roll_out.shadow, settings.processes
    assert path is not None

    def as_shown() -> WorkerEngine:
        use = live_use(processes.active, processes.spares, processes.threads)
        engine = start_workers(path, replace(use, signed_by=settings.signed_by))
        if engine.info != shadow.info:  # the file may have changed since
            engine.close()
            raise MismatchError(
                f"{path} is not the file that was compared", found=engine.info.sha256, expected=shadow.info.sha256
            )
        return engine

    return RollOut(shared, shadow, as_shown, monitors, settings.roll_out.limit_ms)


def check_successor(shown: SessionInfo, new: SessionInfo) -> None:
    """Refuse an engine whose masks would mean something else than those of the one that is shown.

    The threshold needs no check: 0.5 of every network's output is the border, whatever it was trained with.

    Raises:
        UsageError: It is the one that is shown.
        MismatchError: It has other classes, or another input.
    """
    if (shown.sha256, shown.precision) == (new.sha256, new.precision):
        raise UsageError("the new engine is the one that is shown", found=name_of(new), expected="another engine")
    found, expected = contract_of(new), contract_of(shown)
    if found != expected:
        raise MismatchError(
            "the new engine does not see or say what the one that is shown does",
            found=found,
            expected=expected,
            next_command="stop the stream and start it with the new engine",
        )
