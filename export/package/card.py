"""The model card: what the package holds, what was measured, what it is not for."""

from __future__ import annotations

import statistics

from edgeseg.artifacts import RESEARCH_NOTICE
from edgeseg.export.package.facts import CardFacts
from edgeseg.packages import PACKAGE_CURVES
from edgeseg.proof.verdict.detection import LARGE_ABOVE, SMALL_BELOW, SizeGroup


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
            *["- Mirroring: the mean of the logits of a frame and its mirror image counts"][: facts.mirroring],
            f"- Output: probability of {', '.join(model.classes)}; "
            f"a pixel counts from 0.5 on{_meant(provenance.threshold)}",
            "- Weights: stored as FP16; before that rounding the graph was within "
            f"{metrics['max_probability_difference']:.1g} of PyTorch on {metrics['parity_inputs']:.0f} frames",
            f"- Calibration: {facts.calibration}",
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
            *_size_lines(facts),
            *_clip_lines(facts),
            *_curve_lines(facts),
            *_seed_lines(facts),
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
            *([f"Never shown in training: {facts.never_shown}", ""] if facts.never_shown else []),
            f"The figures above hold for pictures like those they were measured on. On other endoscopes, {unmeasured}"
            "on blurred and washed-out frames the network was not measured here; measure it on yours with "
            "`edgeseg verify` and `edgeseg evaluate --negatives` before you rely on it.",
            "",
        ]
    )


def _size_lines(facts: CardFacts) -> list[str]:
    """Dice by source and by the polyp's size; nothing where the evaluation has no sizes."""
    first = facts.rows[0]
    if not first.evaluation.by_size:
        return []
    names = ("test split", *facts.others)
    sizes = (f"small, below {SMALL_BELOW:.0%}", "medium", f"large, above {LARGE_ABOVE:.0%}")
    lines = [
        "## Measured by source and by size of the polyp",
        "",
        "Mean Dice on each test split; by size in fp32, with the share of the picture that the polyp takes "
        "and the share of the polyps found (IoU of 0.5 or more).",
        "",
        f"| data | images | {' | '.join(row.precision for row in facts.rows)} | {' | '.join(sizes)} |",
        f"| --- | --- |{' --- |' * (len(facts.rows) + len(sizes))}",
    ]
    for index, name in enumerate(names):
        measured = [(row.evaluation, *row.others)[index] for row in facts.rows]
        dice = " | ".join(f"{evaluation.mean_dice:.4f}" for evaluation in measured)
        groups = " | ".join(_size_text(group) for group in measured[0].by_size)
        lines.append(f"| {name} | {measured[0].image_count} | {dice} | {groups} |")
    return [*lines, ""]


def _size_text(group: SizeGroup) -> str:
    if group.mean_dice is None or group.found_share is None:
        return "none"
    return f"{group.mean_dice:.4f}, {group.found_share:.0%} of {group.image_count} found"


def _curve_lines(facts: CardFacts) -> list[str]:
    if not facts.has_curves:
        return []
    trained = 1 - facts.metadata.provenance.threshold
    moved = "" if trained == 0.5 else f", and dotted where the network as trained has it ({trained:.2f})"
    return [
        "## Against the threshold",
        "",
        f"![Dice, false alarms and finds against the threshold]({PACKAGE_CURVES})",
        "",
        f"In fp32; the dashed line is the package's own threshold, 0.5{moved}.",
        "",
    ]


def _seed_lines(facts: CardFacts) -> list[str]:
    if not facts.seeds:
        return []
    names = ("test split", *facts.others)
    lines = [
        "## Other seeds",
        "",
        "Mean Dice of further trainings of the recipe, in PyTorch, at this package's threshold.",
        "",
        f"| seed | {' | '.join(names)} |",
        f"| --- |{' --- |' * len(names)}",
        *(f"| {row.seed} | {' | '.join(f'{dice:.4f}' for dice in row.mean_dice)} |" for row in facts.seeds),
    ]
    columns = list(zip(*(row.mean_dice for row in facts.seeds), strict=True))
    spread = " | ".join(f"{statistics.mean(values):.4f}, sd {statistics.stdev(values):.4f}" for values in columns)
    return [*lines, f"| mean | {spread} |", ""]


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
