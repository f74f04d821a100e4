"""Reaches a verdict on clips from files, for `edgeseg verify --clips`."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import edgeseg
from edgeseg.artifacts import ClipVerdict, EngineArtifact, LiveDelays
from edgeseg.progress import Track, silent
from edgeseg.proof.clips.clip_comparison import PairedClip, compare_clips, lesions_found
from edgeseg.proof.clips.clip_file import ClipSet, read_clips
from edgeseg.proof.clips.clip_measures import false_activations
from edgeseg.proof.clips.clip_rules import judge_clips
from edgeseg.proof.clips.live_delays import read_live_delays
from edgeseg.proof.verdict.rules import conclude, worst_first
from edgeseg.proof.verdict.verification import identity
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.opener.use import FILE
from edgeseg.runtime.passport.passports import read_checked


@dataclass(frozen=True)
class ClipRequest:
    """What to prove an engine on."""

    clips: Path
    """The file of clips."""
    live: Path | None = None
    """What `edgeseg live --json` printed for this engine; None where it was not run."""


@dataclass(frozen=True, eq=False)
class ProvenClips:
    """A verdict with what its page is drawn from."""

    verdict: ClipVerdict
    clips: Sequence[PairedClip]


def verify_clips(
    engine: Path, open_reference: Callable[[], Engine], request: ClipRequest, track: Track = silent
) -> ProvenClips:
    """Hold an engine file against its reference on the clips of a file, as `run` segments them.

    Args:
        engine: NAME.engine, its passport beside it.
        open_reference: Opens the network that the engine must not be worse than; it is closed here.
        request: The clips.
        track: Shows progress.

    Raises:
        BadInputError: A clip or the file of clips that cannot be read, or that do not fit each other.
        MismatchError: The engine does not fit its passport, this machine, the reference or the live report.
    """
    clips = read_clips(request.clips)
    _, passport = read_checked(engine)
    live = None if request.live is None else read_live_delays(request.live, passport.engine_sha256)
    with contextlib.closing(open_engine(engine, FILE)) as candidate, contextlib.closing(open_reference()) as standard:
        return prove_clips(candidate, standard, clips, live, passport, track)


def prove_clips(
    engine: Engine,
    reference: Engine,
    clips: ClipSet,
    live: LiveDelays | None = None,
    passport: EngineArtifact | None = None,
    track: Track = silent,
) -> ProvenClips:
    """Hold an open engine against its reference on clips.

    Args:
        engine: The engine that is to be shipped.
        reference: What it must not be worse than.
        clips: The clips and the limits.
        live: Delays of live video, for the page.
        passport: The engine's, for the network that it was built from.
        track: Shows progress.

    Raises:
        MismatchError: Other classes.
        BadInputError: A clip that cannot be read, or that does not fit what the file of clips says of it.
    """
    paired = compare_clips(engine, reference, clips, track)
    rows = tuple(pair.row for pair in paired)
    lesions = tuple(row for pair in paired for row in pair.lesions)
    false, reference_false = (
        false_activations([getattr(pair, which) for pair in paired]) for which in ("engine", "reference")
    )
    built_from_reference = None if passport is None else passport.onnx_sha256 == reference.info.sha256
    findings = worst_first(judge_clips(rows, lesions, false, reference_false, clips.limits, built_from_reference))
    verdict = ClipVerdict(
        passed=conclude(findings),
        reasons=tuple(finding.reason for finding in findings),
        clips_sha256=clips.sha256,
        limits=clips.limits,
        lesions_found=lesions_found(lesions),
        lesions=lesions,
        false_activations=false,
        reference_false_activations=reference_false,
        live=live,
        clips=rows,
        edgeseg_version=edgeseg.__version__,
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        **identity(engine.info, reference.info),
    )
    return ProvenClips(verdict, paired)
