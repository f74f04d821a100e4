"""One engine of a qualification: build it, compare it with the reference, soak it, measure it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.artifacts import EngineArtifact, Precision, Verdict
from edgeseg.dataset import Pair
from edgeseg.errors import EdgesegError, MissingComponentError
from edgeseg.images import read_rgb
from edgeseg.machine.qualify.bench_process import bench_apart
from edgeseg.machine.qualify.build_process import build_apart
from edgeseg.machine.qualify.qualification_values import (
    BuiltFacts,
    EngineQualification,
    Outcome,
    QualifyOptions,
    VerdictSummary,
)
from edgeseg.progress import Track
from edgeseg.proof.verdict.agreement import agree
from edgeseg.proof.verdict.rules import limits_for
from edgeseg.proof.verdict.soak import soak
from edgeseg.proof.verdict.verdict_page import write_report
from edgeseg.proof.verdict.verification import verify
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.passport.passports import passport_path

SOAK_FRAMES = 8
"""Different frames that go round; they are kept in memory."""


@dataclass(frozen=True)
class Job:
    """One engine to qualify."""

    model: Path
    backend: str
    precision: Precision
    fingerprint: str
    options: QualifyOptions
    calibration_data: Path | None = None
    """Images to calibrate on, if the model brings no table."""

    @property
    def name(self) -> str:
        """``tensorrt.int8``."""
        return f"{self.backend}.{self.precision}"

    @property
    def engine(self) -> Path:
        """The engine's path."""
        return self.options.out / f"{self.name}.engine"

    @property
    def record(self) -> Path:
        """The path of the record of what was found."""
        return self.options.out / f"{self.name}.qualify.json"

    def ended(self, outcome: Outcome, reasons: Sequence[str], **found: Any) -> EngineQualification:
        """Put what was found into a value."""
        return EngineQualification(
            backend=self.backend,
            precision=self.precision,
            outcome=outcome,
            reasons=tuple(reasons),
            fingerprint=self.fingerprint,
            **found,
        )


def qualify_engine(
    job: Job,
    reference: Engine,
    pairs: Sequence[Pair],
    gpu_memory: Callable[[], int | None],
    track: Track,
) -> EngineQualification:
    """Build and prove one engine; whatever fails is its outcome, never an exception.

    Args:
        job: Which.
        reference: The network in float32 on ONNX Runtime.
        pairs: Images to prove it on.
        gpu_memory: Bytes in use on the GPU.
        track: Shows progress.
    """
    try:
        built = _build(job)
    except EdgesegError as error:
        return job.ended("failed", [f"it does not build: {error.in_one_line()}"])
    try:
        engine = open_engine(job.engine)
    except MissingComponentError as error:
        return job.ended("not executed", [f"built, and not executed here: {error.what}"], built=built)
    except EdgesegError as error:
        return job.ended("failed", [f"it does not open: {error.in_one_line()}"], built=built)
    try:
        with contextlib.closing(engine):
            proven = _prove(job, built, engine, reference, pairs, gpu_memory, track)
        # After it is closed: a bench has the machine to itself.
        return proven.model_copy(update={"bench": bench_apart(job.engine)})
    except EdgesegError as error:
        return job.ended("failed", [f"it does not run: {error.in_one_line()}"], built=built)


def _build(job: Job) -> BuiltFacts:
    build_apart(job.model, job.backend, job.precision, job.calibration_data, job.engine)
    passport = EngineArtifact.read(passport_path(job.engine))
    return BuiltFacts(
        file=job.engine.name,
        engine_sha256=passport.engine_sha256,
        engine_bytes=passport.engine_bytes,
        backend_version=passport.backend_version,
        int8_convolutions=passport.int8_convolutions,
        convolutions=passport.convolutions,
    )


def _prove(
    job: Job,
    built: BuiltFacts,
    engine: Engine,
    reference: Engine,
    pairs: Sequence[Pair],
    gpu_memory: Callable[[], int | None],
    track: Track,
) -> EngineQualification:
    frames = [read_rgb(pair.image) for pair in pairs[:SOAK_FRAMES]]
    found: dict[str, Any] = {"built": built}
    outcome: Outcome
    if job.options.data is None:
        every = (read_rgb(pair.image) for pair in pairs)
        agreement = agree(engine, reference, list(every), job.precision, track)
        failures, doubts = agreement.failures(), agreement.doubts()
        outcome = "undecided" if doubts else "passed"
        reasons = [*doubts, f"{agreement.flipped_share:.3%} of the mask's pixels differ from the reference's"]
        found["agreement"] = agreement
    else:
        verdict = _verify(job, engine, reference, pairs, track)
        outcome = "undecided" if verdict.passed == "undecided" else "passed"
        failures = [] if verdict.passed is not False else list(verdict.reasons)
        reasons = list(verdict.reasons)
        found["verdict"] = _summary(job, verdict)
    soaked = soak(engine, frames, job.options.soak, gpu_memory, track)
    failures += soaked.failures()
    reasons.append(f"soaked for {soaked.seconds:.0f} s, {soaked.frames} frames")
    return job.ended("failed" if failures else outcome, failures or reasons, soak=soaked, **found)


def _verify(job: Job, engine: Engine, reference: Engine, pairs: Sequence[Pair], track: Track) -> Verdict:
    limits = limits_for(job.precision, None, None)
    passport = EngineArtifact.read(passport_path(job.engine))
    verdict = verify(engine, reference, pairs, limits, passport=passport, track=track)
    write_report(_report_folder(job), verdict, engine, reference, pairs)
    return verdict


def _report_folder(job: Job) -> Path:
    return job.options.out / f"report.{job.name}"


def _summary(job: Job, verdict: Verdict) -> VerdictSummary:
    return VerdictSummary(
        report=_report_folder(job).name,
        image_count=verdict.image_count,
        mean_dice=verdict.mean_dice,
        reference_mean_dice=verdict.reference_mean_dice,
        mean_dice_drop=verdict.mean_dice_drop,
        max_dice_drop=verdict.limits.max_dice_drop,
    )
