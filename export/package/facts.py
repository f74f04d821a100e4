"""The values that a card tells."""

from __future__ import annotations

from dataclasses import dataclass

from edgeseg.artifacts import CalibrationTable, Precision
from edgeseg.proof.evaluation.frame_masks import UnlabelledSource
from edgeseg.proof.verdict.evaluation import Evaluation
from edgeseg.runtime.file.frame_choice import ALL_FRAMES
from edgeseg.specs import ModelMetadata


@dataclass(frozen=True)
class Clip:
    """Frames without ground truth of which one thing is known: all of them show a polyp, or none does."""

    source: UnlabelledSource
    shows_polyp: bool

    @property
    def name(self) -> str:
        """The last part of its path, and the frames where they were chosen."""
        frames = "" if self.source.frames == ALL_FRAMES else f"@{self.source.frames}"
        return f"{self.source.path.name}{frames}"


@dataclass(frozen=True)
class MarkedFrames:
    """How many frames of a clip have something marked."""

    clip: Clip
    frames: int
    share: float
    """0 to 1, of the frames: with a mask of at least `UnlabelledSource.false_mask_share` of the picture."""


@dataclass(frozen=True)
class PrecisionRow:
    """One onnxruntime engine of the packaged weights on the test split."""

    precision: Precision
    engine_bytes: int
    int8_convolutions: int
    convolutions: int
    evaluation: Evaluation
    clips: tuple[MarkedFrames, ...] = ()
    others: tuple[Evaluation, ...] = ()
    """On the test splits of further data sets, in the order of `CardFacts.others`."""


@dataclass(frozen=True)
class SeedRow:
    """Another training of the same recipe, with the package's threshold, in PyTorch."""

    seed: int
    mean_dice: tuple[float, ...]
    """On the test split, then on those of the further data sets."""


@dataclass(frozen=True)
class CardFacts:
    """Everything that a card tells."""

    name: str
    metadata: ModelMetadata
    parameters: int
    multiply_adds: int
    """Multiply-adds of all convolutions for one frame."""
    calibration: str
    """The calibration table in words; see `calibration_in_words`."""
    rows: tuple[PrecisionRow, ...]
    terms: str
    others: tuple[str, ...] = ()
    """Names of the further data sets."""
    seeds: tuple[SeedRow, ...] = ()
    """The package's own training first; empty where there is no other."""
    has_curves: bool = False
    """True if the plot over thresholds lies beside the card."""
    never_shown: str | None = None
    """The kinds of pictures that training had none of."""
    mirroring: bool = False
    """True if the graph's answer is the mean of a frame's and its mirror image's."""


def calibration_in_words(table: CalibrationTable) -> str:
    """Say how a package's table was made: pictures, method, levels, biases."""
    chosen = ", chosen by trying them" if table.method_trial is not None else ""
    levels = ", asymmetric levels" if table.asymmetry is not None and table.asymmetry.asymmetric else ""
    count = len(table.bias_shifts or ())
    biases = f", biases of {count} convolutions corrected" if count else "; biases as they are"
    return f"ranges on {table.image_count} images of the train split, method {table.method}{chosen}{levels}{biases}"
