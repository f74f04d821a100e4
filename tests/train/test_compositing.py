import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.train.compositing import LARGEST_COVERED, POLYP_SIDES, cover_polyps, paste_polyps
from edgeseg.train.samples import IGNORED

GREEN, GREY = torch.tensor([0.2, 0.8, 0.2]), torch.tensor([0.5, 0.5, 0.5])


def batch(positives: int = 3, negatives: int = 3, side: int = 128) -> tuple[torch.Tensor, torch.Tensor]:
    """Grey pictures; the first ones have a green square as their polyp."""
    count = positives + negatives
    images = GREY.view(1, 3, 1, 1).expand(count, 3, side, side).clone()
    masks = torch.zeros(count, 1, side, side)
    for index in range(positives):
        place = (slice(None), slice(20, 20 + side // 3), slice(30, 30 + side // 3))
        images[index][place] = GREEN.view(3, 1, 1)
        masks[index][place] = 1
    return images, masks


def test_pasting_changes_pictures_without_a_polyp_alone_and_marks_what_it_pasted() -> None:
    images, masks = batch()
    before = images.clone(), masks.clone()
    torch.manual_seed(1)
    pasted, marked = paste_polyps(images, masks, 1.0)
    assert torch.equal(images, before[0]) and torch.equal(masks, before[1])
    assert torch.equal(pasted[:3], images[:3]) and torch.equal(marked[:3], masks[:3])
    for image, mask in zip(pasted[3:], marked[3:], strict=True):
        inside = mask[0] > 0
        rows, columns = inside.any(dim=1).sum(), inside.any(dim=0).sum()
        assert POLYP_SIDES[0] * 128 - 3 <= max(rows, columns) <= POLYP_SIDES[1] * 128 + 1
        green = image[1] - image[0]
        assert float(green[inside].mean()) > 0.3, "the polyp lies where the mask says"
        assert float(green[~inside].mean()) < 0.02


def test_an_edge_is_soft_and_the_surroundings_stay() -> None:
    images, masks = batch(1, 1)
    torch.manual_seed(2)
    pasted, marked = paste_polyps(images, masks, 1.0)
    strength = (pasted[1, 1] - 0.5) / (0.8 - 0.5)
    assert ((strength > 0.1) & (strength < 0.9)).any()
    far = torch.nn.functional.max_pool2d(marked[1:], 31, stride=1, padding=15)[0, 0] == 0
    assert torch.equal(pasted[1][:, far], images[1][:, far])


def test_dark_pictures_get_no_polyp_and_a_batch_without_polyps_stays() -> None:
    images, masks = batch()
    images[3:] = 0
    assert torch.equal(paste_polyps(images, masks, 1.0)[1], masks)
    empty, nothing = batch(0, 4)
    for change in (paste_polyps, cover_polyps):
        assert torch.equal(change(empty, nothing, 1.0)[0], empty)


def test_covering_shows_a_picture_of_the_batch_without_its_polyp() -> None:
    images, masks = batch()
    images[3:] += 0.1
    before = images.clone()
    torch.manual_seed(0)
    covered, unchanged = cover_polyps(images, masks, 1.0)
    assert torch.equal(images, before) and torch.equal(unchanged, masks)
    assert torch.equal(covered[:3], images[:3])
    green = covered[3:, 1] - covered[3:, 0]
    assert float(green.max()) < 0.05, "no green is left, edges included"
    assert float((covered[3:] - 0.5).abs().max()) < 0.05, "the cover has the colour around the polyp"


def test_large_polyps_are_not_covered() -> None:
    images, masks = batch()
    masks[:3] = 1
    assert LARGEST_COVERED < 1
    assert torch.equal(cover_polyps(images, masks, 1.0)[0], images)


def test_pixels_that_nobody_may_judge_go_along_and_are_covered_too() -> None:
    images, masks = batch(1, 3)
    masks[:1, :, 20:40] = torch.where(masks[:1, :, 20:40] > 0, float(IGNORED), 0.0)
    torch.manual_seed(0)
    assert set(paste_polyps(images, masks, 1.0)[1][1:].unique().tolist()) == {0.0, 1.0, float(IGNORED)}
    covered = cover_polyps(images, masks, 1.0)[0][1:]
    assert float((covered[:, 1] - covered[:, 0]).max()) < 0.05
    masks[:1] = torch.where(masks[:1] > 0, float(IGNORED), 0.0)
    assert torch.equal(paste_polyps(images, masks, 1.0)[0], images), "nothing is known to be a polyp"


@settings(max_examples=25, deadline=None)
@given(height=st.integers(32, 90), width=st.integers(32, 90), data=st.data(), seed=st.integers(0, 2**20))
def test_any_polyp_in_any_picture(height: int, width: int, data: st.DataObject, seed: int) -> None:
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    bottom, right = data.draw(st.integers(top + 1, height)), data.draw(st.integers(left + 1, width))
    torch.manual_seed(seed)
    images, masks = torch.rand(3, 3, height, width), torch.zeros(3, 1, height, width)
    masks[0, :, top:bottom, left:right] = 1
    for change in (paste_polyps, cover_polyps):
        changed, marked = change(images, masks, 1.0)
        assert changed.shape == images.shape and float(changed.min()) >= 0 and float(changed.max()) <= 1
        assert set(marked.unique().tolist()) <= {0.0, 1.0}
        assert torch.equal(changed[0], images[0])


@pytest.mark.parametrize("change", [paste_polyps, cover_polyps])
def test_the_probability_is_kept(change) -> None:
    images, masks = batch(1, 400, 32)
    images[1:] += 0.1
    torch.manual_seed(4)
    changed, _ = change(images, masks, 0.25)
    share = float((changed[1:] != images[1:]).flatten(1).any(dim=1).float().mean())
    assert 0.15 < share < 0.35
