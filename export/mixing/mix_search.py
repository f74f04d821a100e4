"""Finds a small set of convolutions that must leave INT8 so that masks stay within limits, in a bounded number of runs.

Each convolution is tried in INT8 alone, the others float, and they are sent back in order of the harm that they do so.
(Leaving one out instead tells nothing of two neighbours that share a badly quantised tensor: with either one in INT8
the tensor stays quantised.) A galloping search and a bisection find how many must go, and then each of them
is tried in INT8 again, the least harmful first. NNCF's accuracy control reverts one operation after the other instead,
and takes none of them back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from edgeseg.artifacts import VerdictLimits
from edgeseg.dataset import Pair
from edgeseg.export.mixing.accuracy_limits import harm_of, holds
from edgeseg.precision_search import LayerHarm, MaskHarm
from edgeseg.progress import Track, silent
from edgeseg.proof.verdict.engine_comparison import Comparison

SENSITIVITY_IMAGES = 32
"""Pictures on which each convolution is tried alone: those on which INT8 throughout differs most from float32."""
MOST_RETURNED = 16
"""Convolutions that are tried in INT8 again at the end."""
DICE_STEP = 4
"""Decimals of the Dice in the order of harm: smaller differences are chance, and flipped pixels decide."""

Run = Callable[[Collection[str], Sequence[Pair]], Comparison]
"""Compares the network with float32 on pictures; the convolutions that are named run in float, the rest in INT8."""


@dataclass(frozen=True)
class Found:
    """The result of a search."""

    tried_alone: tuple[LayerHarm, ...]
    """Every convolution that was tried alone in INT8, the most harmful first; empty where none was."""
    back: frozenset[str]
    """The convolutions that run in float."""
    throughout: Comparison
    """The comparison with all in INT8."""
    found: Comparison
    """The comparison with those in float; that of the mix nearest to the limits where none holds them."""
    holds: bool
    sensitivity_images: int
    runs: int

    @property
    def sent_back(self) -> tuple[LayerHarm, ...]:
        """The convolutions that run in float, the most harmful first."""
        return tuple(tried for tried in self.tried_alone if tried.layer in self.back)


def most_runs(layers: int) -> int:
    """The bound of the runs: INT8 throughout, each alone, 2 ceil(log2 n) + 1 for how many, and those tried again."""
    return 1 + layers + 2 * (layers - 1).bit_length() + 1 + min(MOST_RETURNED, layers)


def search(
    layers: Sequence[str],
    run: Run,
    pairs: Sequence[Pair],
    limits: VerdictLimits,
    track: Track = silent,
    always_alone: bool = False,
) -> Found:
    """Find the convolutions that must leave INT8; at least one stays.

    Args:
        layers: The convolutions that could run in INT8, at least one.
        run: Tries a mix; called at most `most_runs(len(layers))` times.
        pairs: Labelled pictures that decide; at least one.
        limits: The Dice drop and the lost polyps that are allowed.
        track: Shows progress.
        always_alone: Try each convolution alone although INT8 throughout holds the limits.
    """
    trials = _Trials(run, pairs, limits)
    throughout = trials.comparison(())
    if len(layers) == 1 or (trials.holds(()) and not always_alone):
        return Found((), frozenset(), throughout, throughout, trials.holds(()), 0, trials.runs)
    chosen = _most_different(throughout, pairs)
    tried = []
    for layer in track(layers, "trying each convolution in INT8 alone", len(layers)):
        alone = harm_of(run([other for other in layers if other != layer], chosen))
        tried.append(LayerHarm(layer=layer, alone=alone))
    tried.sort(key=lambda one: _harmfulness(one.alone))
    order = [one.layer for one in tried]
    count = 0 if trials.holds(()) else _how_many(order, trials)
    back = trials.nearest if count is None else frozenset(_returned(order[:count], trials))
    runs = trials.runs + len(layers)
    return Found(tuple(tried), back, throughout, trials.comparison(back), count is not None, len(chosen), runs)


class _Trials:
    """Mixes on all pictures, each run once."""

    def __init__(self, run: Run, pairs: Sequence[Pair], limits: VerdictLimits) -> None:
        self._run, self._pairs, self._limits = run, pairs, limits
        self._done: dict[frozenset[str], Comparison] = {}

    @property
    def runs(self) -> int:
        return len(self._done)

    @property
    def nearest(self) -> frozenset[str]:
        """The mix that breaks the limits least: too many lost polyps weigh more than Dice."""

        def excess(back: frozenset[str]) -> tuple[int, float]:
            harm, limit = harm_of(self._done[back]), self._limits.max_lost_polyps
            return 0 if limit is None else max(0, harm.lost_polyps - limit), harm.mean_dice_drop

        return min(self._done, key=excess)

    def comparison(self, back: Collection[str]) -> Comparison:
        key = frozenset(back)
        if key not in self._done:
            self._done[key] = self._run(key, self._pairs)
        return self._done[key]

    def holds(self, back: Collection[str]) -> bool:
        return holds(self.comparison(back), self._limits)


def _most_different(throughout: Comparison, pairs: Sequence[Pair]) -> list[Pair]:
    agreement = {row.name: row.agreement for row in throughout.rows}
    return sorted(pairs, key=lambda pair: agreement[pair.name])[:SENSITIVITY_IMAGES]


def _harmfulness(alone: MaskHarm) -> tuple[float, float, float]:
    return -alone.lost_polyps, -round(alone.mean_dice_drop, DICE_STEP), -alone.flipped_share


def _how_many(order: Sequence[str], trials: _Trials) -> int | None:
    """How many of the first must go so that the limits hold, one staying at least; None where none do."""
    too_few, enough, last = 0, 1, len(order) - 1
    while not trials.holds(order[:enough]):
        if enough == last:
            return None
        too_few, enough = enough, min(2 * enough, last)
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if trials.holds(order[:middle]):
            enough = middle
        else:
            too_few = middle
    return enough


def _returned(back: Sequence[str], trials: _Trials) -> list[str]:
    """Try the least harmful in INT8 again, one after the other; those without which the limits hold return to it."""
    kept = list(back)
    for layer in list(reversed(back))[:MOST_RETURNED]:
        fewer = [other for other in kept if other != layer]
        if fewer and trials.holds(fewer):
            kept = fewer
    return kept
