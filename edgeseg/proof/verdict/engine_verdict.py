"""Reaches a verdict from files, for `edgeseg verify` and `edgeseg.verify`."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from edgeseg.artifacts import ClipVerdict, EngineArtifact, Precision, Verdict, VerdictLimits
from edgeseg.dataset import load_pairs
from edgeseg.errors import BadInputError
from edgeseg.packages import find_model
from edgeseg.progress import Say, Track, quiet, silent
from edgeseg.proof.clips.clip_page import clip_section, write_clip_report
from edgeseg.proof.clips.clip_verdict import ClipRequest, prove_clips
from edgeseg.proof.protocol.keeping import held_to
from edgeseg.proof.protocol.protocol_file import ProtocolFile, read_protocol
from edgeseg.proof.verdict.rules import Finding, conclude, limits_for
from edgeseg.proof.verdict.verdict_page import HTML_NAME, JSON_NAME, check_report_folder, write_report
from edgeseg.proof.verdict.verification import verify
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.opener.use import FILE
from edgeseg.runtime.passport.passports import read_checked

DEFAULT_SPLIT = "test"
MAX_SLOWDOWN = 5.0
"""Percent by which an engine may be slower than its baseline engine where the caller sets no limit."""


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
    baseline_engine: Path | None = None
    """An engine not to be slower than, timed in turns with this one."""
    max_slowdown: float | None = None
    """Limit of the slowdown, in percent; None takes `MAX_SLOWDOWN` where there is a baseline engine."""

    def under(self, protocol: ProtocolFile | None) -> Demands:
        """These demands, with the protocol's limits where they name none."""
        agreed = None if protocol is None else protocol.protocol.limits
        unnamed = {} if agreed is None else {name: value for name, value in agreed if getattr(self, name) is None}
        return replace(self, **unnamed)

    def limits(self, precision: Precision) -> VerdictLimits:
        """The limits to judge by, with the default drop of the precision where none was named.

        Raises:
            UsageError: A limit that is no limit.
        """
        return limits_for(
            precision,
            self.max_dice_drop,
            self.max_p99_ms,
            self.max_lost_polyps,
            self.min_reference_dice,
            self.min_agreement,
            MAX_SLOWDOWN if self.max_slowdown is None and self.baseline_engine is not None else self.max_slowdown,
        )

    def words(self) -> list[str]:
        """The limits of accuracy that were named, as `edgeseg verify`, `advise` and `build-engine` take them."""
        named = {"--max-dice-drop": self.max_dice_drop, "--max-lost-polyps": self.max_lost_polyps}
        return [word for flag, value in named.items() if value is not None for word in (flag, str(value))]


def verify_engine(
    engine: Path,
    open_reference: Callable[[], Engine],
    data: Path,
    split: str = DEFAULT_SPLIT,
    demands: Demands | None = None,
    report: Path | None = None,
    track: Track = silent,
    say: Say = quiet,
    reference: Path | None = None,
    clips: ClipRequest | None = None,
    protocol: Path | None = None,
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
        reference: What `open_reference` opens, for the next command.
        clips: Clips that the engine must pass on as well.
        protocol: The limits and data that were fixed beforehand.

    Raises:
        BadInputError: No labelled images, a file that cannot be read, or a clip that does not fit its description.
        MismatchError: An engine does not fit its passport or this machine, or the engine the reference.
        UsageError: A limit that is no limit.
    """
    agreed = None if protocol is None else read_protocol(protocol)
    demands = (demands or Demands()).under(agreed)
    if report is not None:
        check_report_folder(report, demands.baseline)
    baseline = None if demands.baseline is None else Verdict.read(demands.baseline)
    _, passport = read_checked(engine)
    material = None if clips is None else clips.read(passport)
    with contextlib.ExitStack() as opened:
        candidate = opened.enter_context(contextlib.closing(open_engine(engine)))
        standard = opened.enter_context(contextlib.closing(open_reference()))
        twins = None if demands.baseline_engine is None else _open_twice(demands.baseline_engine, opened)
        limits = demands.limits(candidate.info.precision)
        pairs = load_pairs(data, split, classes=candidate.info.model.channels)
        verdict = verify(
            candidate, standard, pairs, limits, passport=passport, baseline=baseline, twins=twins, track=track
        )
        proven = None if material is None else prove_clips(candidate, standard, material, passport, track)
        section = None if proven is None else clip_section(proven.verdict, proven.clips)
        verdict = verdict if proven is None else with_clips(verdict, proven.verdict)
        if verdict.precision == "int8" and verdict.passed is not True:
            verdict = verdict.model_copy(update={"next_command": _advise(passport, reference, data, split, demands)})
        if agreed is not None:
            verdict = held_to(agreed, verdict, passport.built)
        if report is not None:
            write_report(report, verdict, candidate, standard, pairs, section)
            say(f"wrote {report / HTML_NAME} and {JSON_NAME}")
    return verdict


def _open_twice(engine: Path, opened: contextlib.ExitStack) -> tuple[Engine, Engine]:
    """Two openings of one engine, so that what differs between them is noise."""
    first, second = (opened.enter_context(contextlib.closing(open_engine(engine))) for _ in range(2))
    return first, second


def with_clips(verdict: Verdict, clips: ClipVerdict) -> Verdict:
    """Give the verdict on images that takes in one on clips: the worse of the two, its reasons first."""
    outcome = conclude([Finding(verdict.passed, ""), Finding(clips.passed, "")])
    reasons = [verdict.reasons, clips.reasons]
    if verdict.passed != outcome:
        reasons.reverse()
    return verdict.model_copy(update={"passed": outcome, "reasons": tuple(chain(*reasons)), "clips": clips})


def verify_on_clips(
    engine: Path,
    open_reference: Callable[[], Engine],
    clips: ClipRequest,
    report: Path | None = None,
    track: Track = silent,
    say: Say = quiet,
    reference: Path | None = None,
    protocol: Path | None = None,
) -> ClipVerdict:
    """Hold an engine file against its reference on clips alone, without labelled images.

    Args:
        engine: NAME.engine, its passport beside it.
        open_reference: Opens the network that the engine must not be worse than; it is closed here.
        clips: The clips.
        report: Folder for verdict.json and verdict.html.
        track: Shows progress.
        say: Hears where the report lies.
        reference: What `open_reference` opens, for the next command.
        protocol: The clips that were fixed beforehand.

    Raises:
        BadInputError: A clip or the file of clips that cannot be read, or that do not fit each other.
        MismatchError: The engine does not fit its passport, this machine, the reference or the live report.
    """
    if report is not None:
        check_report_folder(report)
    agreed = None if protocol is None else read_protocol(protocol)
    _, passport = read_checked(engine)
    material = clips.read(passport)
    with contextlib.closing(open_engine(engine, FILE)) as candidate, contextlib.closing(open_reference()) as standard:
        proven = prove_clips(candidate, standard, material, passport, track)
    verdict = proven.verdict
    if verdict.precision == "int8" and verdict.passed is not True:
        advise = _advise(passport, reference, Path("DIR"), DEFAULT_SPLIT, Demands())
        verdict = verdict.model_copy(update={"next_command": advise})
    if agreed is not None:
        verdict = held_to(agreed, verdict, passport.built)
    if report is not None:
        write_clip_report(report, clip_section(verdict, proven.clips), HTML_NAME, JSON_NAME)
        say(f"wrote {report / HTML_NAME} and {JSON_NAME}")
    return verdict


def _advise(passport: EngineArtifact, reference: Path | None, data: Path, split: str, demands: Demands) -> str:
    """The command that says which precision to ship instead, of the network that the engine was built from."""
    model = model_of(passport, reference)
    words = ["edgeseg", "advise", "MODEL" if model is None else str(model), "--data", str(data), *demands.words()]
    return shlex.join([*words, *([] if split == DEFAULT_SPLIT else ["--split", split])])


def model_of(passport: EngineArtifact, reference: Path | None = None) -> Path | None:
    """The model as it was named for the build, where it is still there; else the reference, where that is one."""
    built_from = None if passport.build is None else Path(passport.build.model)
    for named in (built_from, reference):
        with contextlib.suppress(BadInputError):
            if named is not None and find_model(named).onnx is not None:
                return named
    return None
