"""Makes a precision plan of limits: searches, measures what the mix costs, and says what was done."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from edgeseg.artifacts import PrecisionPlan, VerdictLimits
from edgeseg.calibration.fp16_range import with_float32_layers
from edgeseg.calibration.placement import assign, default_plan
from edgeseg.dataset import Pair, hash_pairs
from edgeseg.errors import BadInputError, ToleranceError
from edgeseg.export.builders.builder import BuildRequest, EngineBuilder
from edgeseg.export.mixing import accuracy_limits as accuracy
from edgeseg.export.mixing.mix_search import Found, most_runs, search
from edgeseg.export.mixing.mixed_networks import RememberedMasks, open_float32, open_under_plan
from edgeseg.export.mixing.search_words import search_in_words
from edgeseg.graph.cost import convolution_costs
from edgeseg.precision_search import MixCost, PrecisionSearch
from edgeseg.progress import Say, Track, quiet, silent
from edgeseg.proof.verdict import plausibility, rules
from edgeseg.proof.verdict.engine_comparison import Comparison, compare_with
from edgeseg.runtime.engine.backends import on_cpu
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.runtime.engine.time_ratio import time_ratio
from edgeseg.shell import quoted


class NoMixHoldsError(ToleranceError):
    """No mix that was tried holds the limits.

    Args:
        what: What happened.
        search: The record of the search; its plan is the nearest one.
        details: What `EdgesegError` takes.
    """

    def __init__(self, what: str, search: PrecisionSearch, **details: str) -> None:
        super().__init__(what, **details)
        self.search = search


def find_plan(
    builder: EngineBuilder,
    request: BuildRequest,
    limits: accuracy.AccuracyLimits,
    track: Track = silent,
    say: Say = quiet,
) -> tuple[PrecisionPlan, PrecisionSearch]:
    """Find an INT8 plan that holds limits on labelled pictures, with few convolutions in float.

    Args:
        builder: The target's.
        request: INT8 under the default plan, with its table.
        limits: The limits, and the pictures.
        track: Shows progress.
        say: Hears what was tried, which convolutions went back, and why.

    Returns:
        The plan, and the record of the search.

    Raises:
        BadInputError: No convolution can run in INT8, or the pictures cannot be used.
        NoMixHoldsError: No mix holds the limits.
        UsageError: A limit that is no limit.
    """
    proto = request.artifact.proto
    standard = default_plan(proto, "int8", builder.beside_int8, builder.name)
    start = with_float32_layers(standard, proto, request.kept_float32)
    layers = [name for name, precision in assign(proto, start).items() if precision == "int8"]
    if not layers:
        raise BadInputError(
            "no convolution of this network runs in INT8, so there is none to send back",
            found="the default plan leaves the first and the last convolution in float",
            next_command=f"edgeseg build-engine {quoted(request.artifact.path)} --precision fp32",
        )
    demanded, pairs = limits.as_demanded(), limits.pairs(request.artifact.metadata.model.channels)
    _tell_start(builder, len(layers), len(pairs), say)

    def plan_of(back: Iterable[str]) -> PrecisionPlan:
        return start.model_copy(update={"layers": {**start.layers, **dict.fromkeys(back, builder.beside_int8)}})

    with contextlib.closing(engine_of(open_float32(request.artifact))) as reference:
        masks = RememberedMasks(reference)

        def run(back: Collection[str], pictures: Sequence[Pair]) -> Comparison:
            plan = plan_of(layer for layer in layers if layer in back)
            with contextlib.closing(engine_of(open_under_plan(builder, request, plan))) as mix:
                return compare_with(mix, masks, pictures)

        result = search(layers, run, pairs, demanded, track, limits.always_alone)
    _tell_doubts(result.throughout, demanded, say)
    plan = plan_of(sorted(result.back, key=layers.index))
    record = _record(builder, request, limits, pairs, len(layers), result, (start, plan))
    if not result.holds:
        raise _none_holds(builder, request, result, demanded, record)
    for line in search_in_words(record):
        say(line)
    return plan, record


def _record(
    builder: EngineBuilder,
    request: BuildRequest,
    limits: accuracy.AccuracyLimits,
    pairs: Sequence[Pair],
    candidates: int,
    result: Found,
    plans: tuple[PrecisionPlan, PrecisionPlan],
) -> PrecisionSearch:
    """The search as the passport keeps it; `plans` are the default one and the one that was found."""
    demanded = limits.as_demanded()
    return PrecisionSearch(
        data=str(limits.data),
        data_sha256=hash_pairs(pairs),
        image_count=len(pairs),
        sensitivity_images=result.sensitivity_images,
        max_dice_drop=demanded.max_dice_drop,
        max_lost_polyps=demanded.max_lost_polyps,
        stand_in=not on_cpu(builder.name),
        runs=result.runs,
        most_runs=most_runs(candidates),
        candidates=candidates,
        sent_back=result.sent_back,
        tried_alone=result.tried_alone,
        sent_back_to="fp16" if builder.beside_int8 == "fp16" else "fp32",
        throughout=accuracy.harm_of(result.throughout),
        found=accuracy.harm_of(result.found),
        cost=_cost(builder, request, *plans),
    )


def _tell_start(builder: EngineBuilder, layers: int, pictures: int, say: Say) -> None:
    bound = f"at most {most_runs(layers)} runs over {pictures} pictures"
    if on_cpu(builder.name):
        say(f"searching which of {layers} convolutions cost too much in INT8: {bound}, on {builder.name} itself")
        return
    say(
        f"searching which of {layers} convolutions cost too much in INT8: {bound}; not on {builder.name}, but on a "
        "stand-in: ONNX Runtime on this CPU, with the plan's quantisation computed in float32"
    )


def _tell_doubts(throughout: Comparison, limits: VerdictLimits, say: Say) -> None:
    """Say where these pictures could hardly show a harm."""
    doubts = [
        *rules.judge_evidence(throughout),
        *plausibility.judge_reference(throughout, plausibility.with_floors(limits)),
    ]
    for finding in doubts:
        if finding.outcome is not True:
            say(f"warning: {finding.reason}")


def _none_holds(
    builder: EngineBuilder, request: BuildRequest, result: Found, limits: VerdictLimits, record: PrecisionSearch
) -> NoMixHoldsError:
    broken = [finding.reason for finding in accuracy.findings(result.found, limits) if finding.outcome is False]
    count = len(result.back)
    best = f"with {count} sent back to {builder.beside_int8}" if count else "with INT8 throughout"
    return NoMixHoldsError(
        f"no mix of INT8 and {builder.beside_int8} that was tried holds the limits ({result.runs} runs)",
        record,
        found=f"the best, {best}: {'; '.join(broken)}",
        expected="a wider limit, or a float engine",
        next_command=f"edgeseg build-engine {quoted(request.artifact.path)} --precision {quoted(builder.beside_int8)} "
        f"--backend {quoted(builder.name)}",
    )


def _cost(builder: EngineBuilder, request: BuildRequest, start: PrecisionPlan, plan: PrecisionPlan) -> MixCost:
    proto = request.artifact.proto
    work = {cost.name: cost.multiply_adds for cost in convolution_costs(proto)}

    def share(of: PrecisionPlan) -> float:
        in_int8 = [name for name, precision in assign(proto, of).items() if precision == "int8"]
        return sum(work[name] for name in in_int8) / sum(work.values())

    cost = MixCost(int8_multiply_adds=share(start), mixed_multiply_adds=share(plan))
    return cost if not on_cpu(builder.name) else cost.model_copy(update=_times(builder, request, start, plan))


def _times(
    builder: EngineBuilder, request: BuildRequest, start: PrecisionPlan, plan: PrecisionPlan
) -> Mapping[str, float]:
    """The medians of one inference, the mix in turn with each of the other two."""
    float32 = replace(request, precision="fp32", table=None)
    with contextlib.ExitStack() as opened:
        mixed, int8, exact = (
            opened.enter_context(contextlib.closing(open_under_plan(builder, of, under)))
            for of, under in ((request, plan), (request, start), (float32, PrecisionPlan(default="fp32")))
        )
        against_int8, against_float32 = time_ratio(mixed, int8), time_ratio(mixed, exact)
    return {
        "int8_ms": against_int8.second_ms,
        "mixed_ms": against_float32.first_ms,
        "float32_ms": against_float32.second_ms,
        "mixed_over_float32": against_float32.ratio,
    }
