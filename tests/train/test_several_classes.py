"""Several classes from masks of labels to a verdict, their border ignored."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchmetrics.functional.segmentation import dice_score

from edgeseg.artifacts import Verdict
from edgeseg.calibration.ranges import calibrate
from edgeseg.class_overlap import class_overlaps, class_scores, mean_overlap
from edgeseg.dataset import load_images, load_pairs
from edgeseg.errors import BadInputError
from edgeseg.export.builders.builder import BuildRequest
from edgeseg.export.builders.onnxruntime_builder import OnnxRuntimeBuilder
from edgeseg.export.torch.onnx_from_run import export_run
from edgeseg.frames import resize_to_network
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.images import write_png
from edgeseg.metrics import score_image
from edgeseg.proof.evaluation.evaluation_page import render_page
from edgeseg.proof.evaluation.evaluation_results import EvaluationRequest, evaluate_models
from edgeseg.proof.evaluation.measurement import Material
from edgeseg.proof.verdict.evaluation import evaluate, mean_overlap_of
from edgeseg.proof.verdict.rules import limits_for
from edgeseg.proof.verdict.verification import verify
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.video.overlay import CLASS_COLOURS, draw
from edgeseg.runtime.video.picture import Picture
from edgeseg.train.predictor import open_run
from edgeseg.train.recipe import Recipe, read_recipe
from edgeseg.train.samples import IGNORED, load_samples
from edgeseg.train.training import train

CLASSES = ("background", "cat", "dog")
SETTINGS = (
    'model.classes=["background", "cat", "dog"]',
    "model.height=32",
    "model.width=32",
    "model.base_width=8",
    "model.depth=2",
    "training.loss=cross-entropy+dice",
    "training.epochs=12",
    "training.batch_size=4",
    "training.learning_rate=1e-2",
    "training.precision=32-true",
    "augmentation.hue=0",
)


def write_pets(root: Path, counts: dict[str, int]) -> Path:
    """Red discs are cats, blue ones dogs; each has a border that nobody judges. Palette PNG, as Pascal VOC has it."""
    rng = np.random.default_rng(21)
    rows, columns = np.mgrid[:40, :48]
    for split, count in counts.items():
        for index in range(count):
            image, labels = rng.integers(60, 90, (40, 48, 3)), np.zeros((40, 48), np.uint8)
            for label, channel in ((1, 0), (2, 2)) if index % 3 else ((1 + index % 2, 2 * (index % 2)),):
                centre, radius = rng.uniform((9, 9 + 20 * (label - 1)), (30, 18 + 20 * (label - 1))), rng.uniform(5, 8)
                distance = np.hypot(rows - centre[0], columns - centre[1])
                image[distance < radius, channel] += 120
                labels[distance < radius + 1] = 255
                labels[distance < radius - 1] = label
            write_png(root / split / "images" / f"{split}{index}.png", image.astype(np.uint8))
            mask = Image.fromarray(labels)
            mask.putpalette([0, 0, 0, 200, 0, 0, 0, 0, 200] + [90] * 3 * 253)
            (root / split / "masks").mkdir(parents=True, exist_ok=True)
            mask.save(root / split / "masks" / f"{split}{index}.png")
    return root


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pets(tmp_path_factory.mktemp("pets"), {"train": 24, "validation": 9})


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return read_recipe(None, SETTINGS)


@pytest.fixture(scope="module")
def run(pets: Path, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    train(pets, folder, recipe)
    return folder


@pytest.mark.slow
def test_a_trained_network_goes_all_the_way_to_an_int8_verdict(run: Path, pets: Path, tmp_path: Path) -> None:
    metadata = export_run(run, tmp_path / "model.onnx")
    assert metadata.model.classes == CLASSES and metadata.model.output == "softmax"
    artifact = load_onnx(tmp_path / "model.onnx")
    table = calibrate(artifact, load_images(pets, "train"))
    built = OnnxRuntimeBuilder().build(BuildRequest(artifact, "int8", table))
    assert built.int8_convolutions > 0
    info = SessionInfo(metadata.model, metadata.preprocess, "onnxruntime", "int8", "0" * 64)
    pairs = load_pairs(pets, "validation", classes=3)
    reference = engine_of(open_run(run))
    verdict = verify(engine_of(OnnxRuntimeSession(built.data, info)), reference, pairs, limits_for("int8", 0.05, None))
    assert [score.name for score in verdict.by_class] == ["cat", "dog"]
    for score, standard in zip(verdict.by_class, verdict.reference_by_class, strict=True):
        assert standard.mean_dice is not None and standard.mean_dice > 0.7
        assert score.mean_dice == pytest.approx(standard.mean_dice, abs=0.05)
    assert Verdict.from_json(verdict.to_json()) == verdict


@pytest.mark.slow
def test_figures_of_each_class_are_those_of_an_independent_count(run: Path, pets: Path) -> None:
    engine, pairs = engine_of(open_run(run)), load_pairs(pets, "validation", classes=3)
    evaluation = evaluate(engine, pairs)
    dice: dict[str, list[float]] = {"cat": [], "dog": []}
    for pair in pairs:
        labels = np.array(Image.open(pair.mask))
        predicted = np.where(labels == 255, 0, _predicted(run, pair.image))
        truth = np.where(labels == 255, 0, labels)
        for index, name in ((1, "cat"), (2, "dog")):
            both, total = (
                ((predicted == index) & (truth == index)).sum(),
                (predicted == index).sum() + (truth == index).sum(),
            )
            if total:
                dice[name].append(2 * both / total)
    assert {score.name: score.mean_dice for score in evaluation.by_class} == {
        name: pytest.approx(np.mean(values)) for name, values in dice.items()
    }
    assert {score.name: score.image_count for score in evaluation.by_class} == {
        name: len(values) for name, values in dice.items()
    }
    material = Material(pairs=pairs)
    page = render_page(evaluate_models(EvaluationRequest(run, material), open_engine))
    for score in evaluation.by_class:
        assert f"<td>{score.name}</td><td>{score.image_count}</td><td>{score.mean_dice:.4f}</td>" in page
    assert mean_overlap_of(engine, pairs) == pytest.approx((evaluation.mean_dice, evaluation.mean_iou))


def _predicted(run: Path, image: Path) -> np.ndarray:
    """The largest of three probabilities, brought to the picture's size by torch."""
    picture = np.array(Image.open(image))
    probability = torch.from_numpy(open_run(run).infer(resize_to_network(picture, 32, 32)[None]))
    scaled = torch.nn.functional.interpolate(probability, picture.shape[:2], mode="bilinear", align_corners=False)
    return scaled[0].argmax(dim=0).numpy()


def test_class_overlaps_are_torchmetrics(recipe: Recipe) -> None:
    rng = np.random.default_rng(3)
    predicted, truth = (rng.integers(0, 3, (20, 30)).astype(np.uint8) for _ in range(2))
    expected = dice_score(
        torch.from_numpy(predicted)[None].long(), torch.from_numpy(truth)[None].long(), num_classes=3,
        include_background=False, average="none", input_format="index",
    )[0]  # fmt: skip
    found = class_overlaps(predicted, truth, 3)
    assert [overlap and overlap[0] for overlap in found] == pytest.approx(expected.tolist())
    for overlap in found:
        assert overlap is not None and overlap[1] == pytest.approx(overlap[0] / (2 - overlap[0]))


def test_classes_that_nobody_shows_or_marks_do_not_count() -> None:
    truth, predicted = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    assert class_overlaps(predicted, truth, 3) == (None, None) and mean_overlap((None, None)) == (1.0, 1.0)
    truth[0], predicted[0] = 1, 1
    overlaps = class_overlaps(predicted, truth, 3)
    assert overlaps == ((1.0, 1.0), None) and score_image("a", predicted, truth, classes=3).dice == 1.0
    predicted[3] = 2  # a false dog costs half
    assert score_image("a", predicted, truth, classes=3).dice == 0.5
    scores = class_scores(CLASSES, [overlaps, class_overlaps(predicted, truth, 3)])
    assert [(score.name, score.image_count, score.mean_dice) for score in scores] == [("cat", 2, 1.0), ("dog", 1, 0.0)]


def test_samples_hold_class_indices_and_ignored_borders(pets: Path) -> None:
    pairs = load_pairs(pets, "train", classes=3)
    samples = load_samples(pairs, 40, 48, classes=3)
    for pair, mask in zip(pairs, samples.masks, strict=True):
        assert np.array_equal(mask[0].numpy(), np.array(Image.open(pair.mask)))
    assert samples.has_ignored and set(samples.masks.unique().tolist()) == {0, 1, 2, IGNORED}


def test_a_wrong_class_index_is_named_before_work_begins(pets: Path, tmp_path: Path, recipe: Recipe) -> None:
    with pytest.raises(BadInputError, match="cannot be used: train: mask") as caught:
        load_pairs(pets, "train", classes=2)
    assert "holds label 2, and there are the classes 0 to 1" in caught.value.what
    assert "--labels" in (caught.value.next_command or "")
    with pytest.raises(BadInputError, match="several classes"):
        load_pairs(pets, "train")
    (pair, *_) = load_pairs(pets, "train", classes=None)[1:]
    with pytest.raises(BadInputError, match="wrong class index"):
        pair.read_labelled(2)


@pytest.mark.parametrize(
    ("values", "classes", "expected"),
    [((0, 255), 2, [0, 1]), ((0, 1), 2, [0, 1]), ((0, 2), 3, [0, 2]), ((0, 1, 2), 3, [0, 1, 2])],
)
def test_what_the_values_of_masks_mean_as_classes(
    tmp_path: Path, values: tuple[int, ...], classes: int, expected: list[int]
) -> None:
    for index in range(2):
        mask = np.resize(np.array(values, np.uint8), (8, 9))
        write_png(tmp_path / "images" / f"{index}.png", np.full((8, 9, 3), index, np.uint8))
        write_png(tmp_path / "masks" / f"{index}.png", mask)
    (pair, _) = load_pairs(tmp_path, classes=classes)
    assert np.unique(pair.read_labelled(classes).mask).tolist() == expected


def test_each_class_is_drawn_in_a_colour_of_its_own() -> None:
    picture = Picture.of_bgr(np.zeros((96, 128, 3), np.uint8))
    mask = np.zeros((96, 128), np.uint8)
    mask[20:70, 10:50], mask[20:70, 70:110] = 1, 2
    drawn = draw(picture, mask, (), "fill").bgr.astype(float)
    for column, colour in ((30, CLASS_COLOURS[0]), (90, CLASS_COLOURS[1])):
        inside, wanted = drawn[45, column][::-1], np.array(colour, float)
        assert inside @ wanted / np.linalg.norm(inside) / np.linalg.norm(wanted) > 0.97
