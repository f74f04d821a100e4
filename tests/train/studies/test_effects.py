import statistics

import pytest

from edgeseg.train.studies.effects import effects_of, seed_sd, verdict_of
from edgeseg.train.studies.ledger import Ending, Outcome
from edgeseg.train.studies.points import Point
from edgeseg.train.studies.study_results import Trial, as_csv, as_markdown, cell_results, columns_and_rows

AXES = ["loss", "rate"]
DICE = {("bce", "low"): (0.80, 0.82), ("bce", "high"): (0.81, 0.83), ("dice", "low"): (0.60, 0.62),
        ("dice", "high"): (0.61, 0.63)}  # fmt: skip


def trial(
    cell: tuple[str, ...], seed: int, dice: float, ending: Ending = "finished", tried: float | None = None
) -> Trial:
    return Trial(Point(cell, seed, {}, tried), Outcome(ending, dice, 2, 4, 3.0, (dice,)))


def trials() -> list[Trial]:
    return [trial(cell, seed, value) for cell, values in DICE.items() for seed, value in enumerate(values)]


def test_means_and_spreads_are_pythons_own() -> None:
    results = cell_results(trials())
    for result in results:
        assert result.mean == pytest.approx(statistics.fmean(DICE[result.cell]))  # type: ignore[index]
        assert result.sd == pytest.approx(statistics.stdev(DICE[result.cell]))  # type: ignore[index]
    assert seed_sd(results) == pytest.approx(statistics.stdev((0.80, 0.82)))


def test_effects_are_differences_of_marginal_means() -> None:
    loss, rate = effects_of(AXES, cell_results(trials()))
    assert loss.means == (("bce", pytest.approx(0.815)), ("dice", pytest.approx(0.615)))
    assert rate.size == pytest.approx(0.01)


def test_the_verdict_tells_what_mattered_and_what_did_not() -> None:
    loss, rate, best = verdict_of(AXES, cell_results(trials()))
    assert loss.startswith("loss mattered: bce 0.8150, dice 0.6150: 0.2000 apart, 14.1 times the sd")
    assert rate.startswith("rate did not matter on the whole") and "it did" not in rate
    assert best == "Best: bce, high with 0.8200 ± 0.0141 over 2 seeds; 1 of the 3 others lie within 2 sd of it."


def test_one_seed_tells_no_spread() -> None:
    once = [one for one in trials() if one.point.seed == 0]
    assert "one seed does not tell" in verdict_of(AXES, cell_results(once))[0]
    same = [trial(("a",), seed, 0.5) for seed in (0, 1)] + [trial(("b",), seed, 0.4) for seed in (0, 1)]
    assert verdict_of(["loss"], cell_results(same))[0].startswith("loss mattered")


def test_only_rows_with_every_choice_count() -> None:
    lame = [one for one in trials() if one.point.cell != ("dice", "high")]
    loss, rate = effects_of(AXES, cell_results(lame))
    assert loss.means == (("bce", pytest.approx(0.81)), ("dice", pytest.approx(0.61)))
    assert rate.means == (("high", pytest.approx(0.82)), ("low", pytest.approx(0.81)))


def test_given_up_and_diverged_trials_are_told_and_a_search_keeps_each_seeds_best() -> None:
    mixed = [
        trial(("a",), 0, 0.5, tried=0.1), trial(("a",), 0, 0.7, tried=0.01), trial(("a",), 1, 0.0, "diverged", 0.1),
        trial(("b",), 0, 0.2, "pruned", 0.1), trial(("b",), 1, 0.3, "pruned", 0.1),
    ]  # fmt: skip
    first, second = cell_results(mixed)
    assert first.dice == (0.7, 0.0) and first.diverged == 1 and first.best.point.tried == 0.01
    assert second.dice == () and second.given_up == 2 and second.mean == 0.3
    columns, rows = columns_and_rows(["loss"], [first, second])
    assert columns == ["loss", "validation Dice", "sd", "seeds", "best value", "best epoch", "notes"]
    assert rows[0][:5] == ["a", "0.3500", "0.4950", "2", "0.01"] and rows[1][-1] == "2 given up"
    assert as_csv(columns, rows).splitlines()[1] == "a,0.3500,0.4950,2,0.01,2,1 diverged"
    assert as_markdown(columns, rows).splitlines()[1] == "| --- | --- | --- | --- | --- | --- | --- |"


def test_an_effect_that_shows_beside_one_choice_alone_is_told() -> None:
    crossed = {("bce", "low"): 0.5, ("bce", "high"): 0.7, ("dice", "low"): 0.7, ("dice", "high"): 0.52}
    rows = [trial(cell, seed, dice + 0.02 * seed) for cell, dice in crossed.items() for seed in (0, 1)]
    loss, rate, _ = verdict_of(AXES, cell_results(rows))
    assert loss.startswith("loss did not matter on the whole")
    assert loss.endswith("With low it did: dice 0.7100, bce 0.5100.")
    assert rate.endswith("With bce it did: high 0.7100, low 0.5100.")
