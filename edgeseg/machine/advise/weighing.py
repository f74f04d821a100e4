"""Weighs engines that were built: accuracy by the rules of `edgeseg verify`, then the time of all of them in turns."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeseg.artifacts import TimeShare
from edgeseg.dataset import Pair
from edgeseg.errors import EdgesegError
from edgeseg.export.mixing.mixed_networks import RememberedMasks
from edgeseg.machine.advise.advice_values import (
    PRECISION_OF,
    AdviseOptions,
    Candidate,
    Kind,
    TimingRecord,
)
from edgeseg.machine.advise.choice import pareto_front
from edgeseg.progress import Say, Track
from edgeseg.proof.timing.clock import MonotonicClock
from edgeseg.proof.timing.timing_in_turns import Rounds, pictures_of, reach, time_in_turns
from edgeseg.proof.verdict import plausibility, rules
from edgeseg.proof.verdict.engine_comparison import Comparison, compare_with
from edgeseg.proof.verdict.lost_polyps import found_polyps
from edgeseg.proof.verdict.verification import judge_accuracy
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.opener.engine_from_file import open_engine


@dataclass(frozen=True)
class Weighed:
    """Everything that was measured."""

    candidates: tuple[Candidate, ...]
    reference_mean_dice: float | None
    gpu: str | None
    timing: TimingRecord | None = None
    rounds: Rounds | None = None
    timed: tuple[str, ...] = ()
    """The candidates' names, in the order of the columns of `rounds`."""

    def share(self, first: Candidate, other: Candidate) -> TimeShare:
        """One candidate's time over another's; both were timed."""
        assert self.rounds is not None and self.timing is not None
        columns = self.timed.index(first.name), self.timed.index(other.name)
        return self.rounds.share(*columns, self.timing.noise)


def weigh(
    candidates: Sequence[Candidate], model: Path, pairs: Sequence[Pair], options: AdviseOptions, track: Track, say: Say
) -> Weighed:
    """Compare every engine with float32 on the same images, then time all of them in turns.

    Args:
        candidates: What was built, and what was not.
        model: The model; in float32 on ONNX Runtime it is the reference.
        pairs: Labelled images that judge; at least one.
        options: Limits, folder and time.
        track: Shows progress.
        say: Hears what comes next.

    Raises:
        NotFiniteError: The reference gave NaN or infinity.
        BadInputError: An image or mask that cannot be read.
    """
    compared, reference_mean_dice, gpu = [], None, None
    with contextlib.closing(open_engine(model)) as reference:
        masks, classes = RememberedMasks(reference), reference.info.model.channels
        for pair in track(pairs, "float32", len(pairs)):  # so that its errors are not taken for an engine's
            masks(pair, pair.read_labelled(classes).frame)
        for candidate in candidates:
            if candidate.file is not None:
                say(f"{candidate.name}: comparing with float32 on {len(pairs)} images")
                try:
                    with contextlib.closing(open_engine(options.out / candidate.file)) as engine:
                        gpu = gpu or engine.device_name
                        comparison = compare_with(engine, masks, pairs, track)
                except EdgesegError as error:
                    candidate = candidate.model_copy(update={"reasons": (f"does not run: {error.in_one_line()}",)})
                else:
                    candidate = _judged(candidate, comparison, options)
                    reference_mean_dice = comparison.reference_mean_dice
            compared.append(candidate)
    weighed = Weighed(tuple(compared), reference_mean_dice, gpu)
    return _timed(weighed, pairs, options, say)


def _judged(candidate: Candidate, comparison: Comparison, options: AdviseOptions) -> Candidate:
    precision = PRECISION_OF[candidate.kind]
    limits = rules.limits_for(precision, options.max_dice_drop, None, options.max_lost_polyps)
    findings = judge_accuracy(comparison, plausibility.with_floors(limits), precision)
    update = {
        "holds": rules.conclude(findings),
        "reasons": tuple(finding.reason for finding in findings),
        "mean_dice": comparison.mean_dice,
        "mean_dice_drop": comparison.mean_dice_drop,
        "drop_interval": comparison.drop_interval(),
        "max_dice_drop": limits.max_dice_drop,
        "lost": found_polyps(comparison.rows).lost,
    }
    return candidate.model_copy(update=update)


def _timed(weighed: Weighed, pairs: Sequence[Pair], options: AdviseOptions, say: Say) -> Weighed:
    """Time every engine that runs, and a second opening of the first one, which tells the noise."""
    running = [one for one in weighed.candidates if one.holds is not None]
    if not running:
        return weighed
    pictures = pictures_of(pairs)
    say(f"timing {len(running)} engines in turns, at most {options.seconds:g} s; nothing else should run meanwhile")
    with contextlib.ExitStack() as opened:

        def engine_of(candidate: Candidate) -> Engine:
            assert candidate.file is not None
            return opened.enter_context(contextlib.closing(open_engine(options.out / candidate.file)))

        engines = [engine_of(one) for one in [*running, running[0]]]
        rounds = time_in_turns(engines, pictures, options.seconds, MonotonicClock())
    twin = rounds.share(len(running), 0)
    timing = TimingRecord(
        rounds=len(rounds.times_ns),
        pictures=len(pictures),
        stable=rounds.stable,
        max_s=options.seconds,
        twin=twin,
        noise=reach(twin),
        other_cores=rounds.other_cores,
    )
    timed = tuple(one.name for one in running)
    measured = replace(weighed, timing=timing, rounds=rounds, timed=timed)
    times = {name: rounds.undisturbed_ms(column) for column, name in enumerate(timed)}
    front = pareto_front([(times[one.name], one.mean_dice_drop or 0.0) for one in running])
    updates = {
        one.name: {
            "end_to_end": rounds.percentiles(column),
            "undisturbed_ms": times[one.name],
            "on_front": front[column],
            "over_float32": _over(measured, one, "fp32"),
            "over_fp16": _over(measured, one, "fp16"),
        }
        for column, one in enumerate(running)
    }
    known = [one.model_copy(update=updates.get(one.name, {})) for one in weighed.candidates]
    return replace(measured, candidates=tuple(known))


def _over(measured: Weighed, one: Candidate, kind: Kind) -> TimeShare | None:
    """Its time over that of the engine of another kind on the same backend."""
    same = (other for other in measured.candidates if (other.backend, other.kind) == (one.backend, kind))
    other = next((other for other in same if other.name in measured.timed), None)
    return None if other is None or other.name == one.name else measured.share(one, other)
