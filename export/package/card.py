"""The model card: what the package holds, what was measured, what it is not for."""

from __future__ import annotations

from dataclasses import dataclass

from edgeseg.artifacts import RESEARCH_NOTICE, Precision
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


@dataclass(frozen=True)
class CardFacts:
    """Everything that a card tells."""

    name: str
    metadata: ModelMetadata
    parameters: int
    multiply_adds: int
    """Multiply-adds of all convolutions for one frame."""
    calibration_images: int
    rows: tuple[PrecisionRow, ...]
    terms: str


def render_card(facts: CardFacts) -> str:
    """The card as Markdown."""
    model, provenance = facts.metadata.model, facts.metadata.provenance
    metrics = provenance.metrics
    encoder = f" on {model.encoder}" if model.encoder else ""
    images = facts.rows[0].evaluation.image_count
    unmeasured = "" if facts.rows[0].clips else "on frames without a polyp, "
    table = [
        f"| {row.precision} | {row.evaluation.mean_dice:.4f} | {row.evaluation.mean_iou:.4f} "
        f"| {row.int8_convolutions} of {row.convolutions} | {row.engine_bytes / 1e6:.2f} MB |"
        for row in facts.rows
    ]
    return "\n".join(
        [
            f"# {facts.name}",
            "",
            f"{RESEARCH_NOTICE}.",
            "",
            f"- Network: {model.architecture}{encoder}, {facts.parameters / 1e6:.2f} M parameters, "
            f"{facts.multiply_adds / 1e9:.2f} G multiply-adds a frame",
            f"- Input: uint8 RGB frames, stretched to {model.width}x{model.height}; normalisation is inside the graph",
            f"- Output: probability of {', '.join(model.classes)}; "
            f"a pixel counts from 0.5 on{_meant(provenance.threshold)}",
            "- Weights: stored as FP16; before that rounding the graph was within "
            f"{metrics['max_probability_difference']:.1g} of PyTorch on {metrics['parity_inputs']:.0f} frames",
            f"- Calibration: ranges on {facts.calibration_images} images of the train split",
            "",
            f"## Measured on the test split ({images} images, onnxruntime engines on a CPU)",
            "",
            "| precision | mean Dice | mean IoU | INT8 convolutions | engine |",
            "| --- | --- | --- | --- | --- |",
            *table,
            "",
            f"`edgeseg evaluate models/{facts.name} DATA --split test` gives the fp32 row, "
            f"`edgeseg build-engine models/{facts.name} --precision int8` and `edgeseg verify` the others.",
            "",
            *_clip_lines(facts),
            "## Where it comes from",
            "",
            f"- Training data: sha256 `{provenance.data_sha256}` (train and validation pairs)",
            f"- Recipe: sha256 `{provenance.recipe_sha256}`, seed {provenance.seed}; "
            f"best validation Dice {metrics['validation_dice']:.4f}",
            f"- Made with {', '.join(f'{name} {version}' for name, version in sorted(provenance.tools.items()))}",
            f"- Terms: {facts.terms}",
            "",
            "## Limits",
            "",
            f"The figures above hold for pictures like those they were measured on. On other endoscopes, {unmeasured}"
            "on blurred and washed-out frames the network was not measured here; measure it on yours with "
            "`edgeseg verify` and `edgeseg evaluate --negatives` before you rely on it.",
            "",
        ]
    )


def _clip_lines(facts: CardFacts) -> list[str]:
    first = facts.rows[0].clips
    if not first:
        return []
    share = f"{100 * first[0].clip.source.false_mask_share:g} %"
    lines = [
        "## Measured on frames without ground truth",
        "",
        f"In how many frames a mask covers at least {share} of the picture. Nothing smooths over time.",
        "",
        f"| frames | number | a mask is | {' | '.join(row.precision for row in facts.rows)} |",
        f"| --- | --- | --- |{' --- |' * len(facts.rows)}",
    ]
    for index, marked in enumerate(first):
        shares = " | ".join(f"{100 * row.clips[index].share:.1f} %" for row in facts.rows)
        kind = "the polyp found" if marked.clip.shows_polyp else "a false alarm"
        lines.append(f"| `{marked.clip.name}` | {marked.frames} | {kind} | {shares} |")
    command = (
        f"`edgeseg evaluate models/{facts.name} --negatives SOURCE@FRAMES` (or `--positives`) gives the fp32 column."
    )
    return [*lines, "", command, ""]


def _meant(threshold: float) -> str:
    return "" if threshold == 0.5 else f", which is {threshold:g} of the network as trained"
