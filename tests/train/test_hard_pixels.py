import numpy as np
import pytest
import torch

from edgeseg.errors import UsageError
from edgeseg.train.hard_pixels import hard_pixel_loss, with_hard_pixels
from edgeseg.train.losses import bce_loss
from edgeseg.train.recipe import read_recipe


def reference(logits: np.ndarray, target: np.ndarray, share: float) -> float:
    """The definition in numpy, with all pixels sorted."""
    probability = 1 / (1 + np.exp(-logits))
    entropy = -(target * np.log(probability) + (1 - target) * np.log(1 - probability)).reshape(len(logits), -1)
    count = max(round(share * entropy.shape[1]), 1)
    return float(np.sort(entropy, axis=1)[:, -count:].mean())


@pytest.mark.parametrize("share", [1e-6, 0.01, 0.3, 1.0])
def test_against_sorted_pixels(share: float) -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(3, 1, 20, 15, dtype=torch.float64), torch.rand(3, 1, 20, 15, dtype=torch.float64)
    assert float(hard_pixel_loss(logits, target, share)) == pytest.approx(
        reference(logits.numpy(), target.numpy(), share)
    )


def test_all_pixels_are_plain_cross_entropy_and_none_is_no_term() -> None:
    torch.manual_seed(1)
    logits, target = torch.randn(2, 1, 8, 8), (torch.rand(2, 1, 8, 8) > 0.5).float()
    torch.testing.assert_close(hard_pixel_loss(logits, target, 1.0), bce_loss(logits, target))
    assert with_hard_pixels(bce_loss, 0.0) is bce_loss
    both = with_hard_pixels(bce_loss, 0.1)(logits, target)
    torch.testing.assert_close(both, bce_loss(logits, target) + hard_pixel_loss(logits, target, 0.1))


def test_a_small_false_mark_weighs_what_a_large_one_does() -> None:
    target = torch.zeros(1, 1, 64, 64)
    small, large = torch.full_like(target, -8.0), torch.full_like(target, -8.0)
    small[..., :7, :7], large[..., :32, :32] = 4.0, 4.0
    assert float(hard_pixel_loss(small, target, 0.01)) == pytest.approx(float(hard_pixel_loss(large, target, 0.01)))
    assert float(bce_loss(large, target)) > 15 * float(bce_loss(small, target))


def test_several_classes_are_refused() -> None:
    classes = ['model.classes=["background", "polyp"]', "training.loss=cross-entropy"]
    with pytest.raises(UsageError, match="hard_pixels is for one class"):
        read_recipe(None, [*classes, "training.hard_pixels=0.1"])


def test_ignored_pixels_are_not_among_the_hardest() -> None:
    logits, target, judged = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    logits[..., 0, 0], judged[..., 0, 0] = 30.0, 0.0
    assert float(hard_pixel_loss(logits, target, 0.05, judged)) == pytest.approx(np.log(2))
