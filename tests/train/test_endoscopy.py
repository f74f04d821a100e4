import pytest
import torch

from edgeseg.train.endoscopy import (
    DEGRADATIONS,
    Degradation,
    combing,
    dark_border,
    glare,
    highlights,
    motion_blur,
    sometimes,
)


def tissue(count: int = 4, height: int = 64, width: int = 96) -> torch.Tensor:
    torch.manual_seed(7)
    return 0.3 + 0.3 * torch.rand(count, 3, height, width)


@pytest.mark.parametrize("degradation", DEGRADATIONS, ids=lambda degradation: degradation.__name__)
def test_a_degradation_changes_every_picture_and_not_its_argument(degradation: Degradation) -> None:
    images = tissue()
    before = images.clone()
    torch.manual_seed(1)
    changed = degradation(images)
    assert changed.shape == images.shape
    assert torch.equal(images, before)
    assert (changed != images).flatten(1).any(dim=1).all()
    assert changed.isfinite().all()
    torch.manual_seed(1)
    assert torch.equal(degradation(images), changed)


def test_combing_moves_odd_rows_sideways_alone() -> None:
    images = tissue()
    combed = combing(images)
    assert torch.equal(combed[:, :, ::2], images[:, :, ::2])
    assert torch.equal(combed[:, :, 1::2].sort(dim=-1).values, images[:, :, 1::2].sort(dim=-1).values)


def test_highlights_brighten_what_is_lit_and_leave_the_dark_alone() -> None:
    images = tissue(16, 128, 128)
    images[:, :, :, :64] = 0
    bright = highlights(images)
    assert torch.equal(bright[..., :64], images[..., :64])
    assert (bright >= images).all()
    share = float((bright[..., 64:] > 0.95).all(dim=1).float().mean())
    assert 0.001 < share < 0.2


def test_glare_goes_towards_white_on_one_side() -> None:
    images = torch.zeros(64, 3, 32, 32)
    washed = glare(images)
    assert (washed >= 0).all() and (washed <= 1).all()
    spread = washed.mean(dim=1).flatten(1)
    assert float((spread.amax(dim=1) - spread.amin(dim=1)).max()) > 0.5


def test_a_dark_border_blackens_the_corners_and_keeps_the_middle() -> None:
    images = tissue(32)
    framed = dark_border(images)
    assert not framed[:, :, 0, 0].any()
    assert torch.equal(framed[:, :, 20:44, 30:66], images[:, :, 20:44, 30:66])


def test_motion_blur_keeps_flat_tissue_and_smears_an_edge() -> None:
    flat = torch.full((1, 3, 32, 32), 0.4)
    assert torch.allclose(motion_blur(flat), flat, atol=1e-6)
    torch.manual_seed(2)
    point = torch.zeros(1, 3, 33, 33)
    point[..., 16, 16] = 1
    smeared = motion_blur(point)
    assert float(smeared.sum()) == pytest.approx(3.0, abs=1e-4)
    assert float(smeared.max()) < 0.5


def test_a_coin_of_zero_is_no_work_and_of_one_is_all() -> None:
    images = tissue()
    assert sometimes(images, 0.0, combing) is images
    assert (sometimes(images, 1.0, combing) != images).flatten(1).any(dim=1).all()


@pytest.mark.parametrize(
    "degradation", [one for one in DEGRADATIONS if one not in (combing, motion_blur)], ids=lambda one: one.__name__
)
def test_what_a_degradation_draws_lies_where_the_pictures_are(degradation: Degradation) -> None:
    """The device `meta` computes nothing and, as a GPU, refuses tensors of the CPU; two others read what they drew."""
    images = torch.empty(2, 3, 32, 48, device="meta")
    with images.device:
        assert degradation(images).device == images.device
