import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from edgeseg.conversion import ConversionOptions, convert_dataset
from edgeseg.conversion.coco import segmentation_mask
from edgeseg.dataset import load_pairs
from edgeseg.errors import BadInputError, UsageError
from edgeseg.images import encode_jpeg, read_rgb, write_png
from edgeseg.inspection import inspect_dataset


def frame_of(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def blob(number: int) -> np.ndarray:
    rows, columns = np.mgrid[:40, :60]
    return ((rows - 20) ** 2 + (columns - 20 - 3 * number) ** 2 < 100).astype(np.uint8)


def coco(root: Path, name: str, segmentations: list[object], categories: dict[int, str] | None = None) -> Path:
    """A COCO file with one picture for each segmentation."""
    categories = categories or {1: "polyp"}
    images, annotations = [], []
    for number, segmentation in enumerate(segmentations):
        (root / "images").mkdir(parents=True, exist_ok=True)
        (root / "images" / f"{name}{number}.jpg").write_bytes(encode_jpeg(frame_of(number + len(name))))
        images.append({"id": number, "file_name": f"{name}{number}.jpg", "height": 40, "width": 60})
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1 + number % len(categories),
                "segmentation": segmentation,
            }
        )
    document = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": word} for number, word in categories.items()],
    }
    (root / "annotations").mkdir(exist_ok=True)
    path = root / "annotations" / f"instances_{name}.json"
    path.write_text(json.dumps(document))
    return path


def plain_runs(mask: np.ndarray) -> dict[str, object]:
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, flat.size]).tolist()
    return {"size": list(mask.shape), "counts": runs if flat[0] == 0 else [0, *runs]}


@pytest.mark.parametrize("seed", range(20))
def test_run_lengths_are_those_of_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = (rng.random((int(rng.integers(1, 60)), int(rng.integers(1, 60)))) < rng.random()).astype(np.uint8)
    compressed = coco_mask.encode(np.asfortranarray(mask))
    words = {"size": compressed["size"], "counts": compressed["counts"].decode()}
    np.testing.assert_array_equal(segmentation_mask(words, *mask.shape), mask > 0)
    np.testing.assert_array_equal(segmentation_mask(plain_runs(mask), *mask.shape), mask > 0)


@pytest.mark.parametrize("seed", range(20))
def test_polygons_are_those_of_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width, corners = int(rng.integers(1, 80)), int(rng.integers(1, 80)), int(rng.integers(3, 14))
    polygon = (rng.uniform(-5, 85, (corners, 2)) if seed % 2 else rng.integers(0, 80, (corners, 2))).ravel().tolist()
    expected = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects([polygon], height, width))) > 0
    np.testing.assert_array_equal(segmentation_mask([polygon], height, width), expected)


def test_coco_becomes_the_standard_layout(tmp_path: Path) -> None:
    source = tmp_path / "coco"
    square = [[10.0, 10.0, 30.0, 10.0, 30.0, 25.0, 10.0, 25.0]]
    coco(source, "train", [plain_runs(blob(0)), square])
    coco(source, "val", [plain_runs(blob(2))])
    result = convert_dataset(source, tmp_path / "out")
    assert result.pictures == {"train": 2, "validation": 1}
    first, second = load_pairs(tmp_path / "out", "train")
    np.testing.assert_array_equal(first.read()[1] > 0, blob(0) > 0)
    assert (second.read()[1][11:24, 11:29] == 255).all()
    original = source / "images" / "train0.jpg"
    assert first.image.read_bytes() == original.read_bytes()
    assert inspect_dataset(tmp_path / "out").problems == ()


def test_a_hidden_copy_of_annotations_is_not_read_again(tmp_path: Path) -> None:
    written = coco(tmp_path / "coco", "train", [plain_runs(blob(0))])
    written.with_name(f".{written.name}").write_bytes(written.read_bytes())
    assert convert_dataset(tmp_path / "coco", tmp_path / "out").pictures == {"all": 1}


def test_several_categories_ask_for_a_choice(tmp_path: Path) -> None:
    path = coco(tmp_path / "coco", "x", [plain_runs(blob(0)), plain_runs(blob(1))], {1: "polyp", 2: "instrument"})
    with pytest.raises(UsageError) as caught:
        convert_dataset(path, tmp_path / "out")
    assert caught.value.found == "1 polyp, 2 instrument"
    assert not (tmp_path / "out").exists()
    convert_dataset(path, tmp_path / "out", ConversionOptions(foreground=(2,)))
    assert [int((pair.read()[1] > 0).sum()) for pair in load_pairs(tmp_path / "out")] == [0, int(blob(1).sum())]


@pytest.mark.parametrize(
    "segmentation", [{"size": [40, 60], "counts": [5]}, {"size": [1, 2], "counts": [2]}, [["a"]], [[1.0, 2.0, 3.0]], {}]
)
def test_a_broken_segmentation_is_refused(tmp_path: Path, segmentation: object) -> None:
    path = coco(tmp_path / "coco", "x", [segmentation or {"counts": []}])
    with pytest.raises(BadInputError, match="instances_x"):
        convert_dataset(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_masks_of_instances_are_merged(tmp_path: Path) -> None:
    (tmp_path / "unpacked" / "__MACOSX").mkdir(parents=True)
    for case in range(3):
        folder = tmp_path / "unpacked" / "stage1_train" / f"id{case}"
        write_png(folder / "images" / f"id{case}.png", frame_of(case))
        for instance in range(2):
            write_png(folder / "masks" / f"m{case}{instance}.png", blob(4 * instance) * 255)
    assert convert_dataset(tmp_path / "unpacked", tmp_path / "out").pictures == {"all": 3}
    for pair in load_pairs(tmp_path / "out"):
        np.testing.assert_array_equal(pair.read()[1] > 0, (blob(0) | blob(4)) > 0)


def test_labels_become_the_polyp_and_ignored_pixels_stay_so(tmp_path: Path) -> None:
    for number in range(3):
        labels = blob(number)
        labels[-8:] = 2
        labels[20, :] = 255
        write_png(tmp_path / "in" / "images" / f"{number}.png", frame_of(number))
        write_png(tmp_path / "in" / "masks" / f"{number}.png", labels)
    convert_dataset(tmp_path / "in", tmp_path / "kept")
    assert inspect_dataset(tmp_path / "kept").classes == 2
    convert_dataset(tmp_path / "in", tmp_path / "out", ConversionOptions(foreground=(2,)))
    for pair in load_pairs(tmp_path / "out"):
        labelled = pair.read_labelled()
        assert labelled.ignored is not None
        assert labelled.ignored.sum() == 60 and (labelled.mask > 0).sum() == 8 * 60
    with pytest.raises(UsageError, match="no such label"):
        convert_dataset(tmp_path / "in", tmp_path / "none", ConversionOptions(foreground=(7,)))


def test_a_turned_picture_is_taken_as_its_mask_was_drawn(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    for part in ("images", "masks"):
        (tmp_path / "in" / part).mkdir(parents=True)
    Image.fromarray(frame_of(1)).save(tmp_path / "in/images/a.png", exif=exif)
    write_png(tmp_path / "in/masks/a.png", blob(0) * 255)
    with pytest.raises(BadInputError, match="EXIF"):
        convert_dataset(tmp_path / "in", tmp_path / "out")
    for exif_choice, expected in (("stored", frame_of(1)), ("upright", frame_of(1)[::-1, ::-1])):
        convert_dataset(tmp_path / "in", tmp_path / exif_choice, ConversionOptions(exif=exif_choice))
        (pair,) = load_pairs(tmp_path / exif_choice)
        np.testing.assert_array_equal(read_rgb(pair.image), expected)


def test_what_cannot_be_read_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    write_png(tmp_path / "in/images/a.png", frame_of(1))
    (tmp_path / "in/masks").mkdir()
    (tmp_path / "in/masks/a.png").write_bytes(b"junk")
    with pytest.raises(BadInputError, match=r"a\.png"):
        convert_dataset(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _trimaps(root: Path) -> np.ndarray:
    """One picture and its trimap: 1 the animal, 2 the ground, 3 the border."""
    trimap = np.full((40, 60), 2, np.uint8)
    trimap[10:30, 20:40], trimap[12:28, 22:38] = 3, 1
    for number in range(2):
        write_png(root / "images" / f"{number}.png", frame_of(number))
        write_png(root / "masks" / f"{number}.png", trimap)
    return trimap


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (ConversionOptions(labels=(2, 1), ignore=3), {2: 0, 1: 1, 3: 255}),
        (ConversionOptions(labels=(2, 1, 3)), {2: 0, 1: 1, 3: 2}),
        (ConversionOptions(labels=(1, 2, 3)), {1: 0, 2: 1, 3: 2}),
    ],
)
def test_labels_are_numbered_anew(tmp_path: Path, options: ConversionOptions, expected: dict[int, int]) -> None:
    trimap = _trimaps(tmp_path / "trimaps")
    convert_dataset(tmp_path / "trimaps", tmp_path / "out", options)
    wanted = np.vectorize(expected.get)(trimap)
    for path in (tmp_path / "out" / "masks").iterdir():
        assert np.array_equal(np.array(Image.open(path)), wanted)


def test_a_label_that_is_not_named_is_refused(tmp_path: Path) -> None:
    _trimaps(tmp_path / "trimaps")
    with pytest.raises(UsageError, match="labels that are not named") as caught:
        convert_dataset(tmp_path / "trimaps", tmp_path / "out", ConversionOptions(labels=(2, 1)))
    assert caught.value.found == "3" and not (tmp_path / "out").exists()
