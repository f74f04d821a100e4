"""Wrong data, wrong networks and both: none of them passes, and each reason says what is wrong."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeseg.artifacts import Verdict, VerdictLimits
from edgeseg.dataset import Pair, load_pairs
from edgeseg.images import write_png
from edgeseg.proof.verdict.engine_verdict import Demands
from edgeseg.proof.verdict.plausibility import MIN_REFERENCE_DICE
from edgeseg.proof.verdict.rules import limits_for
from edgeseg.proof.verdict.thumbnails import Thumbnails, constant, shuffled, thumbnail
from edgeseg.proof.verdict.verdict_page import render_page
from edgeseg.proof.verdict.verification import verify
from tests.proof.verdict.answers import SIZE_PX, Answer, inverse, marking, network, of_nan, right, speckles

COUNT = 12
Masks = list[np.ndarray]


nothing, everything, band = marking(slice(0)), marking(slice(None)), marking(slice(16, 32))


def blobs(seed: int) -> Masks:
    """A disc anywhere in each picture."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX]
    centres = generator.integers(8, SIZE_PX - 8, (COUNT, 2))
    radii = generator.integers(6, 12, COUNT)
    return [
        np.where((y - cy) ** 2 + (x - cx) ** 2 <= radius**2, 255, 0).astype(np.uint8)
        for (cy, cx), radius in zip(centres, radii, strict=True)
    ]


def frames_of(masks: Masks) -> Masks:
    return [np.repeat(np.where(mask > 0, 200, 50 + index)[..., None], 3, 2) for index, mask in enumerate(masks)]


def noise(_: Masks) -> Masks:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (SIZE_PX, SIZE_PX, 3)) for _ in range(COUNT)]


def same(masks: Masks) -> Masks:
    return masks


WRONG_MASKS: dict[str, Callable[[Masks], Masks]] = {
    "masks of another split": lambda _: blobs(99),
    "all-black masks": lambda masks: [np.zeros_like(mask) for mask in masks],
    "all-white masks": lambda masks: [np.full_like(mask, 255) for mask in masks],
    "shuffled pairs": lambda masks: [*masks[1:], masks[0]],
    "inverted masks": lambda masks: [255 - mask for mask in masks],
    "upside down": lambda masks: [mask[::-1, ::-1] for mask in masks],
}
WRONG_NETWORKS: dict[str, tuple[Answer, Answer]] = {
    "untrained": (speckles, speckles),
    "untrained engine": (speckles, right),
    "untrained reference": (right, speckles),
    "blind": (nothing, nothing),
    "blind engine": (nothing, right),
    "blind reference": (right, nothing),
    "marks everything": (everything, everything),
    "engine marks everything": (everything, right),
    "reference marks everything": (right, everything),
    "the same band": (band, band),
    "engine marks a band": (band, right),
    "reference marks a band": (right, band),
    "inverted": (inverse, inverse),
    "engine inverted": (inverse, right),
    "NaN": (of_nan, right),
}


def write(root: Path, frames: Masks, masks: Masks) -> list[Pair]:
    for index, (frame, mask) in enumerate(zip(frames, masks, strict=True)):
        write_png(root / "test" / "images" / f"{index:02d}.png", frame.astype(np.uint8))
        write_png(root / "test" / "masks" / f"{index:02d}.png", np.ascontiguousarray(mask))
    return load_pairs(root, "test")


def verdict_on(pairs: list[Pair], engine: Answer, reference: Answer, **limits: float) -> Verdict:
    asked = limits_for("int8", limits.pop("max_dice_drop", None), None, **limits)  # type: ignore[arg-type]
    return verify(network(engine), network(reference, "b"), pairs, asked)


@pytest.fixture
def pairs(tmp_path: Path) -> list[Pair]:
    masks = blobs(1)
    return write(tmp_path / "data", frames_of(masks), masks)


def test_a_right_network_on_right_data_passes(pairs: list[Pair]) -> None:
    verdict = verdict_on(pairs, right, right)
    assert verdict.passed is True and len(verdict.reasons) == 1
    assert (verdict.limits.min_reference_dice, verdict.limits.min_agreement) == (MIN_REFERENCE_DICE, 0.7)
    assert verdict.reference_shuffled_dice is not None and verdict.reference_shuffled_dice < 0.3
    assert Verdict.from_json(verdict.to_json()) == verdict


@pytest.mark.parametrize("engine", [right, speckles, nothing, everything, band, inverse, of_nan])
@pytest.mark.parametrize("wrong", WRONG_MASKS, ids=str)
def test_no_network_passes_on_wrong_masks(tmp_path: Path, wrong: str, engine: Answer) -> None:
    masks = blobs(1)
    pairs = write(tmp_path / "data", frames_of(masks), WRONG_MASKS[wrong](masks))
    reference = right if engine is of_nan else engine
    if (wrong, engine) == ("inverted masks", inverse):
        return  # the right network for these masks
    verdict = verdict_on(pairs, engine, reference)
    assert verdict.passed is not True, verdict.reasons
    assert verdict_on(pairs, engine, reference, max_dice_drop=1.0, max_lost_polyps=COUNT).passed is not True


def test_other_images_do_not_pass(tmp_path: Path) -> None:
    masks = blobs(1)
    verdict = verdict_on(write(tmp_path / "data", noise(masks), masks), right, right)
    assert verdict.passed == "undecided"
    assert "below --min-reference-dice 0.4" in " ".join(verdict.reasons)


@pytest.mark.parametrize("wrong", WRONG_NETWORKS, ids=str)
def test_no_wrong_network_passes(pairs: list[Pair], wrong: str) -> None:
    assert verdict_on(pairs, *WRONG_NETWORKS[wrong]).passed is not True


@pytest.mark.parametrize(
    ("networks", "outcome", "reason"),
    [
        ("blind", "undecided", "the reference marks nothing on all 12 images"),
        ("blind engine", False, "the engine marks nothing on all 12 images"),
        ("marks everything", "undecided", "the reference marks the whole picture on all 12 images"),
        ("engine marks everything", False, "the engine marks the whole picture on all 12 images"),
        ("the same band", "undecided", "the reference marks the same pixels on all 12 images"),
        ("engine marks a band", False, "the engine marks the same pixels on all 12 images"),
        ("untrained", "undecided", "the reference finds the polyp of none of 12 images that show one"),
        ("untrained reference", False, "the engine's masks agree with the reference's to a mean Dice of"),
    ],
)
def test_what_is_wrong_is_named(pairs: list[Pair], networks: str, outcome: object, reason: str) -> None:
    verdict = verdict_on(pairs, *WRONG_NETWORKS[networks])
    assert verdict.passed == outcome
    assert reason in "\n".join(verdict.reasons)
    assert reason.replace("'", "&#39;") in render_page(verdict, [])


def test_masks_that_fit_any_image_are_named_even_above_the_floor(tmp_path: Path) -> None:
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX]
    masks = [
        np.where((y - 24 - shift % 7) ** 2 + (x - 20 - shift) ** 2 <= 18**2, 255, 0).astype(np.uint8)
        for shift in range(COUNT)
    ]
    verdict = verdict_on(write(tmp_path / "data", frames_of(masks), masks[5:] + masks[:5]), right, right)
    assert verdict.reference_mean_dice > MIN_REFERENCE_DICE
    assert verdict.passed == "undecided"
    assert "does each mask belong to its image?" in verdict.reasons[0]


def shrunk(share: float) -> Answer:
    """Right but for the upper part of the picture."""

    def answer(frame: np.ndarray) -> np.ndarray:
        probability = right(frame)
        probability[: int(share * SIZE_PX)] = 0.1
        return probability

    return answer


def test_a_gain_needs_a_reason(pairs: list[Pair]) -> None:
    verdict = verdict_on(pairs, right, shrunk(0.3))
    gain = -verdict.mean_dice_drop
    assert gain > 0.05 and verdict.passed == "undecided"
    assert "more than chance explains" in verdict.reasons[0]
    assert verdict_on(pairs, right, shrunk(0.3), max_dice_drop=-gain / 2).passed is True
    assert verdict_on(pairs, right, shrunk(0.3), max_dice_drop=-2 * gain).passed is False
    assert verdict_on(pairs, right, shrunk(0.3), max_dice_drop=1.01 * gain).passed is True


def test_a_gain_that_chance_explains_is_told_and_passes(pairs: list[Pair]) -> None:
    first = pairs[0].read()[0]

    def but_for_one(frame: np.ndarray) -> np.ndarray:
        return shrunk(1)(frame) if np.array_equal(frame, first) else right(frame)

    verdict = verdict_on(pairs, right, but_for_one)
    assert verdict.passed is True
    assert any(reason.startswith("warning: mean Dice gain 0.0833 is larger") for reason in verdict.reasons)


def test_the_floors_can_be_set(pairs: list[Pair]) -> None:
    half = shrunk(0.5)
    reached = verdict_on(pairs, half, half).reference_mean_dice
    assert verdict_on(pairs, half, half, min_reference_dice=reached - 0.01).passed is True
    assert verdict_on(pairs, half, half, min_reference_dice=reached + 0.01).passed == "undecided"
    agreement = verdict_on(pairs, half, right).mean_agreement
    loose = {"max_dice_drop": 1.0}
    assert verdict_on(pairs, half, right, **loose, min_agreement=agreement - 0.01).passed is True
    assert verdict_on(pairs, half, right, **loose, min_agreement=agreement + 0.01).passed is False
    assert Demands().min_agreement is None


def test_images_without_a_polyp_lift_no_floor(tmp_path: Path) -> None:
    masks = blobs(1)
    frames, empty = frames_of(masks), [np.zeros((SIZE_PX, SIZE_PX), np.uint8)] * 60
    dark = [np.full((SIZE_PX, SIZE_PX, 3), 20, np.uint8)] * 60
    pairs = write(tmp_path / "data", [*frames, *dark], [*masks[1:], masks[0], *empty])
    verdict = verdict_on(pairs, right, right)
    assert verdict.reference_mean_dice > 0.8 and verdict.passed == "undecided"


def test_an_older_verdict_is_still_read(pairs: list[Pair]) -> None:
    older = verdict_on(pairs, right, right).to_dict()
    del older["reference_shuffled_dice"], older["limits"]["min_reference_dice"], older["limits"]["min_agreement"]
    for row in older["rows"]:
        del row["marked"], row["reference_marked"]
    verdict = Verdict.model_validate(older)
    assert verdict.limits == VerdictLimits(max_dice_drop=0.005)
    assert "What chance reaches" not in render_page(verdict, [])


@pytest.mark.parametrize(
    ("how", "turn"),
    [
        ("mirrored", lambda mask: mask[:, ::-1]),
        ("upside down", lambda mask: mask[::-1]),
        ("turned by 180 degrees", lambda mask: mask[::-1, ::-1]),
        ("transposed", lambda mask: mask.T),
        ("turned by 90 degrees", lambda mask: np.rot90(mask, -1)),
        ("turned by 270 degrees", lambda mask: np.rot90(mask, 1)),
        ("transposed the other way", lambda mask: np.rot90(mask, 2).T),
    ],
)
def test_large_polyps_in_the_middle_do_not_hide_masks_that_were_turned(tmp_path: Path, how: str, turn) -> None:
    """The reference's Dice stays above its floor, and each mask belongs to its image."""
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX]
    places = np.random.default_rng(3).integers(14, 34, (COUNT, 2))
    masks = [np.where((y - a) ** 2 / 2 + (x - b) ** 2 <= 100, 255, 0).astype(np.uint8) for a, b in places]
    assert verdict_on(write(tmp_path / "right", frames_of(masks), masks), right, right).passed is True
    turned = [np.ascontiguousarray(turn(mask)) for mask in masks]
    verdict = verdict_on(write(tmp_path / "turned", frames_of(masks), turned), right, right, min_reference_dice=0.1)
    assert verdict.passed == "undecided"
    assert f"fit the ground truth better {how} (mean Dice" in "\n".join(verdict.reasons)


def test_thumbnails_by_hand() -> None:
    left, right_half = np.zeros((10, 128), np.uint8), np.zeros((10, 128), np.uint8)
    left[:, :64], right_half[:, 64:] = 1, 1
    small = [thumbnail(mask) for mask in (left, right_half)]
    assert [int(np.unpackbits(bits).sum()) for bits in small] == [2048, 2048]
    assert constant([small[0]] * 2, small) == "the same"
    assert constant([small[0]] * 2, [small[1]] * 2) is None
    found = shuffled([Thumbnails(small[0], small[0], None), Thumbnails(small[1], small[1], None)])
    assert found is not None
    assert (found.reference_dice, found.truth_dice, found.own_dice, found.skill) == (0, 0, 1, 1)
    assert shuffled([Thumbnails(small[0], small[0], None)]) is None
