import cv2
import numpy as np
import torch

from edgeseg.train.colour_exchange import exchange_colours


def scopes(height: int = 48) -> torch.Tensor:
    """Four pictures, each with the colours of another scope, none of it dark."""
    torch.manual_seed(3)
    base = torch.rand(4, 3, height, height) * 0.25
    tints = torch.tensor([[0.5, 0.3, 0.25], [0.6, 0.45, 0.4], [0.4, 0.3, 0.3], [0.65, 0.35, 0.25]])
    return base + tints[:, :, None, None]


def lab_means(images: torch.Tensor) -> np.ndarray:
    """By OpenCV's conversion, which takes float32 RGB in 0..1."""
    return np.array([cv2.cvtColor(i.permute(1, 2, 0).numpy(), cv2.COLOR_RGB2LAB).mean(axis=(0, 1)) for i in images])


def test_colours_move_towards_another_picture_and_nowhere_else() -> None:
    images = scopes()
    before = images.clone()
    own = lab_means(images)
    seen_far = False
    for seed in range(6):
        torch.manual_seed(seed)
        changed = exchange_colours(images, 1.0)
        assert torch.equal(images, before)
        assert changed.shape == images.shape and float(changed.min()) >= 0 and float(changed.max()) <= 1
        for index, mean in enumerate(lab_means(changed)):
            on_the_way = []
            for other in range(4):
                if other == index:
                    continue
                way = own[other] - own[index]
                reach = float((mean - own[index]) @ way / (way @ way))
                distance = float(np.linalg.norm(own[index] + reach * way - mean))
                on_the_way.append(distance < 1.0 and -0.05 <= reach <= 1.05)
                seen_far |= distance < 1.0 and reach > 0.7
            assert any(on_the_way)
    assert seen_far


def test_what_is_dark_stays_and_nothing_happens_without_a_partner() -> None:
    images = scopes()
    images[:, :, :10] = 0
    torch.manual_seed(0)
    changed = exchange_colours(images, 1.0)
    assert torch.equal(changed[:, :, :10], images[:, :, :10])
    assert (changed[:, :, 10:] != images[:, :, 10:]).flatten(1).any(dim=1).all()
    assert exchange_colours(images, 0.0) is images
    assert torch.equal(exchange_colours(images[:1], 1.0), images[:1])


def test_pictures_of_one_colour_stay_finite() -> None:
    flat = torch.stack([torch.full((3, 16, 16), 0.0), torch.full((3, 16, 16), 1.0), torch.full((3, 16, 16), 0.5)])
    assert exchange_colours(flat, 1.0).isfinite().all()
