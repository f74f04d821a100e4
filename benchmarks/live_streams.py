"""Measures what other streams cost a stream of the same box: ages of its picture and masks, as ratios to a run alone.

Each round runs the stream alone, beside a second like it, beside a source that floods the box with 200 pictures a
second, and beside a server that is not there, in an order of its own.

Usage: python benchmarks/live_streams.py MODEL [--shadow MODEL] [--rounds N] [--seconds S] [--size WxH] [--rate HZ]
       --shadow also runs the stream alone with a new engine beside the one that is shown
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from edgeseg.progress import Say
from edgeseg.runtime.live import assembly
from edgeseg.runtime.live.settings import EngineSettings, LiveSettings, RollOutSettings
from edgeseg.runtime.live.sources.contract import SourceOptions, SourceStatus
from edgeseg.runtime.live.sources.source_opening import open_live_source
from edgeseg.runtime.live.sources.synthetic import SyntheticFeed
from edgeseg.runtime.live.status import LiveStatus
from edgeseg.runtime.live.stream_names import streams_of
from edgeseg.runtime.video.source import ClipTiming, SourceFrame

FLOOD_HZ = 200
NOBODY = "rtsp://127.0.0.1:9/nobody"
FLOOD = "flood:"


@dataclass
class Flood:
    """Gives pictures that were drawn before, so that the source itself costs nothing."""

    size: tuple[int, int]
    name: str = FLOOD
    is_live: bool = True
    timing: ClipTiming = field(default_factory=lambda: ClipTiming(Fraction(1, FLOOD_HZ), Fraction(FLOOD_HZ)))
    closed: bool = False

    def frames(self) -> Iterator[SourceFrame]:
        """Yield pictures without end, 200 a second."""
        feed = SyntheticFeed(SourceOptions(size=self.size), seed=1)
        pictures = [feed.picture(index) for index in range(16)]
        index, start_s = 0, time.monotonic()
        while not self.closed:
            time.sleep(max(0.0, start_s + index / FLOOD_HZ - time.monotonic()))
            now_ns = time.monotonic_ns()
            picture = pictures[index % len(pictures)]
            yield SourceFrame(index, now_ns, now_ns, index, self.timing.time_base, picture)
            index += 1

    def status(self) -> SourceStatus:
        """Say that it gives pictures."""
        return SourceStatus("connected")

    def close(self) -> None:
        """Make `frames` end."""
        self.closed = True


def measure(given: argparse.Namespace, beside: tuple[str, ...], shadow: Path | None) -> LiveStatus:
    """The last status of a stream, with others beside it.

    Args:
        given: What was typed.
        beside: The other sources.
        shadow: A new engine beside the one that is shown.
    """
    say: Say = lambda text: None  # noqa: E731
    settings = LiveSettings(
        given.model, "", processes=EngineSettings(threads=1), seconds=given.seconds, roll_out=RollOutSettings(shadow)
    )
    with assembly.live_box(streams_of(settings, [f"synthetic:{given.size}@{given.rate}", *beside]), say) as box:
        return box.run()[0]


def open_source(name: str, size: tuple[int, int], options: SourceOptions | None) -> Any:
    """As `open_live_source`, which knows no flood."""
    return Flood(size) if name == FLOOD else open_live_source(name, options)


def main() -> None:
    """Print each case's ages and their ratios to those of the same round alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--size", default="960x720")
    parser.add_argument("--rate", type=int, default=25)
    parser.add_argument("--shadow", type=Path)
    given = parser.parse_args()
    width, height = (int(side) for side in given.size.split("x"))
    assembly.open_live_source = lambda name, options=None: open_source(name, (width, height), options)  # type: ignore[assignment]
    cases: dict[str, tuple[str, ...]] = {
        "alone": (),
        "beside another": (f"synthetic:{given.size}@{given.rate}?seed=1",),
        f"beside {FLOOD_HZ} a second": (FLOOD,),
        "beside no server": (NOBODY,),
    }
    if given.shadow is not None:
        cases["with a shadow"] = ()
    found: dict[str, list[LiveStatus]] = {case: [] for case in cases}
    for number in range(given.rounds):
        order = list(cases)
        random.Random(number).shuffle(order)
        for case in order:
            shadow = given.shadow if case == "with a shadow" else None
            found[case].append(measure(given, cases[case], shadow))
    for case, statuses in found.items():
        print(f"{case:<22}{'; '.join(row(statuses, found['alone']))}")


def row(statuses: Sequence[LiveStatus], alone: Sequence[LiveStatus]) -> Iterator[str]:
    """Yield the figures of a case: medians over its rounds, and medians of the ratios to the same round alone."""
    for figure, name in (("picture_age_ms", "picture"), ("mask_age_ms", "mask")):
        for key in ("p50", "p99"):
            values = [[getattr(status, figure)[key] for status in each] for each in (statuses, alone)]
            pairs = list(zip(*values, strict=True))
            ratio = statistics.median(value / base for value, base in pairs)
            yield f"{name} {key} {statistics.median(value for value, _ in pairs):.1f} ms, x{ratio:.2f}"
    shown = sum(status.frames for status in statuses)
    yield f"late {sum(status.deadline_misses for status in statuses)} of {shown}"
    if statuses[0].roll_out is not None:
        yield f"compared {sum((status.roll_out or {})['shadow']['compared'] for status in statuses)}"
    yield f"segmented {sum(status.inferences for status in statuses) / shown:.0%}"


if __name__ == "__main__":
    main()
