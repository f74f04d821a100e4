import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from torchmetrics.functional.segmentation import dice_score

from edgeseg.train.losses import LOSSES, bce_dice_loss, bce_loss, dice_loss, structure_loss


def test_dice_loss_of_hard_masks_is_one_minus_dice() -> None:
    rng = np.random.default_rng(1)
    truth = torch.from_numpy((rng.random((5, 1, 16, 16)) < 0.4).astype(np.float32))
    guess = torch.from_numpy((rng.random((5, 1, 16, 16)) < 0.5).astype(np.float32))
    logits = (guess * 2 - 1) * 60
    expected = dice_score(guess.int(), truth.int(), num_classes=1, input_format="one-hot", average="micro").mean()
    assert abs(float(dice_loss(logits, truth, smooth=0.0)) - (1 - float(expected))) < 1e-6


@settings(deadline=None)  # the first call of an operation loads code
@given(st.lists(st.floats(-8, 8, width=32), min_size=4, max_size=4), st.lists(st.booleans(), min_size=4, max_size=4))
def test_bce_is_the_textbook_formula(values: list[float], truth: list[bool]) -> None:
    logits = torch.tensor(values).view(1, 1, 2, 2)
    target = torch.tensor(truth).float().view(1, 1, 2, 2)
    p, t = expit(np.array(values)), np.array(truth, float)
    expected = -(t * np.log(p) + (1 - t) * np.log1p(-p)).mean()
    assert abs(float(bce_loss(logits, target)) - expected) < 1e-5


def test_the_sum_is_the_sum() -> None:
    logits, target = torch.randn(2, 1, 8, 8), torch.ones(2, 1, 8, 8)
    assert torch.equal(bce_dice_loss(logits, target), bce_loss(logits, target) + dice_loss(logits, target))
    assert set(LOSSES) == {"bce", "dice", "bce+dice", "structure"}


def test_an_empty_image_rewards_an_empty_guess() -> None:
    empty = torch.zeros(1, 1, 8, 8)
    assert float(dice_loss(torch.full_like(empty, -30.0), empty)) < 1e-6
    assert float(dice_loss(torch.full_like(empty, 30.0), empty)) > 0.9


def test_the_structure_loss_is_its_formula_written_out() -> None:
    rng = np.random.default_rng(3)
    truth, values = (rng.random((33, 33)) < 0.4).astype(float), rng.normal(size=(33, 33)) * 3
    window = 3
    expected_weight = np.empty_like(truth)
    for row in range(33):
        for column in range(33):
            near = truth[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
            expected_weight[row, column] = 1 + 5 * abs(near.mean() - truth[row, column])
    assert window == 33 // 11 // 2 * 2 + 1
    p = expit(values)
    entropy = -(truth * np.log(p) + (1 - truth) * np.log1p(-p))
    both, either = (expected_weight * p * truth).sum(), (expected_weight * (p + truth)).sum()
    expected = (expected_weight * entropy).sum() / expected_weight.sum() + 1 - (both + 1) / (either - both + 1)
    found = structure_loss(torch.from_numpy(values)[None, None], torch.from_numpy(truth)[None, None])
    assert abs(float(found) - expected) < 1e-9
