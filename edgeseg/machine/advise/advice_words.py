"""Says an advice in plain words: the headline, then a sentence for each thing that led to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgeseg.artifacts import ConfidenceInterval, TimeShare
from edgeseg.export.builders.int8_gain import WORTH_HAVING
from edgeseg.machine.advise.advice_values import (
    PRECISION_OF,
    AbsentBackend,
    Candidate,
    Kind,
    SearchFindings,
    TimingRecord,
)
from edgeseg.proof.timing.disturbances import BUSY_CORES
from edgeseg.runtime.engine.backends import on_cpu

KIND_NAMES: dict[Kind, str] = {"fp32": "float32", "fp16": "FP16", "mixed": "INT8 in part", "int8": "INT8"}


def in_words(one: Candidate) -> str:
    """``INT8 on onnxruntime``."""
    name = KIND_NAMES[one.kind]
    if one.kind == "mixed" and one.convolutions is not None and one.int8_convolutions is not None:
        name = f"INT8 in {one.int8_convolutions} of {one.convolutions} convolutions"
    return f"{name} on {one.backend}"


def headline(
    advised: Candidate | None, doubted_by: Sequence[Candidate], candidates: Sequence[Candidate], undecided: bool
) -> str:
    """The answer in one or two short sentences.

    Args:
        advised: The engine to ship; None where none holds the limits.
        doubted_by: Engines that this machine's noise may hide to be quicker.
        candidates: All of them.
        undecided: Whether these images prove nothing; asked where none is advised.
    """
    if advised is None:
        return "Undecided: these images prove nothing" if undecided else "Nothing holds the limits"
    if doubted_by:
        return f"Too noisy to tell: {in_words(advised)} until this machine is quieter"
    ship = f"Ship {in_words(advised)}"
    weighed = [one for one in candidates if PRECISION_OF[one.kind] == "int8" and one.end_to_end is not None]
    if PRECISION_OF[advised.kind] == "int8" or not weighed:
        return ship
    if all(one.holds is False for one in weighed):
        return f"{ship}: INT8 breaks the limits"
    return f"{ship}: INT8 is not worth it here"


def sentences(
    advised: Candidate | None,
    doubted_by: Sequence[Candidate],
    candidates: Sequence[Candidate],
    timing: TimingRecord | None,
    image_count: int,
    split: str,
) -> list[str]:
    """Say what the advised engine costs and gains, why not the others, and how far the times can be trusted."""
    lines = []
    if advised is not None:
        lines += [_cost(advised, image_count, split), *_gains(advised)]
        lines += _doubts(doubted_by, advised)
        lines += [why for one in candidates if (why := _why_not(one, advised, doubted_by)) is not None]
    else:
        lines += [f"{in_words(one)}: {one.reasons[0]}" for one in candidates]
    return [*lines, *_trust(timing, [one for one in candidates if one.end_to_end is not None])]


def absent_in_words(absent: Sequence[AbsentBackend]) -> list[str]:
    """A sentence about the backends that cannot execute here, if there are any."""
    reasons = "; ".join(f"{one.backend} ({one.reason})" for one in absent)
    return [f"Not executed here, so no time is told: {reasons}"] if reasons else []


def same_pictures(searches: Sequence[SearchFindings], data_sha256: str) -> list[str]:
    """A warning where the pictures that judge are those that chose the mix."""
    if not any(one.record.data_sha256 == data_sha256 and one.record.sent_back for one in searches):
        return []
    return ["warning: the mix was chosen on the very pictures that judge it here, which flatters it"]


def _cost(one: Candidate, image_count: int, split: str) -> str:
    assert one.mean_dice_drop is not None and one.drop_interval is not None and one.lost is not None
    sentence = (
        f"On {image_count} images of {split} it costs a mean Dice drop of {one.mean_dice_drop:+.4f} "
        f"({_interval(one.drop_interval, '+.4f')}; limit {one.max_dice_drop:g}) against float32 on onnxruntime, and "
        f"loses {one.lost.count} of {one.lost.of} polyps"
    )
    return sentence if one.lost.interval is None else f"{sentence} ({_percent(one.lost.interval)})"


def _gains(one: Candidate) -> Iterator[str]:
    assert one.end_to_end is not None
    yield (
        f"A picture takes {one.undisturbed_ms:.2f} ms from frame to mask undisturbed; as measured p50 "
        f"{one.end_to_end.p50_ms:.2f}, p99 {one.end_to_end.p99_ms:.2f} ms"
    )
    shares: dict[Kind, TimeShare | None] = {"fp32": one.over_float32, "fp16": one.over_fp16}
    for kind, share in shares.items():
        if share is not None:
            yield f"Against {KIND_NAMES[kind]} on {one.backend} {_gain(share)}"


def _gain(share: TimeShare) -> str:
    if share.outcome == "within noise":
        return f"the difference is within noise: {_ratio(share)}"
    low, high = sorted((abs(share.saved_interval.low), abs(share.saved_interval.high)))
    relation = "gains" if share.outcome == "quicker" else "loses"
    return f"it {relation} {abs(share.saved_ms):.2f} ms (95% interval {low:.2f} to {high:.2f}): {_ratio(share)}"


def _ratio(share: TimeShare, other: str | None = None) -> str:
    whose = "its time" if other is None else f"the time of {other}"
    return f"{share.ratio:.2f} of {whose}, {_interval(share.interval, '.2f')}"


def _doubts(doubted_by: Sequence[Candidate], advised: Candidate) -> Iterator[str]:
    shares = [f"{in_words(one)} ({_ratio(share)})" for one in doubted_by if (share := one.over_advised) is not None]
    if shares:
        yield (
            f"Noise may hide that these are quicker than {in_words(advised)}: {'; '.join(shares)}. Run this again on a "
            "quieter machine, or with more --seconds"
        )


def _why_not(one: Candidate, advised: Candidate, doubted_by: Sequence[Candidate]) -> str | None:
    """Why an INT8 engine is not the one, where it is not."""
    if one in doubted_by or one.name == advised.name or PRECISION_OF[one.kind] != "int8":
        return None
    if one.holds is None:
        return f"No {in_words(one)}: {one.reasons[0]}"
    if one.holds is not True:
        return f"{in_words(one)} {'breaks the limits' if one.holds is False else 'is undecided'}: {one.reasons[0]}"
    share = one.over_advised
    if share is None or (share.outcome == "quicker" and share.ratio <= WORTH_HAVING):
        return None
    ending = {
        "within noise": "within noise",
        "slower": "slower",
        "quicker": f"quicker, but by less than the {1 - WORTH_HAVING:.0%} that would pay for its rounding",
    }[share.outcome]
    return f"{in_words(one)} takes {_ratio(share, in_words(advised))}: {ending}"


def _trust(timing: TimingRecord | None, timed: Sequence[Candidate]) -> Iterator[str]:
    if timing is None:
        return
    least = f"{1 - WORTH_HAVING:.0%}, the least that counts"
    yield (
        f"Two openings of the same engine differed by up to {timing.noise:.1%} over {timing.rounds} rounds: smaller "
        "differences are noise"
        + (f", so this machine was too noisy to tell {least}" if timing.noise > 1 - WORTH_HAVING else "")
    )
    if timing.other_cores is None:
        yield "Whether anything else ran on this machine could not be seen"
    elif timing.other_cores > BUSY_CORES:
        yield f"Other processes kept {timing.other_cores:.1f} cores busy, so times are upper bounds; ratios count"
    elif not timing.stable:
        yield f"The times did not settle within {timing.max_s:g} s, so times are upper bounds; ratios count"
    if all(on_cpu(one.backend) for one in timed):
        yield "Measured on this CPU: these times say nothing about a GPU"


def _interval(interval: ConfidenceInterval, form: str) -> str:
    return f"{interval.level:.0%} interval {interval.low:{form}} to {interval.high:{form}}"


def _percent(interval: ConfidenceInterval) -> str:
    return f"{interval.level:.0%} interval {100 * interval.low:.1f} to {100 * interval.high:.1f} %"
