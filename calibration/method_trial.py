"""Chooses the calibration method by trying: INT8 with each one's ranges, held against float32 on pictures.

Which clip is best depends on the network: clipping costs the few largest values, and not clipping costs all the others
their resolution. The distribution of one tensor does not say which of the two moves the mask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgeseg.artifacts import CalibrationTable, MethodTrial
from edgeseg.calibration.flips import TRIED, flipped_shares
from edgeseg.calibration.histogram_observers import HistogramObserver
from edgeseg.calibration.methods import METHODS
from edgeseg.calibration.observer import MaxObserver, Observer
from edgeseg.calibration.placement import default_plan
from edgeseg.calibration.qdq_style import ONNXRUNTIME_STYLE
from edgeseg.calibration.quantise import quantise
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.progress import Track, silent


def try_methods(
    artifact: OnnxArtifact,
    table: CalibrationTable,
    observers: Mapping[str, Observer],
    images: Sequence[Path],
    track: Track = silent,
) -> CalibrationTable:
    """Run float32 and one INT8 graph a method on pictures, and take the method under which fewest pixels flip.

    The graphs are the CPU's, by the default plan, with symmetric levels and biases as they are. Where several flip as
    few, the one that `METHODS` names first is taken.

    Args:
        artifact: The network, float32.
        table: Its ranges by any of the methods that keep a histogram.
        observers: What watched each tensor of the table, by name; each has a histogram.
        images: Files; at least one, of which at most 32 are run.
        track: Draws the progress.

    Returns:
        The table with the ranges of the method that was chosen, and with the trial.
    """
    tables = tables_by_method(table, observers)
    plan = default_plan(artifact.proto, "int8", "fp32")
    graphs = [quantise(artifact, each, ONNXRUNTIME_STYLE, plan).proto for each in tables.values()]
    shares = flipped_shares(artifact, graphs, images, track, f"trying {len(tables)} methods")
    trial = MethodTrial(image_count=min(len(images), TRIED), flipped_shares=dict(zip(tables, shares, strict=True)))
    return tables[trial.method].model_copy(update={"method_trial": trial})


def tables_by_method(table: CalibrationTable, observers: Mapping[str, Observer]) -> dict[str, CalibrationTable]:
    """The table as `max` and each method that needs a tensor's histogram would have made it, by the method's name."""
    histograms = {
        name: observer.histogram for name, observer in observers.items() if isinstance(observer, HistogramObserver)
    }
    tables = {}
    for method, observer in METHODS.items():
        if observer is MaxObserver:
            clips = {name: histogram.largest for name, histogram in histograms.items()}
        elif issubclass(observer, HistogramObserver):
            clips = {name: observer.clip_of(histogram) for name, histogram in histograms.items()}
        else:
            continue
        ranges = {name: table.ranges[name].model_copy(update={"amax": clip}) for name, clip in clips.items()}
        tables[method] = table.model_copy(update={"method": method, "ranges": ranges})
    return tables


def trial_in_words(trial: MethodTrial) -> str:
    """The decision and the figures of all methods as one line for a person."""
    found = ", ".join(f"{share:.3%} with {method}" for method, share in trial.flipped_shares.items())
    return (
        f"ranges are those of {trial.method}: on {trial.image_count} pictures so many of the mask's pixels differ from "
        f"float32's: {found}"
    )
