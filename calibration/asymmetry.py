"""Measures which levels INT8 activations should have: symmetric around zero, or asymmetric where tensors are lopsided.

HardSwish, GELU and SiLU leave values that lie mostly on one side of zero, where symmetric levels leave many unused. The
asymmetric ones are finer but round zero's neighbourhood otherwise; which of the two is nearer to float32 depends on the
network, so both graphs are tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgeseg.artifacts import AsymmetryTrial, CalibrationTable
from edgeseg.calibration.flips import TRIED, flipped_shares
from edgeseg.calibration.placement import assign, conv_outputs, default_plan
from edgeseg.calibration.qdq_style import ONNXRUNTIME_STYLE
from edgeseg.calibration.quantise import is_lopsided, quantise
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.progress import Track, silent


def try_asymmetry(
    artifact: OnnxArtifact, table: CalibrationTable, images: Sequence[Path], track: Track = silent
) -> AsymmetryTrial | None:
    """Run float32 and both INT8 graphs on pictures, and take asymmetric levels where fewer pixels of the mask flip.

    The graphs are those of the default plan. Where as many flip, the symmetric ones stay.

    Args:
        artifact: The network, float32.
        table: Its ranges.
        images: Files; at least one, of which at most 32 are run.
        track: Draws the progress.

    Returns:
        The trial; None where no quantised tensor is lopsided, so that there is nothing to decide.
    """
    tensors = _lopsided(artifact, table)
    if not tensors:
        return None
    plan = default_plan(artifact.proto, "int8", "fp32")
    styles = (replace(ONNXRUNTIME_STYLE, asymmetric=levels) for levels in (False, True))
    graphs = [quantise(artifact, table, style, plan).proto for style in styles]
    before, after = flipped_shares(artifact, graphs, images, track, "trying asymmetric INT8 levels")
    return AsymmetryTrial(
        image_count=min(len(images), TRIED),
        tensors=len(tensors),
        symmetric_flipped_share=before,
        asymmetric_flipped_share=after,
        asymmetric=after < before,
    )


def asymmetry_in_words(trial: AsymmetryTrial) -> str:
    """The decision and its two figures as one line for a person."""
    before, after = f"{trial.symmetric_flipped_share:.3%}", f"{trial.asymmetric_flipped_share:.3%}"
    return (
        f"INT8 levels are {'asymmetric' if trial.asymmetric else 'symmetric'} on CPUs: "
        f"{lopsided_in_words(trial.tensors)}, and on {trial.image_count} pictures {before} of the mask's pixels differ "
        f"from float32's with symmetric levels, {after} with asymmetric ones"
    )


def lopsided_in_words(tensors: int) -> str:
    """``3 tensors lie mostly on one side of zero``."""
    return f"{tensors} {'tensor lies' if tensors == 1 else 'tensors lie'} mostly on one side of zero"


def untried(artifact: OnnxArtifact, table: CalibrationTable) -> int:
    """How many quantised tensors are lopsided though the table holds no trial of asymmetric levels; 0 if trained."""
    return 0 if table.asymmetry is not None or table.trained else len(_lopsided(artifact, table))


def _lopsided(artifact: OnnxArtifact, table: CalibrationTable) -> set[str]:
    """Lopsided inputs and outputs of the convolutions that the default plan gives to INT8."""
    assigned, outputs = assign(artifact.proto, default_plan(artifact.proto, "int8")), conv_outputs(artifact.proto)
    chosen = [node for node in artifact.proto.graph.node if assigned.get(node.name) == "int8"]
    names = {name for node in chosen for name in (node.input[0], outputs[node.name])}
    return {name for name in names if name in table.ranges and is_lopsided(table.ranges[name])}
