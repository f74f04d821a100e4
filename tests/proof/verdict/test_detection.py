import numpy as np
import pytest

from edgeseg.metrics import ImageScore, score_image
from edgeseg.proof.verdict.bootstrap import bootstrap_interval
from edgeseg.proof.verdict.detection import by_size, detection
from edgeseg.proof.verdict.evaluation import summarise


def rows(marked: range, true: range, height: int = 100) -> ImageScore:
    """An image of which some rows are marked and some are true."""
    predicted, truth = np.zeros((height, 10), np.uint8), np.zeros((height, 10), np.uint8)
    predicted[list(marked)], truth[list(true)] = 255, 255
    return score_image(f"{marked}{true}", predicted, truth)


def test_found_at_one_half_and_touched_at_all() -> None:
    scores = [
        rows(range(10), range(10)),
        rows(range(10), range(5)),  # IoU exactly one half
        rows(range(11), range(5)),
        rows(range(50, 60), range(10)),
        rows(range(0), range(10)),
        rows(range(10), range(0)),  # no polyp: neither found nor missed
    ]
    found = detection(scores)
    assert (found.images_with_polyp, found.found, found.touched) == (5, 2, 3)
    assert (found.found_share, found.touched_share) == (2 / 5, 3 / 5)


def test_without_a_polyp_there_is_nothing_to_find() -> None:
    found = detection([rows(range(0), range(0))])
    assert (found.images_with_polyp, found.found_share, found.touched_share) == (0, None, None)


@pytest.mark.parametrize(
    ("true_rows", "name"), [(1, "small"), (4, "small"), (5, "medium"), (15, "medium"), (16, "large"), (100, "large")]
)
def test_sizes_and_their_bounds(true_rows: int, name: str) -> None:
    groups = {group.name: group.image_count for group in by_size([rows(range(1), range(true_rows))])}
    assert groups == {"small": 0, "medium": 0, "large": 0, name: 1}


def test_groups_have_their_own_means() -> None:
    scores = [rows(range(4), range(4)), rows(range(0), range(4)), rows(range(20), range(20)), rows(range(9), range(0))]
    small, medium, large = by_size(scores)
    assert (small.image_count, small.mean_dice, small.found_share) == (2, 0.5, 0.5)
    assert (medium.image_count, medium.mean_dice, medium.found_share) == (0, None, None)
    assert (large.image_count, large.mean_dice, large.found_share) == (1, 1, 1)


def test_means_over_images() -> None:
    scores = [
        rows(range(10), range(10)),
        rows(range(20), range(10)),
        rows(range(5), range(10)),
        rows(range(0), range(3)),
    ]
    evaluation = summarise(scores, "0" * 64, 2)
    assert evaluation.mean_sensitivity == pytest.approx((1 + 1 + 0.5 + 0) / 4)
    assert evaluation.mean_precision == pytest.approx((1 + 0.5 + 1 + 0) / 4)
    distances = [0, scores[1].hd95_px, scores[2].hd95_px, np.hypot(100, 10)]
    assert evaluation.mean_hd95_px == pytest.approx(np.mean(distances))
    assert evaluation.median_hd95_px == pytest.approx(np.median(distances))
    assert evaluation.mean_surface_dice == pytest.approx(np.mean([score.surface_dice for score in scores]))
    assert evaluation.dice_interval == bootstrap_interval(np.array([score.dice for score in scores]))
