"""The settings of a qualification, and its findings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edgeseg.artifacts import PRECISIONS, RESEARCH_NOTICE, Precision
from edgeseg.machine.bench.bench_report import BenchReport
from edgeseg.machine.doctor.checks import DoctorReport
from edgeseg.proof.verdict.agreement import Agreement
from edgeseg.proof.verdict.soak import SoakLimits, SoakReport
from edgeseg.specs import ModelSpec
from edgeseg.values import Part, Value

Outcome = Literal["passed", "failed", "undecided", "not executed", "left out"]
"""`not executed`: built, but nothing here runs it. `left out`: something that it needs is not there."""


@dataclass(frozen=True)
class QualifyOptions:
    """The settings of a qualification."""

    data: Path | None = None
    """Labelled images; None compares on synthetic endoscopy, which proves nothing of accuracy."""
    split: str = "test"
    out: Path = Path("qualify")
    backends: tuple[str, ...] = ()
    """Empty takes every one that can build here."""
    precisions: tuple[Precision, ...] = PRECISIONS
    soak: SoakLimits = field(default_factory=SoakLimits)
    synthetic_images: int = 16


class BuiltFacts(Part):
    """An engine that was built."""

    file: str
    engine_sha256: str
    engine_bytes: int
    backend_version: str
    int8_convolutions: int
    convolutions: int


class VerdictSummary(Part):
    """The conclusion of `verify` on labelled images; the whole verdict lies in `report`."""

    report: str
    """Folder of verdict.json and verdict.html."""
    image_count: int
    mean_dice: float
    reference_mean_dice: float
    mean_dice_drop: float
    max_dice_drop: float


class EngineQualification(Value):
    """One engine."""

    backend: str
    precision: Precision
    outcome: Outcome
    reasons: tuple[str, ...]
    """One sentence each."""
    fingerprint: str
    """Hash of everything that this was found with; a second run takes over a passed engine with the same hash."""
    built: BuiltFacts | None = None
    agreement: Agreement | None = None
    verdict: VerdictSummary | None = None
    soak: SoakReport | None = None
    bench: BenchReport | None = None
    """The figures of `edgeseg bench` on synthetic 1080p frames."""


class Qualification(Value):
    """Says whether this machine runs this network as it should."""

    passed: bool | Literal["undecided"]
    proves_accuracy: bool
    """True if labelled images were used."""
    summary: str
    model_path: str
    model: ModelSpec
    onnx_sha256: str
    data_sha256: str
    engines: tuple[EngineQualification, ...]
    machine: DoctorReport
    created: str
    """UTC, ISO 8601."""
    notice: str = RESEARCH_NOTICE
