from pathlib import Path

import numpy as np
import pytest

from edgeseg.calibration.selection import SELECTIONS, choose_images
from edgeseg.cli import run
from edgeseg.errors import UsageError
from edgeseg.images import write_png


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Thirty grey pictures, 0.png the darkest, and between the last two one red picture."""
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(30):
        write_png(folder / f"{index:02}.png", np.full((20, 24, 3), 20 + 4 * index, np.uint8))
    write_png(folder / "28a.png", np.full((20, 24, 3), (200, 10, 10), np.uint8))
    return sorted(folder.iterdir())


@pytest.mark.parametrize("select", SELECTIONS)
@pytest.mark.parametrize("count", [1, 7, 31, 99])
def test_as_many_as_are_wanted_each_once_in_order(select: str, count: int, pictures: list[Path]) -> None:
    chosen = choose_images(pictures, count, select)
    assert len(chosen) == min(count, len(pictures))
    assert chosen == sorted(set(chosen))
    assert chosen == choose_images(pictures, count, select), "the same seed draws the same"


def test_even_steps_need_no_seed() -> None:
    paths = [Path(str(index)) for index in range(10)]
    assert [path.name for path in choose_images(paths, 4)] == ["0", "2", "5", "7"]
    assert choose_images(paths, 4, seed=3) == choose_images(paths, 4)


@pytest.mark.parametrize("select", ["random", "stratified"])
def test_another_seed_draws_others(select: str, pictures: list[Path]) -> None:
    assert len({tuple(choose_images(pictures, 6, select, seed)) for seed in range(4)}) > 1


def test_strata_go_from_dark_to_bright(pictures: list[Path]) -> None:
    grey = [path for path in pictures if path.stem != "28a"]
    for seed in range(5):
        assert [int(path.stem) // 5 for path in choose_images(grey, 6, "stratified", seed)] == [0, 1, 2, 3, 4, 5]


def test_diverse_takes_what_stands_out_whatever_it_begins_with(pictures: list[Path]) -> None:
    for seed in range(5):
        names = {path.stem for path in choose_images(pictures, 4, "diverse", seed)}
        assert {"00", "28a"} <= names


def test_copies_come_last(pictures: list[Path]) -> None:
    chosen = choose_images([*pictures[:2], *[pictures[9]] * 5, pictures[20]], 4, "diverse")
    assert len(set(chosen)) == 4


def test_an_unknown_name_is_told_with_those_there_are(pictures: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        choose_images(pictures, 3, "wisdom")
    assert caught.value.expected == "even or random or stratified or diverse"
    words = ["calibrate", "kvasir-ultra", "--data", str(pictures[0].parent), "--out", str(tmp_path / "t.json")]
    assert run([*words, "--select", "wisdom"]) == 2


def test_a_seed_that_would_draw_nothing_is_refused(
    pictures: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["calibrate", "kvasir-ultra", "--data", str(pictures[0].parent), "--out", str(tmp_path / "t.json")]
    assert run([*words, "--seed", "3"]) == 2
    assert "--seed draws nothing with --select even" in capsys.readouterr().err
    assert not (tmp_path / "t.json").exists()
