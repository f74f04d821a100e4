"""Reaches a verdict on clips: compare, judge."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
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
from edgeseg.proof.verdict.rules import conclude, flattened, results
from edgeseg.proof.verdict.verification import identity
from edgeseg.runtime.engine.engine import Engine


@dataclass(frozen=True)
class ClipMaterial:
    """The clips that an engine is proven on, read and checked."""

    clips: ClipSet
    live: LiveDelays | None = None
    """Delays of live video, for the page."""


@dataclass(frozen=True)
class ClipRequest:
    """The files that say what to prove an engine on."""

    clips: Path
    """The file of clips."""
    live: Path | None = None
    """The report of `edgeseg live --json` with this engine; None where it was not run."""

    def read(self, passport: EngineArtifact) -> ClipMaterial:
        """Read the files, before any inference.

        Args:
            passport: The engine's.

        Raises:
            BadInputError: A clip or the file of clips is missing or does not hold together; likewise the report.
            MismatchError: The report is of another engine.
        """
        live = None if self.live is None else read_live_delays(self.live, passport.engine_sha256)
        return ClipMaterial(read_clips(self.clips), live)


@dataclass(frozen=True, eq=False)
class ProvenClips:
    """A verdict with what its page is drawn from."""

    verdict: ClipVerdict
    clips: Sequence[PairedClip]


def prove_clips(
    engine: Engine,
    reference: Engine,
    material: ClipMaterial,
    passport: EngineArtifact | None = None,
    track: Track = silent,
) -> ProvenClips:
    """Hold an open engine against its reference on clips.

    Args:
        engine: The engine that is to be shipped.
        reference: What it must not be worse than.
        material: The clips, which are taken through the pipeline of `run`, and the limits.
        passport: The engine's, for the network that it was built from.
        track: Shows progress.

    Raises:
        MismatchError: Other classes.
        BadInputError: A clip that cannot be read, or that does not fit what the file of clips says of it.
    """
    clips = material.clips
    paired = compare_clips(engine, reference, clips, track)
    rows = tuple(pair.row for pair in paired)
    lesions = tuple(row for pair in paired for row in pair.lesions)
    false, reference_false = (
        false_activations([getattr(pair, which) for pair in paired]) for which in ("engine", "reference")
    )
    built_from_reference = None if passport is None else passport.onnx_sha256 == reference.info.sha256
    judged = judge_clips(rows, lesions, false, reference_false, clips.limits, built_from_reference)
    findings = flattened(judged)
    verdict = ClipVerdict(
        passed=conclude(findings),
        reasons=tuple(finding.reason for finding in findings),
        rules=results(judged),
        clips_sha256=clips.sha256,
        limits=clips.limits,
        lesions_found=lesions_found(lesions),
        lesions=lesions,
        false_activations=false,
        reference_false_activations=reference_false,
        live=material.live,
        clips=rows,
        edgeseg_version=edgeseg.__version__,
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        **identity(engine.info, reference.info),
    )
    return ProvenClips(verdict, paired)
