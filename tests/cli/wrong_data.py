"""Labelled pictures for a network that marks what is red, and the ways in which people's data are wrong."""

from collections.abc import Callable

import cv2
import numpy as np

SIZE_PX, COUNT = 64, 12
Picture = np.ndarray
Pair = tuple[Picture, Picture]
Data = Callable[[list[Pair]], list[Pair]]
FAILED, INPUT, MISMATCH = 3, 5, 6


def right_data() -> list[Pair]:
    """A red disc anywhere on a ground of blue and green, uint8 [H,W,3] RGB, and its mask."""
    pairs, (y, x) = [], np.mgrid[:SIZE_PX, :SIZE_PX]
    for index in range(COUNT):
        generator = np.random.default_rng(index)
        coarse = generator.integers(40, 120, (6, 6, 3), dtype=np.uint8)
        frame = cv2.resize(coarse, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_CUBIC)
        frame[..., 0] = frame[..., 1]
        cy, cx, radius = (*generator.integers(14, SIZE_PX - 14, 2), generator.integers(8, 13))
        mask = np.where((y - cy) ** 2 + (x - cx) ** 2 <= radius**2, 255, 0).astype(np.uint8)
        frame[mask > 0] = (220, 60, 60)
        pairs.append((frame, mask))
    return pairs


def masks(change: Callable[[Picture], Picture]) -> Data:
    return lambda pairs: [(frame, change(mask)) for frame, mask in pairs]


def images(change: Callable[[Picture], Picture]) -> Data:
    return lambda pairs: [(change(frame), mask) for frame, mask in pairs]


def both(change: Callable[[int, Picture, Picture], Pair]) -> Data:
    return lambda pairs: [change(index, frame, mask) for index, (frame, mask) in enumerate(pairs)]


def shuffled_masks(pairs: list[Pair]) -> list[Pair]:
    return [(frame, pairs[(index + 5) % COUNT][1]) for index, (frame, _) in enumerate(pairs)]


def noise(shape: tuple[int, ...]) -> Picture:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def box(mask: Picture) -> Picture:
    made = np.zeros_like(mask)
    made[20:40, 20:40] = 255
    return made


def edges(mask: Picture) -> Picture:
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)))


def instruments(mask: Picture) -> Picture:
    """The mask of another task: a bar from the border."""
    made = np.zeros_like(mask)
    made[-8:, : 8 + int(mask.sum()) % 40] = 255
    return made


def around(mask: Picture) -> Picture:
    """A ring about the polyp: a border that was to be ignored, saved as if it were the mask."""
    wide = cv2.dilate(mask, np.ones((5, 5), np.uint8))
    return np.where((wide > 0) & (mask == 0), 255, 0).astype(np.uint8)


def labels(mask: Picture) -> Picture:
    made = (mask // 255).astype(np.uint8)
    made[:4] = 2
    return made


def coloured(mask: Picture) -> Picture:
    made = np.zeros((*mask.shape, 3), np.uint8)
    made[mask > 0] = (255, 0, 0)
    made[:4] = (0, 255, 0)
    return made


def crop(frame: Picture) -> Picture:
    """The middle of the picture at the picture's size: it was cropped before resizing, its mask was not."""
    return np.asarray(cv2.resize(frame[16:48, 16:48], (SIZE_PX, SIZE_PX)))


NOTHING_FOUND = r"finds the polyp of none|marks nothing|below --min-reference-dice"
WRONG_DATA: dict[str, tuple[Data, int, str]] = {
    "masks inverted": (masks(lambda mask: 255 - mask), INPUT, "background and polyp exchanged"),
    "masks shuffled": (shuffled_masks, FAILED, NOTHING_FOUND),
    "masks of one other image": (lambda pairs: [(frame, pairs[3][1]) for frame, _ in pairs], FAILED, NOTHING_FOUND),
    "masks shifted": (masks(lambda mask: np.roll(mask, 20, axis=1)), FAILED, NOTHING_FOUND),
    "masks upside down": (masks(lambda mask: mask[::-1]), FAILED, NOTHING_FOUND),
    "masks mirrored": (masks(lambda mask: mask[:, ::-1]), FAILED, NOTHING_FOUND),
    "masks transposed": (masks(lambda mask: mask.T), FAILED, "fit the ground truth better transposed"),
    "masks empty": (masks(np.zeros_like), FAILED, "ground truth marks nothing"),
    "masks full": (masks(lambda mask: np.full_like(mask, 255)), FAILED, NOTHING_FOUND),
    "masks constant": (masks(box), FAILED, NOTHING_FOUND),
    "masks of noise": (masks(lambda mask: np.where(noise(mask.shape) > 127, 255, 0).astype(np.uint8)), FAILED, "below"),
    "masks of another task": (masks(instruments), FAILED, NOTHING_FOUND),
    "masks of outlines": (masks(edges), FAILED, NOTHING_FOUND),
    "masks of ignored borders": (masks(around), FAILED, NOTHING_FOUND),
    "masks of specks": (masks(lambda mask: cv2.erode(mask, np.ones((13, 13), np.uint8))), FAILED, NOTHING_FOUND),
    "masks of everything but a corner": (
        masks(lambda m: np.pad(np.full((60, 60), 255, np.uint8), ((4, 0), (4, 0)))),
        FAILED,
        NOTHING_FOUND,
    ),
    "most masks empty": (both(lambda i, frame, mask: (frame, mask if i < 4 else mask * 0)), FAILED, "at least 6"),
    "masks of labels": (masks(labels), INPUT, "several classes"),
    "masks of colours": (masks(coloured), INPUT, "several colours"),
    "masks of three greys": (
        masks(lambda mask: np.where(np.arange(64) < 9, 90, mask).astype(np.uint8)),
        INPUT,
        "clear grey levels",
    ),
    "masks in two codings": (
        both(lambda i, frame, mask: (frame, mask if i % 2 else mask // 255)),
        INPUT,
        "two codings",
    ),
    "masks of another size": (masks(lambda mask: mask[::2, ::2]), INPUT, "differ in size"),
    "images black": (images(np.zeros_like), FAILED, "the reference marks nothing on all 12 images"),
    "images white": (images(lambda frame: np.full_like(frame, 255)), FAILED, NOTHING_FOUND),
    "images of noise": (images(lambda frame: noise(frame.shape)), FAILED, NOTHING_FOUND),
    "images all the same": (lambda pairs: [(pairs[0][0], mask) for _, mask in pairs], FAILED, NOTHING_FOUND),
    "images negative": (images(lambda frame: 255 - frame), FAILED, NOTHING_FOUND),
    "images BGR": (images(lambda frame: frame[..., ::-1]), FAILED, NOTHING_FOUND),
    "images grey": (images(lambda frame: np.dstack([frame[..., 1]] * 3)), FAILED, NOTHING_FOUND),
    "images nearly dark": (images(lambda frame: frame // 6), FAILED, NOTHING_FOUND),
    "images shifted": (images(lambda frame: np.roll(frame, 24, axis=0)), FAILED, NOTHING_FOUND),
    "images upside down": (images(lambda frame: frame[::-1, ::-1]), FAILED, NOTHING_FOUND),
    "images cropped, masks not": (images(crop), FAILED, "below --min-reference-dice"),
    "images with scrambled rows": (
        images(lambda f: f[np.random.default_rng(1).permutation(SIZE_PX)]),
        FAILED,
        NOTHING_FOUND,
    ),
    "few images": (lambda pairs: pairs[:5], FAILED, "at least 6 are needed"),
}
