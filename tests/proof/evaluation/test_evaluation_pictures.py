import numpy as np
import pytest

from edgeseg.metrics import score_image
from edgeseg.proof.evaluation.evaluation_pictures import (
    PREDICTED_COLOUR,
    Section,
    Shown,
    draw,
    draw_alarms,
    draw_ranked,
    ranked,
)
from edgeseg.proof.evaluation.frame_masks import UnlabelledSource, measure_frames
from edgeseg.proof.evaluation.sheet import CELL_WIDTH_PX, contact_sheet
from edgeseg.proof.verdict.evaluation import evaluate

WHITE = (255, 255, 255)


def scores(*dice: float):
    blank = score_image("x", np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8))
    return [blank.model_copy(update={"name": f"i{index}", "dice": value}) for index, value in enumerate(dice)]


def near(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.abs(picture.astype(int) - colour).max(axis=2) < 12


@pytest.mark.parametrize(
    ("count", "worst", "best"),
    [
        (0, [], []),
        (2, ["i1", "i4"], ["i2", "i0"]),
        (4, ["i1", "i4", "i3", "i0"], ["i2"]),
        (9, ["i1", "i4", "i3", "i0", "i2"], []),
    ],
)
def test_no_image_is_among_the_best_and_the_worst(count: int, worst: list[str], best: list[str]) -> None:
    found = ranked(scores(0.8, 0.1, 0.9, 0.7, 0.5), count)
    assert [[score.name for score in rows] for rows in found] == [worst, best]


def test_prediction_and_truth_are_told_apart_by_colour_and_by_dashes() -> None:
    predicted, truth = np.zeros((100, 100), np.uint8), np.zeros((100, 100), np.uint8)
    predicted[10:40, 10:90], truth[60:90, 10:90] = 255, 255
    picture = draw(np.full((100, 100, 3), 90, np.uint8), predicted, truth)
    solid, dashed = near(picture, PREDICTED_COLOUR), near(picture, WHITE)
    assert solid[10, 14:86].all() and not solid[50:].any()
    assert 0.3 < dashed[60, 14:86].mean() < 0.8 and not dashed[:50].any()
    assert (picture[25, 50] == 90).all()  # what lies inside stays to be judged


def test_the_worst_and_the_best_are_drawn(bright_session, pairs_of) -> None:
    pairs = pairs_of([8, 8, 8, 8], [8, 9, 10, 24])
    evaluation = evaluate(bright_session, pairs)
    worst, best = draw_ranked(bright_session, evaluation.per_image, pairs, 1)
    assert (worst.title, worst.pictures[0].name) == ("The worst 1 of 4 images", "i03")
    assert (best.title, best.pictures[0].note) == ("The best 1 of 4 images", "Dice 1.000")
    assert worst.has_truth


def test_false_masks_are_drawn_largest_first(bright_session, folder_of) -> None:
    masks = measure_frames(bright_session, UnlabelledSource(folder_of([0, 100, 512])), keep=5)
    (section,) = draw_alarms(masks.largest)
    assert [shown.note for shown in section.pictures] == ["50.0 % marked", "9.8 % marked"]
    assert draw_alarms(()) == ()


@pytest.mark.parametrize("sizes", [[(30, 60)], [(90, 20), (40, 40)], [(20, 20)] * 15])
def test_a_sheet_shows_every_picture_whole(sizes: list[tuple[int, int]]) -> None:
    colours = [(40 + 13 * index, 200, 10 * index) for index in range(len(sizes))]
    shown = tuple(
        Shown(f"näme {index}" * 20, "note", np.full((*size, 3), colour, np.uint8))
        for index, (size, colour) in enumerate(zip(sizes, colours, strict=True))
    )
    sheet = contact_sheet([Section("Empty", ()), Section("Title", shown)])
    assert sheet.shape[1] == CELL_WIDTH_PX * min(len(sizes), 6)
    for (height, width), colour in zip(sizes, colours, strict=True):
        rows, columns = np.nonzero((sheet == colour).all(axis=2))
        across, down = np.ptp(columns) + 1, np.ptp(rows) + 1
        assert across * down == len(rows)
        assert across / down == pytest.approx(width / height, rel=0.03)


def test_a_sheet_of_nothing() -> None:
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([Section("Empty", ())])
