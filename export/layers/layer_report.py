"""The layers of an engine as a value: names, precisions, shapes, and the time of each where it was measured."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pydantic

from edgeseg.artifacts import EngineArtifact, Precision
from edgeseg.values import Part, Value

INFERENCES = 20
"""How many are timed; the time of a layer is the median over them."""
_MULTIPLIES = re.compile(r"conv|corrltn|gemm|matmul|fusion", re.IGNORECASE)
_INT8 = ("int8", "uint8")
_NAMES = {
    "fp32": ("fp32", "float32", "float"),
    "fp16": ("fp16", "float16", "half"),
    "uint8": ("uint8",),
    "int8": ("int8",),
}


class LayerTensor(Part):
    """One input or output of a layer."""

    dtype: str
    """``fp32``, ``fp16``, ``int8``, ``uint8``; else as the backend says."""
    shape: tuple[int | str, ...] = ()
    """A name stands for a size that is open."""
    format: str | None = None
    """How it lies in memory, in the backend's words."""


class Layer(Part):
    """One step of an engine's execution."""

    name: str
    type: str
    """The layer's type in the backend's words."""
    precision: str
    """Precision of the operands: ``int8``, ``fp16``, ``fp32``; else as the backend says."""
    nodes: tuple[str, ...] = ()
    """The nodes of the network that it computes, where the backend tells."""
    inputs: tuple[LayerTensor, ...] = ()
    outputs: tuple[LayerTensor, ...] = ()
    time_ms: float | None = pydantic.Field(default=None, ge=0)
    """Median over some inferences; None where it was not measured."""
    share: float | None = None
    """Share of the time of all layers."""


class PrecisionTotal(Part):
    """All layers of one precision."""

    precision: str
    layers: int
    time_ms: float | None = None
    share: float | None = None


class LayerReport(Value):
    """The layers of one engine: the slowest first where times were measured, else in the engine's order."""

    engine_sha256: str
    backend: str
    backend_version: str
    precision: Precision
    frames_per_inference: int
    time_source: str | None
    """How the times were measured and on what; None where they were not."""
    time_missing: str | None
    """Why they were not."""
    total_ms: float | None
    """Sum over the layers; less than the inference itself, which also has to start them."""
    totals: tuple[PrecisionTotal, ...]
    layers: tuple[Layer, ...]


LayersOf = Callable[[bytes, EngineArtifact], LayerReport]
"""Tells the layers of an engine whose file fits its passport: what the registry names for each backend."""


def report_of(
    passport: EngineArtifact,
    layers: Sequence[Layer],
    time_source: str | None,
    time_missing: str | None = None,
    frames_per_inference: int = 1,
) -> LayerReport:
    """Sort layers by time and add up.

    Args:
        passport: The engine's.
        layers: The layers in the engine's order; all have a time or none has.
        time_source: See `LayerReport`; likewise the next.
        time_missing: Why there are no times.
        frames_per_inference: The batch that was timed.
    """
    timed = time_source is not None
    total_ms = sum(layer.time_ms or 0.0 for layer in layers) if timed else None
    shared = [layer.model_copy(update={"share": _share(layer.time_ms, total_ms)}) for layer in layers]
    ordered = sorted(shared, key=lambda layer: -(layer.time_ms or 0.0))
    return LayerReport(
        engine_sha256=passport.engine_sha256,
        backend=passport.backend,
        backend_version=passport.backend_version,
        precision=passport.precision,
        frames_per_inference=frames_per_inference,
        time_source=time_source,
        time_missing=time_missing,
        total_ms=total_ms,
        totals=tuple(_total(name, ordered, total_ms) for name in dict.fromkeys(layer.precision for layer in ordered)),
        layers=tuple(ordered),
    )


def precision_of(kind: str, inputs: Sequence[LayerTensor], outputs: Sequence[LayerTensor]) -> str:
    """The precision of a layer: of what a convolution multiplies, or of what another layer moves or converts.

    A layer that quantises, dequantises or takes in the frame has its float side's precision.

    Args:
        kind: The layer's type.
        inputs: Its tensors, data first.
        outputs: Likewise.
    """
    first = inputs[0].dtype if inputs else "?"
    last = outputs[0].dtype if outputs else first
    if first in _INT8 and (last in _INT8 or (first == "int8" and _MULTIPLIES.search(kind))):
        return "int8"
    return last if first in _INT8 else first


def dtype_of(words: str) -> str:
    """The type that a backend's words mean: ``Row major linear FP16 format`` -> ``fp16``."""
    found = re.findall(r"[a-z]+\d*", words.lower())
    return next((name for name, aliases in _NAMES.items() if any(alias in found for alias in aliases)), words.lower())


def _share(time_ms: float | None, total_ms: float | None) -> float | None:
    return time_ms / total_ms if time_ms is not None and total_ms else None


def _total(precision: str, layers: Sequence[Layer], total_ms: float | None) -> PrecisionTotal:
    chosen = [layer for layer in layers if layer.precision == precision]
    time_ms = sum(layer.time_ms or 0.0 for layer in chosen) if total_ms is not None else None
    return PrecisionTotal(precision=precision, layers=len(chosen), time_ms=time_ms, share=_share(time_ms, total_ms))
