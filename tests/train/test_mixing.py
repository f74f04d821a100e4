import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.train.mixing import mosaic


def numbered(count: int, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures that each show their own number all over, and a mask in every other one."""
    images = torch.arange(count).float().view(count, 1, 1, 1).expand(count, 3, side, side) / 16
    masks = (torch.arange(count) % 2).float().view(count, 1, 1, 1).expand(count, 1, side, side)
    return images, masks


@settings(deadline=None)  # the first call of an operation loads code
@given(st.integers(1, 12), st.integers(1, 8), st.integers(0, 1000))
def test_each_quarter_is_a_whole_picture_with_its_own_mask(count: int, half: int, seed: int) -> None:
    images, masks = numbered(count, 2 * half)
    torch.manual_seed(seed)
    mixed, moved = mosaic(images, masks, 1.0)
    assert mixed.shape == images.shape
    for rows in (slice(0, half), slice(half, None)):
        for columns in (slice(0, half), slice(half, None)):
            quarter, mask = mixed[:, :, rows, columns], moved[:, :, rows, columns]
            number = (quarter[:, 0, 0, 0] * 16).round().long()
            assert torch.equal(quarter, images[number][:, :, rows, columns])
            assert torch.equal(mask, masks[number][:, :, rows, columns])


def test_a_mosaic_keeps_a_lone_pixel_of_the_mask() -> None:
    images, masks = torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)
    masks[0, 0, 3, 5] = 1
    assert float(mosaic(images, masks, 1.0)[1].sum()) == 4


def test_the_probability_is_a_share_of_the_pictures() -> None:
    images, masks = numbered(16, 4)
    torch.manual_seed(0)
    assert mosaic(images, masks, 0.0)[0] is images
    changed = sum(int((mosaic(images, masks, 0.3)[0] != images).flatten(1).any(dim=1).sum()) for _ in range(200))
    assert 0.2 < changed / (200 * 16) < 0.35
