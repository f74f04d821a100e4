"""The ONNX graph that a CPU's backend executes, in the precision asked for."""

from __future__ import annotations

import onnx

from edgeseg.artifacts import CalibrationTable, Precision
from edgeseg.calibration.asymmetry import asymmetry_in_words, lopsided_in_words, untried
from edgeseg.calibration.fp16 import with_fp16_convolutions
from edgeseg.calibration.placement import assign, float32_names
from edgeseg.calibration.qdq_style import cpu_style
from edgeseg.calibration.quantise import quantise
from edgeseg.errors import UsageError
from edgeseg.export.builders.builder import BuildRequest, tell_other_target, tell_vanishing
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.progress import Say, quiet
from edgeseg.runtime.engine.backends import EVERYWHERE
from edgeseg.shell import quoted

BESIDE_INT8: Precision = "fp32"
"""The precision of the float convolutions of an INT8 engine."""


def graph_in_precision(request: BuildRequest, say: Say = quiet, backend: str = EVERYWHERE) -> onnx.ModelProto:
    """The float32, FP16 or Q/DQ graph, mixed as the plan says.

    Args:
        request: The engine to build.
        say: Hears which convolutions stay float, and which levels INT8 activations have.
        backend: Whose engine it is, for messages.

    Raises:
        UsageError: A plan with FP16 beside INT8.
    """
    proto, plan = request.artifact.proto, request.plan_for(BESIDE_INT8, backend)
    assigned = assign(proto, plan)
    fp16 = [name for name, precision in assigned.items() if precision == "fp16"]
    if "int8" not in assigned.values():
        kept = [entry.layer for entry in request.kept_float32]
        return with_fp16_convolutions(proto, float32_names(assigned), kept) if fp16 else proto
    if fp16:
        raise UsageError(
            f"{backend} mixes INT8 with FP32, not with FP16: CPUs do not compute such graphs faithfully",
            found=f"fp16 for {fp16[0]}" + (f" and {len(fp16) - 1} more" if fp16[1:] else ""),
            expected="int8 and fp32 only",
            next_command=f"edgeseg build-engine MODEL --precision int8 --backend {quoted(backend)} --write-plan FILE",
        )
    assert request.table is not None
    quantised = quantise(request.artifact, request.table, cpu_style(request.table), plan)
    tell_vanishing(quantised.vanishing, say)
    tell_other_target(request.artifact, "cpu", say)
    _tell_levels(request.artifact, request.table, say)
    return quantised.proto


def _tell_levels(artifact: OnnxArtifact, table: CalibrationTable, say: Say) -> None:
    """Say which levels the activations have, and why."""
    if table.asymmetry is not None:
        say(asymmetry_in_words(table.asymmetry))
    elif lopsided := untried(artifact, table):
        say(
            f"INT8 levels are symmetric: {lopsided_in_words(lopsided)}, and this calibration table does not say if "
            f"asymmetric levels are better; `edgeseg calibrate {quoted(artifact.path)} --data DIR "
            "--out FILE` tries them"
        )
