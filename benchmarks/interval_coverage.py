"""Coverage of the intervals that verdicts give, by simulated studies, and the images and minutes that a proof takes.

Run: python -m benchmarks.interval_coverage [VERDICT.json ...] [--studies N]

Each study draws a sample from a population whose true value is known, and asks the code of `edgeseg.proof` for its 95 %
interval; coverage is the share of studies whose interval holds the true value. The populations of mean Dice drops are a
normal one, a skewed one, one in which an image in a hundred loses its polyp, and the drops of the rows of each verdict,
drawn with replacement.
Power is of the one-sided tests at 0.025, 4 times in 5: images to show that a mean drop is below a margin when there is
none, and minutes of video to see one false activation a minute more than the reference's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from edgeseg.artifacts import Verdict
from edgeseg.cli.output import table, track
from edgeseg.proof.timing.quantile_interval import median_interval
from edgeseg.proof.verdict.bootstrap import bootstrap_interval
from edgeseg.proof.verdict.non_inferiority import LEVEL, POWER, images_needed
from edgeseg.proof.verdict.proportion import share_interval
from edgeseg.proof.verdict.rate import rate_interval

RESAMPLES = 1000
"""Resamples of the bootstrap: a tenth of a verdict's, which moves its ends by less than a study's own chance."""
IMAGES = (12, 30, 100, 300)
SHARES = (0.0, 0.02, 0.1, 0.5)
MARGINS = (0.001, 0.005, 0.01)
RATES_A_MINUTE = (0.0, 0.5, 2.6)
"""False activations of half a second or more; 2.6 is kvasir-small on the clips of docs/results.md."""

Values = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Values]


def populations(verdicts: Sequence[tuple[str, Verdict]]) -> dict[str, tuple[Draw, float]]:
    """Each population of drops by name: how a sample is drawn, and the true mean."""

    def losing(generator: np.random.Generator, count: int) -> Values:
        return generator.normal(0, 0.01, count) + 0.8 * (generator.random(count) < 0.01)

    found: dict[str, tuple[Draw, float]] = {
        "normal": (lambda generator, count: generator.normal(0.002, 0.01, count), 0.002),
        "skewed (exponential)": (lambda generator, count: generator.exponential(0.01, count), 0.01),
        "1 image in 100 loses its polyp": (losing, 0.008),
    }
    for name, verdict in verdicts:
        drops = np.array([row.drop for row in verdict.rows], np.float64)
        found[f"drops of {name}"] = (
            (lambda generator, count, drops=drops: generator.choice(drops, count)),
            float(drops.mean()),
        )
    return found


def coverage(
    draw: Draw, true: float, count: int, studies: int, interval_of: Callable[[Values], tuple[float, float]]
) -> float:
    """The share of simulated studies whose interval holds the true value."""
    generator, held = np.random.default_rng(count), 0
    for _ in range(studies):
        low, high = interval_of(draw(generator, count))
        held += low <= true <= high
    return held / studies


def mean_ends(values: Values) -> tuple[float, float]:
    """The ends of the bootstrap interval of a mean, as a verdict has it."""
    interval = bootstrap_interval(values, resamples=RESAMPLES)
    return interval.low, interval.high


def share_ends(values: Values) -> tuple[float, float]:
    """The ends of the exact interval of a share, as lost polyps and found lesions have it."""
    interval = share_interval(int(values.sum()), values.size)
    return interval.low, interval.high


def rate_ends(values: Values) -> tuple[float, float]:
    """The ends of the exact interval of a rate, as false activations have it; a value is a minute's events."""
    interval = rate_interval(int(values.sum()), values.size)
    return interval.low, interval.high


def median_ends(values: Values) -> tuple[float, float]:
    """The ends of the interval of a median, as `advise` has it for times."""
    interval = median_interval(values)
    return interval.low, interval.high


def rows_of_coverage(verdicts: Sequence[tuple[str, Verdict]], studies: int) -> list[list[str]]:
    """A row for each interval and population, a column for each sample size: images, pictures timed, or minutes."""
    cells = [
        *(
            ("mean drop, bootstrap", name, draw, true, mean_ends)
            for name, (draw, true) in populations(verdicts).items()
        ),
        *(("share, Clopper-Pearson", f"{share:.0%}", _hits(share), share, share_ends) for share in SHARES),
        *(("rate a minute, Garwood", f"{rate:g}", _events(rate), rate, rate_ends) for rate in RATES_A_MINUTE[1:]),
        (
            "median of times",
            "log-normal",
            lambda generator, count: generator.lognormal(0, 0.3, count),
            1.0,
            median_ends,
        ),
    ]
    return [
        [interval, name, *(f"{coverage(draw, true, count, studies, ends):.1%}" for count in IMAGES)]
        for interval, name, draw, true, ends in track(cells, "simulating", len(cells))
    ]


def _hits(share: float) -> Draw:
    return lambda generator, count: (generator.random(count) < share).astype(np.float64)


def _events(rate: float) -> Draw:
    return lambda generator, count: generator.poisson(rate, count).astype(np.float64)


def minutes_needed(rate: float, more: float = 1.0) -> float:
    """Minutes of video on which one network has `more` false activations a minute than another with `rate`.

    The normal approximation for the difference of two Poisson counts; both networks see the same minutes.
    """
    normal = NormalDist()
    steps = normal.inv_cdf((1 + LEVEL) / 2) + normal.inv_cdf(POWER)
    return steps**2 * (2 * rate + more) / more**2


def simulated_power(rate: float, minutes: float, studies: int) -> float:
    """How often the counts of so many minutes show one activation a minute more, by the exact conditional test.

    Given the sum of two Poisson counts, the larger is binomial with a half where the rates are equal (Przyborowski &
    Wilenski, Homogeneity of results in testing samples from Poisson series, Biometrika 31, 1940).
    """
    generator = np.random.default_rng(0)
    theirs, ours = generator.poisson(rate * minutes, studies), generator.poisson((rate + 1) * minutes, studies)
    shown = sum(
        bool(n) and share_interval(int(k), int(n), LEVEL).low > 0.5 for k, n in zip(ours, ours + theirs, strict=True)
    )
    return shown / studies


def main(
    verdicts: Annotated[list[Path] | None, typer.Argument(help="verdict.json whose drops are a population.")] = None,
    studies: Annotated[int, typer.Option(min=100, help="Simulated studies for each figure.")] = 2000,
) -> None:
    """Print the tables."""
    read = [(path.parent.name, Verdict.read(path)) for path in verdicts or []]
    heads = ["interval", "population", *(f"n = {count}" for count in IMAGES)]
    sys.stdout.write(table("coverage of 95 % intervals", heads, rows_of_coverage(read, studies)) + "\n")
    spreads = [(name, float(np.std([row.drop for row in verdict.rows], ddof=1))) for name, verdict in read]
    rows = [
        [name, f"{sd:.4f}", *(str(images_needed(0.0, sd, margin)) for margin in MARGINS)]
        for name, sd in [*spreads, ("sd of 0.02", 0.02)]
    ]
    heads = ["drops", "sd", *(f"drop of {margin:g}" for margin in MARGINS)]
    sys.stdout.write(table("images to see a drop", heads, rows) + "\n")
    rows = []
    for rate in RATES_A_MINUTE:
        minutes = minutes_needed(rate)
        rows.append([f"{rate:g}", f"{minutes:.0f}", f"{simulated_power(rate, minutes, studies):.1%}"])
    heads = ["a minute", "minutes", "power, simulated"]
    sys.stdout.write(table("video to see one false activation a minute more", heads, rows) + "\n")


if __name__ == "__main__":
    typer.run(main)
