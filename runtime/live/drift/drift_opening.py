"""Opens a drift watch from settings: the reference and the training pictures' statistics, both checked first."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from edgeseg.archive_members import is_file_or_member
from edgeseg.errors import MismatchError, UsageError
from edgeseg.package_archive import is_archive
from edgeseg.packages import PACKAGE_STATISTICS
from edgeseg.progress import Say
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.live.drift.drift_monitor import DriftMonitor, MonitorOptions
from edgeseg.runtime.live.scene.drift import DriftWatch
from edgeseg.runtime.live.scene.statistics import TrainingStatistics
from edgeseg.runtime.live.scene.watch import LiveGate
from edgeseg.runtime.live.settings import LiveSettings
from edgeseg.runtime.live.takeover import contract_of, open_beside
from edgeseg.runtime.opener.engine_from_file import start_workers
from edgeseg.runtime.opener.use import REFERENCE, live_use
from edgeseg.runtime.worker.worker_engine import WorkerEngine
from edgeseg.shell import quoted


def open_drift_monitor(
    settings: LiveSettings, live: SessionInfo, gate: LiveGate | None, say: Say
) -> DriftMonitor | None:
    """A drift watch that is ready to be started; None where nothing is to be watched.

    Args:
        settings: The stream's settings.
        live: Its engine.
        gate: Knows when no tissue is seen.
        say: Takes lines for the person.

    Raises:
        EdgesegError: The reference or the statistics do not belong to the engine, or the reference does not come up.
    """
    watch, processes = settings.watch, settings.processes
    reference_path = watch.reference
    if watch.fall_back and reference_path is None:
        raise UsageError(
            "there is nothing to fall back to", found="--fall-back", expected="--reference MODEL beside it"
        )
    if reference_path is None and watch.statistics is None:
        return None
    training = find_statistics(settings, live, say)

    def reference_as_engine() -> WorkerEngine:
        assert reference_path is not None
        use = live_use(processes.active, processes.spares, processes.threads)
        return start_workers(reference_path, replace(use, signed_by=settings.signed_by))

    def is_gated() -> bool:
        return gate is not None and gate.view is not None and gate.view.gate.reason is not None

    options = MonitorOptions(watch.every, reference_as_engine if watch.fall_back else None, is_gated)
    reference = None
    if reference_path is not None:
        use = replace(REFERENCE, signed_by=settings.signed_by)
        reference = open_beside(reference_path, use, partial(check_reference, live), "reference", say)
    return DriftMonitor(DriftWatch(training), live, reference, options)


def find_statistics(settings: LiveSettings, live: SessionInfo, say: Say) -> TrainingStatistics | None:
    """How the training pictures looked: of --statistics, else from beside the engine or the reference; or nothing.

    Raises:
        BadInputError: The file cannot be read.
        MismatchError: The named file was measured at another size.
    """
    named = settings.watch.statistics
    size = (live.model.height, live.model.width)
    if named is not None:
        found = TrainingStatistics.read(named)
        if (found.height, found.width) != size:
            raise MismatchError(
                f"{named} was measured at another size than the network's",
                found=f"{found.width}x{found.height}",
                expected=f"{size[1]}x{size[0]}",
                next_command=f"edgeseg data statistics DIR --height {size[0]:d} --width {size[1]:d} "
                f"--out {quoted(named)}",
            )
        return found
    for path in (settings.engine, settings.watch.reference):
        holds_parts = path is not None and (path.is_dir() or is_archive(path))
        beside = None if path is None else (path if holds_parts else path.parent) / PACKAGE_STATISTICS
        if beside is not None and is_file_or_member(beside):
            found = TrainingStatistics.read(beside)
            if (found.height, found.width) == size:
                say(f"statistics of the training pictures: {beside}")
                return found
    say("no statistics of the training pictures: strange pictures raise no alarm")
    return None


def check_reference(live: SessionInfo, reference: SessionInfo) -> None:
    """Refuse a reference whose masks cannot be held against the engine's, pixel by pixel on the same input.

    Raises:
        UsageError: It is the engine itself.
        MismatchError: It has other classes, or another input.
    """
    if (live.sha256, live.precision) == (reference.sha256, reference.precision):
        raise UsageError(
            "the engine is its own reference, so nothing could ever differ",
            found=f"{live.backend} {live.precision}",
            expected="--reference with the float32 model that the engine was built from",
        )
    found, expected = contract_of(reference), contract_of(live)
    if found != expected:
        raise MismatchError("the reference does not see or say what the engine does", found=found, expected=expected)
