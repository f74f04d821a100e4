"""`verify --bisect`: where two graphs part, in words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgeseg.cli.output import emit, say, track
from edgeseg.errors import UsageError

if TYPE_CHECKING:
    from edgeseg.proof.bisect.bisection import Bisection, LayerAgreement

AROUND = 2
"""Layers that are told before and after the first that disagrees."""


def run_bisection(
    judged: Path, reference: Path, data: Path | None, split: str, report: Path | None, as_json: bool
) -> bool:
    """Compare, tell, and write bisection.json and bisection.svg into a report folder; True if all layers agree.

    Raises:
        UsageError: There are no pictures.
    """
    from edgeseg.optional import is_installed
    from edgeseg.proof.bisect.graphs import bisect_files
    from edgeseg.proof.bisect.layer_plot import write_layer_plot
    from edgeseg.proof.verdict.verdict_page import check_report_folder

    if data is None:
        raise UsageError("--bisect runs both graphs on pictures", expected="--data DIR; masks are not needed")
    if report is not None:
        check_report_folder(report)
    found = bisect_files(judged, reference, data, split, track)
    if report is not None:
        report.mkdir(parents=True, exist_ok=True)
        found.write(report / "bisection.json")
        drawn = is_installed("matplotlib")
        if drawn:
            write_layer_plot(found, report / "bisection.svg")
        say(f"wrote {report / 'bisection.json'}{' and bisection.svg' if drawn else ''}")
    emit(found, as_json, bisection_text(found))
    return found.agrees


def bisection_text(found: Bisection) -> str:
    """The layer, the likely cause, and the layers around it."""
    compared = f"{len(found.layers)} layers on {found.frames} pictures, {found.precision}"
    if found.agrees:
        return f"AGREES: {compared}\n  {found.cause}"
    index = next(index for index, layer in enumerate(found.layers) if layer.layer == found.layer)
    shown = found.layers[max(0, index - AROUND) : index + AROUND + 1]
    width = max(len(layer.layer) for layer in shown)
    rows = [f"  {layer.layer:{width}}  {layer.operator:15}  {_ratio(layer)}" for layer in shown]
    first = f"first to disagree: {found.layer} (below {found.floor_db:g} dB, though all that it reads agrees)"
    return "\n".join([f"DISAGREES: {compared}", first, f"likely cause: {found.cause}", *rows])


def _ratio(layer: LayerAgreement) -> str:
    if not layer.finite:
        return "not finite"
    if layer.sqnr_db is None:
        return "the same"
    before = layer.before_rounding_sqnr_db
    return f"{layer.sqnr_db:.1f} dB" + ("" if before is None else f" ({before:.1f} before rounding)")
