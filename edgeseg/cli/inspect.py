"""`edgeseg inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.output import JsonFlag, emit, table

if TYPE_CHECKING:
    from edgeseg.export.layers.layer_report import Layer, LayerReport, LayerTensor

COLUMNS = ["layer", "type", "precision", "input", "output", "memory", "ms", "share"]
LONGEST_NAME = 46


def inspect(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="An engine, .onnx, package, RUN, or one of the JSON documents.")
    ],
    layers: Annotated[
        bool, typer.Option("--layers", help="Show an engine's layers, with their times if it can run here.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show any artifact as a person would read it."""
    if layers:
        from edgeseg.export.layers.engine_layers import layer_report

        report = layer_report(file)
        emit(report, as_json, _layers_as_text(file, report))
        return
    from edgeseg.artifact_text import describe

    description = describe(file)
    width = max(map(len, description.facts))
    lines = [
        f"{file}: {description.kind}",
        *(f"  {name:<{width}}  {value}" for name, value in description.facts.items()),
    ]
    emit({"kind": description.kind, **description.document}, as_json, "\n".join(lines))


def _layers_as_text(file: Path, report: LayerReport) -> str:
    source = f"times: {report.time_source}" if report.time_source else f"no times ({report.time_missing})"
    if report.total_ms is not None:
        source += f"\ntogether {report.total_ms:.3f} ms an inference, the slowest layer first"
    totals = [
        f"  {total.precision:<6} {total.layers:>4} layers"
        + ("" if total.time_ms is None else f"  {_ms(total.time_ms):>9} ms  {_percent(total.share):>6}")
        for total in report.totals
    ]
    rows = [_row(layer) for layer in report.layers]
    return "\n".join([table(f"{file}: {len(rows)} layers", COLUMNS, rows), source, *totals])


def _row(layer: Layer) -> list[str]:
    name = layer.name if len(layer.name) <= LONGEST_NAME else layer.name[: LONGEST_NAME - 1] + "…"
    tensors = [layer.inputs[0] if layer.inputs else None, layer.outputs[0] if layer.outputs else None]
    memory = next((tensor.format for tensor in tensors if tensor is not None and tensor.format), "")
    return [
        name,
        layer.type,
        layer.precision,
        *map(_tensor, tensors),
        memory,
        _ms(layer.time_ms),
        _percent(layer.share),
    ]


def _tensor(tensor: LayerTensor | None) -> str:
    return "" if tensor is None else f"{tensor.dtype} {'x'.join(map(str, tensor.shape))}".rstrip()


def _ms(time_ms: float | None) -> str:
    return "" if time_ms is None else f"{time_ms:.3f}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"
