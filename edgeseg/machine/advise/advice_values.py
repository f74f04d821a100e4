"""The settings of `edgeseg advise`, and its findings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeseg.artifacts import RESEARCH_NOTICE, ConfidenceInterval, Percentiles, PolypChange, Precision, TimeShare
from edgeseg.precision_search import PrecisionSearch
from edgeseg.proof.verdict.engine_verdict import DEFAULT_SPLIT
from edgeseg.specs import ModelSpec
from edgeseg.values import Part, Value

Kind = Literal["fp32", "fp16", "mixed", "int8"]
"""The precision of an engine; `mixed` is INT8 without the convolutions that a search sent back to float."""
KINDS: tuple[Kind, ...] = ("fp32", "fp16", "mixed", "int8")
"""The plainest comes first: of engines that are as quick, the first one is advised."""
Answer = Literal["ship", "undecided", "nothing holds"]
PRECISION_OF: dict[Kind, Precision] = {"fp32": "fp32", "fp16": "fp16", "mixed": "int8", "int8": "int8"}
"""The precision that passport and limits go by."""


@dataclass(frozen=True)
class AdviseOptions:
    """The settings of `edgeseg advise`."""

    data: Path
    """A data set with masks; `split` judges, the validation split chooses the mix, the train split calibrates."""
    split: str = DEFAULT_SPLIT
    out: Path = Path("advice")
    backends: tuple[str, ...] = ()
    """Empty takes every one that executes here."""
    calibration: Path | None = None
    """None takes the model's own table, or makes one of the train split."""
    max_dice_drop: float | None = None
    """None takes each precision's own limit of `edgeseg verify`."""
    max_lost_polyps: int | None = None
    seconds: float = 60.0
    """The longest time of the timing."""


class TimingRecord(Part):
    """How the engines were timed."""

    rounds: int
    """Rounds that count; in each, every engine segments the same picture once."""
    pictures: int
    stable: bool
    """True if the level of a round stood still, by the rule of `edgeseg bench`."""
    max_s: float
    twin: TimeShare
    """One engine against a second opening of the same file: the differences that this machine shows where there are
    none."""
    noise: float
    """The farthest that `twin` reaches from 1, interval included; smaller differences tell nothing here."""
    other_cores: float | None
    """Cores that everything else on the machine kept busy."""


class Candidate(Part):
    """One engine that was weighed, or was to be."""

    backend: str
    kind: Kind
    file: str | None = None
    """Its name in the folder; None where it could not be built, likewise the next."""
    engine_sha256: str | None = None
    engine_bytes: int | None = None
    convolutions: int | None = None
    int8_convolutions: int | None = None
    holds: bool | Literal["undecided"] | None = None
    """The outcome of `edgeseg verify`'s rules of accuracy; None where the engine does not run."""
    reasons: tuple[str, ...]
    """These rules' sentences, or why there is no engine."""
    mean_dice: float | None = None
    mean_dice_drop: float | None = None
    drop_interval: ConfidenceInterval | None = None
    max_dice_drop: float | None = None
    """Its limit."""
    lost: PolypChange | None = None
    """Images whose polyp the reference finds and the engine does not."""
    end_to_end: Percentiles | None = None
    """The times from frame to mask, as measured; None where the engine was not timed, likewise the next."""
    undisturbed_ms: float | None = None
    """The median over the blocks of its quickest time; ratios are of these."""
    over_float32: TimeShare | None = None
    """Its time over that of the same backend's float32 engine; None for that one, likewise the next."""
    over_fp16: TimeShare | None = None
    over_advised: TimeShare | None = None
    """Its time over that of the advised engine."""
    on_front: bool = False
    """True if no other engine is both as quick and as accurate, and better in one of them."""

    @property
    def name(self) -> str:
        """``onnxruntime int8``."""
        return f"{self.backend} {self.kind}"


class SearchFindings(Part):
    """The search for the convolutions that INT8 must leave, on one backend."""

    backend: str
    holds: bool
    record: PrecisionSearch


class AbsentBackend(Part):
    """A backend that cannot execute here, so that nothing is said of its speed."""

    backend: str
    reason: str
    next_command: str | None


class Advice(Value):
    """Which engine of a network to ship on this machine, what it costs and what it gains."""

    answer: Answer
    """`undecided`: the images prove nothing, or the machine is too noisy to tell."""
    headline: str
    sentences: tuple[str, ...]
    """The answer's reasons, one sentence each."""
    advised: str | None
    """Name of the advised engine; the safe choice where noise leaves it undecided, None where nothing holds."""
    engine: str | None
    """Path of that engine."""
    int8_worth: bool | None
    """False if INT8, whole or mixed, is not worth it here; None where that is open, or INT8 was not built."""
    next_commands: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    absent: tuple[AbsentBackend, ...] = ()
    searches: tuple[SearchFindings, ...] = ()
    timing: TimingRecord | None
    """None where no engine runs."""
    model_path: str
    model: ModelSpec
    onnx_sha256: str
    data: str
    split: str
    data_sha256: str
    image_count: int
    reference_mean_dice: float | None
    """The network's in float32 on ONNX Runtime; None where no engine runs."""
    max_dice_drop: float | None
    """The limit that was asked for; None stands for each precision's own."""
    max_lost_polyps: int | None
    machine: str
    gpu: str | None
    edgeseg_version: str
    created: str
    """UTC, ISO 8601."""
    notice: str = RESEARCH_NOTICE

    def find(self, name: str | None) -> Candidate | None:
        """The candidate of a name."""
        return next((one for one in self.candidates if one.name == name), None)
