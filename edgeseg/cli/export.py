"""`edgeseg export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.cli.model_argument import TrustOption
from edgeseg.cli.output import JsonFlag, emit
from edgeseg.shell import quoted


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="RUN folder of a training.")],
    out: Annotated[Path, typer.Option(help="ONNX file to write.")],
    data: Annotated[
        Path | None, typer.Option(help="Images for the parity check against PyTorch; noise is always checked, too.")
    ] = None,
    trust: TrustOption = None,
    threshold: Annotated[
        str | None,
        typer.Option(
            metavar="T|FILE", help="Threshold that becomes the graph's 0.5: a number, or threshold.json of this RUN."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Export the best checkpoint of a RUN as an ONNX graph and compare it with PyTorch."""
    from edgeseg.optional import require

    require("torch")
    from edgeseg.export.torch.onnx_from_run import export_run
    from edgeseg.export.torch.parity_inputs import parity_inputs
    from edgeseg.train.recipe import read_recipe

    frames = parity_inputs(data, read_recipe(run / "recipe.toml").model_spec()) if data is not None else []
    metadata = export_run(run, out, frames, threshold, trusted=trust or ())
    difference = metadata.provenance.metrics["max_probability_difference"]
    meant = "" if threshold is None else f"; 0.5 means {metadata.provenance.threshold:g} of the network as trained"
    text = (
        f"{out}: probabilities within {difference:.2g} of PyTorch{meant}\n"
        f"next: edgeseg calibrate {quoted(out)} --data DIR --out {quoted(out.with_suffix('.calibration.json'))}"
    )
    emit({"out": str(out), **metadata.to_dict()}, as_json, text)
