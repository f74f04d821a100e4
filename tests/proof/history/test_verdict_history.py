from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from edgeseg.artifacts import ProtocolRecord, Verdict, VerdictLimits
from edgeseg.errors import BadInputError
from edgeseg.proof.history.history_charts import dice_chart, drop_history_chart, time_chart
from edgeseg.proof.history.verdict_history import read_history
from tests.proof.verdicts import BUILT, latency, row, verdict


def kept(sha256: str = "a" * 64, deviations: tuple[str, ...] = ()) -> ProtocolRecord:
    return ProtocolRecord(sha256=sha256, set_by="the clinic", set_at=BUILT, kept=not deviations, deviations=deviations)


def write(folder: Path, name: str, judged: Verdict) -> Path:
    path = folder / name / "verdict.json"
    path.parent.mkdir()
    judged.write(path)
    return path


def at(day: int) -> str:
    return f"2026-03-{day:02d}T09:00:00+00:00"


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Three versions, in no order: the second on other images and another machine, under another protocol."""
    rows = [row(f"image_{index}", 0.8 + index / 100) for index in range(12)]
    other = {"data_sha256": "b" * 64, "latency": latency(machine="another"), "protocol": kept("b" * 64)}
    limits = VerdictLimits(max_dice_drop=0.05)
    return [
        write(tmp_path, "v3", verdict(created=at(3), limits=limits, protocol=kept("b" * 64, ("it is late",)), **{})),
        write(tmp_path, "v1", verdict(*rows, created=at(1), protocol=kept())),
        write(tmp_path, "v2", verdict(created=at(2), **other)),
    ]


def test_oldest_first_with_the_figures_of_the_files(paths: list[Path]) -> None:
    history = read_history(paths)
    assert [Path(version.name).name for version in history.versions] == ["v1", "v2", "v3"]
    first = history.versions[0]
    assert first.mean_dice == pytest.approx(np.mean([0.8 + index / 100 for index in range(12)]))
    assert (first.p50_ms, first.p99_ms, first.lost_polyps, first.found_by_reference) == (8, 12.5, 0, 12)
    assert [version.protocol.kept for version in history.versions if version.protocol] == [True, True, False]


def test_the_interval_of_the_mean_dice_is_scipys(paths: list[Path]) -> None:
    interval = read_history(paths).versions[0].dice_interval
    assert interval is not None
    values = np.array([0.8 + index / 100 for index in range(12)])
    level = 1 - 2 * stats.norm.cdf(np.sqrt(12 / 11) * stats.t.ppf(0.025, 11))
    theirs = stats.bootstrap(
        (values,),
        np.mean,
        method="percentile",
        n_resamples=10_000,
        confidence_level=level,
        rng=np.random.default_rng(1),
    )
    assert (interval.low, interval.high) == pytest.approx(theirs.confidence_interval, abs=1.5e-3)


def test_it_says_what_cannot_be_compared(paths: list[Path]) -> None:
    assert read_history(paths).remarks() == (
        (),
        ("other images", "another machine", "another protocol"),
        ("other images", "another machine", "another limit of the drop"),
    )


def test_versions_that_cannot_be_compared_are_not_joined(paths: list[Path], tmp_path: Path) -> None:
    versions = read_history([*paths, write(tmp_path, "v4", verdict(created=at(4)))]).versions
    for chart in (dice_chart(versions), drop_history_chart(versions), time_chart(versions)):
        assert chart is not None
        assert [len(path.split()) for path in chart.paths] == [1, 1, 2]
        assert [point.x for point in chart.points] == pytest.approx([103.5, 190.5, 277.5, 364.5])


def test_marks_stand_where_their_values_are(paths: list[Path]) -> None:
    chart = drop_history_chart(read_history(paths).versions)
    assert chart is not None
    first, second, _ = chart.points
    assert first.y < second.y, "a larger drop stands higher"
    assert second.low is not None and second.high is not None and second.high < second.y < second.low
    assert chart.limits[0].y > chart.limits[2].y
    assert [number for _, number in chart.columns] == ["1", "2", "3"]


def test_many_versions_are_numbered_now_and_then() -> None:
    from edgeseg.proof.history.verdict_history import _row

    version = _row(Path("v/verdict.json"), verdict())
    chart = dice_chart([version] * 100)
    assert chart is not None
    assert [number for _, number in chart.columns] == [str(index) for index in range(1, 101, 7)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON"),
        ("[]", "not a valid Verdict"),
        ("{}", "not a valid Verdict"),
        ('{"lesions_found": 3}', "not a valid ClipVerdict"),
        ("[" * 100_000, "is no JSON"),
    ],
)
def test_files_that_are_no_verdicts(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "junk.json").write_text(text)
    with pytest.raises(BadInputError, match=said):
        read_history([tmp_path / "junk.json"])


def test_a_missing_file_a_folder_and_figures_that_are_none(paths: list[Path], tmp_path: Path) -> None:
    with pytest.raises(BadInputError):
        read_history([tmp_path / "missing.json"])
    with pytest.raises(BadInputError) as caught:
        read_history([paths[0].parent])
    assert caught.value.next_command == f"edgeseg history {paths[0]}"
    paths[0].write_text(paths[0].read_text().replace('"p99_ms": 12.5', '"p99_ms": NaN'))
    with pytest.raises(BadInputError):
        read_history(paths)
