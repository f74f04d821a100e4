"""Precision plans of a network as files, to be edited and built from."""

from __future__ import annotations

from pathlib import Path

import onnx

from edgeseg.artifacts import Precision, PrecisionPlan
from edgeseg.calibration.placement import assign
from edgeseg.calibration.plan_files import plan_to_toml
from edgeseg.export.builder_choice import default_plan_for
from edgeseg.files import check_writable, write_text
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.packages import find_model, onnx_of


def write_plan(model: Path, precision: Precision, backend: str, path: Path) -> PrecisionPlan:
    """Write the default plan of a network with the name of every convolution.

    Args:
        model: An .onnx file or a package.
        precision: Whose default plan.
        backend: Decides what the float convolutions of an INT8 engine take; it need not be on this machine.
        path: JSON where it is called .json, else TOML.

    Raises:
        BadInputError: A model that cannot be read, or a place that cannot be written.
    """
    source = onnx_of(find_model(model))
    proto = load_onnx(source).proto
    check_writable(path, source)
    plan = default_plan_for(backend, proto, precision)
    write_plan_of(proto, plan, path)
    return plan


def write_plan_of(proto: onnx.ModelProto, plan: PrecisionPlan, path: Path) -> None:
    """Write a plan of a network, as TOML with the name of every convolution; as JSON where the file is called .json."""
    write_text(path, plan.to_json() + "\n" if path.suffix == ".json" else plan_to_toml(plan, assign(proto, plan)))
