from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.losses import TverskyLoss
from scipy.special import expit
from torchmetrics.functional.segmentation import dice_score

from edgeseg.errors import UsageError
from edgeseg.train.choices import ANY_CLASSES, SEVERAL_CLASSES, LossName
from edgeseg.train.losses import (
    LOSSES,
    bce_dice_loss,
    bce_loss,
    cross_entropy_loss,
    dice_loss,
    focal_tversky_loss,
    inverse_dice_bce_loss,
    loss_from_recipe,
    structure_loss,
    switching_loss,
    weighted_dice_loss,
)
from edgeseg.train.recipe import TrainingRecipe, read_recipe
from edgeseg.train.targets import one_hot, targets_of

CASES: list[tuple[LossName, int]] = [
    *((name, 1) for name in LOSSES if name not in SEVERAL_CLASSES),
    *((name, 3) for name in sorted(SEVERAL_CLASSES | ANY_CLASSES)),
]
"""Every loss with every number of classes that it is for."""


def batch(classes: int, dtype: torch.dtype = torch.float32, side: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(8)
    labels = torch.randint(0, max(classes, 2), (2, 1, side, side), generator=generator).to(dtype)
    logits = torch.randn(2, classes, side, side, generator=generator, dtype=torch.float32).to(dtype)
    return logits, labels if classes == 1 else one_hot(labels, classes)


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


def test_every_loss_that_a_recipe_names_is_there() -> None:
    assert set(LOSSES) == set(get_args(LossName))


@pytest.mark.parametrize(("name", "classes"), CASES)
def test_gradients_are_those_of_finite_differences(name: LossName, classes: int) -> None:
    logits, target = batch(classes, torch.float64, side=3)
    judged = (torch.rand(2, 1, 3, 3, generator=torch.Generator().manual_seed(3)) < 0.8).double()
    for counted in ((), (judged,)):
        assert torch.autograd.gradcheck(lambda x: LOSSES[name](x, target, *counted), logits.clone().requires_grad_())  # noqa: B023


@pytest.mark.parametrize(("name", "classes"), CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_losses_are_finite_on_empty_and_full_masks_and_in_half_precision(
    name: LossName, classes: int, dtype: torch.dtype
) -> None:
    """At 352x352 the sums of a full mask are beyond FP16's largest value."""
    for label in (0.0, 1.0):
        for sure in (-30.0, 0.0, 30.0):
            labels = torch.full((1, 1, 352, 352), label)
            target = labels if classes == 1 else one_hot(labels, classes)
            logits = torch.full((1, classes, 352, 352), sure, dtype=dtype)
            logits[:, 0] = -sure if classes > 1 else sure
            logits.requires_grad_()
            loss = LOSSES[name](logits, target)
            loss.backward()
            assert bool(loss.isfinite()) and loss.dtype == torch.float32
            assert logits.grad is not None and bool(logits.grad.isfinite().all())


@pytest.mark.parametrize(("weights", "alpha", "beta"), [((1.0, 1.0), 0.5, 0.5), ((0.6, 1.4), 0.3, 0.7)])
@pytest.mark.parametrize("classes", [1, 3])
def test_weighted_dice_is_monais_tversky(weights: tuple[float, float], alpha: float, beta: float, classes: int) -> None:
    logits, target = batch(classes)
    oracle = TverskyLoss(
        sigmoid=classes == 1, softmax=classes > 1, alpha=alpha, beta=beta, smooth_nr=0.5, smooth_dr=0.5
    )
    training = TrainingRecipe(loss="weighted-dice", false_positive_weight=weights[0], false_negative_weight=weights[1])
    torch.testing.assert_close(loss_from_recipe(training)(logits, target), oracle(logits, target))
    if weights == (1.0, 1.0):
        torch.testing.assert_close(dice_loss(logits, target), oracle(logits, target))


def test_cross_entropy_is_pytorchs() -> None:
    logits, target = batch(3)
    torch.testing.assert_close(
        cross_entropy_loss(logits, target), torch.nn.functional.cross_entropy(logits, target.argmax(dim=1))
    )
    smoothed = targets_of(torch.zeros(2, 3, 12, 12), target.argmax(dim=1, keepdim=True).float(), 3, smoothing=0.05)
    torch.testing.assert_close(
        cross_entropy_loss(logits, smoothed),
        torch.nn.functional.cross_entropy(logits, target.argmax(dim=1), label_smoothing=0.1),
    )


def test_cross_entropy_of_one_channel_teaches_nothing_and_is_refused() -> None:
    logits, target = batch(1)
    logits.requires_grad_()
    for loss in (cross_entropy_loss(logits, target), torch.nn.CrossEntropyLoss()(logits, target)):
        (gradient,) = torch.autograd.grad(loss, logits)
        assert float(loss.detach()) == 0 and not gradient.any()
    with pytest.raises(UsageError, match="does not hold together") as caught:
        read_recipe(None, ["training.loss=cross-entropy"])
    assert "model.classes" in (caught.value.found or "")
    with pytest.raises(UsageError):
        read_recipe(None, ["training.loss=bce", 'model.classes=["background", "cat", "dog"]'])


def test_the_switching_loss_looks_at_what_there_is_less_of() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=(2, 1, 10, 10))
    for share in (0.2, 0.8):
        truth = (rng.random((2, 1, 10, 10)) < share).astype(float)
        p, t = (expit(values), truth) if share < 0.5 else (1 - expit(values), 1 - truth)
        axes = (1, 2, 3)
        expected = 1 - ((2 * (p * t).sum(axes) + 1) / (p.sum(axes) + t.sum(axes) + 1)).mean()
        found = switching_loss(torch.from_numpy(values), torch.from_numpy(truth))
        assert abs(float(found) - expected) < 1e-9


def test_inverse_dice_and_bce_are_written_out() -> None:
    rng = np.random.default_rng(6)
    values, t = rng.normal(size=(1, 1, 9, 9)), (rng.random((1, 1, 9, 9)) < 0.3).astype(float)
    p = expit(values)
    inverse = 1 - (2 * ((1 - p) * (1 - t)).sum() + 1) / ((1 - p).sum() + (1 - t).sum() + 1)
    entropy = -(t * np.log(p) + (1 - t) * np.log1p(-p)).mean()
    found = inverse_dice_bce_loss(torch.from_numpy(values), torch.from_numpy(t))
    assert abs(float(found) - inverse - entropy) < 1e-9


def test_focal_tversky_is_the_papers_formula() -> None:
    rng = np.random.default_rng(7)
    values, t = rng.normal(size=(3, 1, 9, 9)), (rng.random((3, 1, 9, 9)) < 0.3).astype(float)
    p, axes = expit(values), (1, 2, 3)
    hit, missed, false = (p * t).sum(axes), ((1 - p) * t).sum(axes), (p * (1 - t)).sum(axes)
    expected = ((1 - (hit + 1) / (hit + 0.7 * missed + 0.3 * false + 1)) ** (1 / (4 / 3))).mean()
    assert abs(float(focal_tversky_loss(torch.from_numpy(values), torch.from_numpy(t))) - expected) < 1e-9


def test_weights_of_misses_outweigh_false_alarms() -> None:
    target = torch.zeros(1, 1, 8, 8)
    target[..., :4] = 1
    missing, overflowing = target.clone(), target.clone()
    missing[..., 3], overflowing[..., 4] = 0, 1
    losses = [
        weighted_dice_loss((guess * 2 - 1) * 40, target, false_positive_weight=0.5, false_negative_weight=1.5)
        for guess in (missing, overflowing)
    ]
    assert float(losses[0]) > float(losses[1])


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
