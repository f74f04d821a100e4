"""Reaches a verdict from files, for `edgeseg verify` and `edgeseg.verify`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgeseg.artifacts import Verdict
from edgeseg.dataset import load_pairs
from edgeseg.progress import Say, Track, quiet, silent
from edgeseg.proof.verdict.rules import limits_for
from edgeseg.proof.verdict.verdict_page import HTML_NAME, check_report_folder, write_report
from edgeseg.proof.verdict.verification import verify
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.passport.passports import read_checked


@dataclass(frozen=True)
class Demands:
    """The demands on an engine; None takes the default of its precision, or asks nothing."""

    max_dice_drop: float | None = None
    max_p99_ms: float | None = None
    max_lost_polyps: int | None = None
    baseline: Path | None = None
    """A former verdict.json not to fall behind."""
    min_reference_dice: float | None = None
    min_agreement: float | None = None


def verify_engine(
    engine: Path,
    open_reference: Callable[[], Engine],
    data: Path,
    split: str = "test",
    demands: Demands | None = None,
    report: Path | None = None,
    track: Track = silent,
    say: Say = quiet,
) -> Verdict:
    """Hold an engine file against its reference on labelled images.

    Args:
        engine: NAME.engine, its passport beside it.
        open_reference: Opens the network that the engine must not be worse than; it is closed here.
        data: Data set with masks.
        split: Which part of it; a data set without splits is taken whole.
        demands: The limits.
        report: Folder for verdict.json and verdict.html.
        track: Shows progress.
        say: Hears where the report lies.

    Raises:
        BadInputError: No labelled images, or a file that cannot be read.
        MismatchError: The engine does not fit its passport, this machine or the reference.
        UsageError: A limit that is no limit.
    """
    demands = demands or Demands()
    if report is not None:
        check_report_folder(report, demands.baseline)
    baseline = None if demands.baseline is None else Verdict.read(demands.baseline)
    _, passport = read_checked(engine)
    with contextlib.closing(open_engine(engine)) as candidate, contextlib.closing(open_reference()) as standard:
        limits = limits_for(
            candidate.info.precision,
            demands.max_dice_drop,
            demands.max_p99_ms,
            demands.max_lost_polyps,
            demands.min_reference_dice,
            demands.min_agreement,
        )
        pairs = load_pairs(data, split, classes=candidate.info.model.channels)
        verdict = verify(candidate, standard, pairs, limits, passport=passport, baseline=baseline, track=track)
        if report is not None:
            write_report(report, verdict, candidate, standard, pairs)
            say(f"wrote {report / HTML_NAME} and verdict.json")
    return verdict
