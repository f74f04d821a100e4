"""LabelMe and YOLO polygons become masks, as Pillow draws them but for the outline; anything unclear is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from edgeseg.cli import run
from edgeseg.conversion import ConversionOptions, convert_dataset
from edgeseg.dataset import load_pairs
from edgeseg.errors import BadInputError, UsageError

WIDTH, HEIGHT = 80, 60
OUTLINES = {
    "p1": [[10, 10], [50, 12], [45, 40], [20, 50]],
    "p2": [[30.5, 5.25], [70, 30], [35, 55]],
    "p10": [[5, 5], [75, 5], [75, 55], [5, 55]],
}
Write = Callable[..., None]


def image(path: Path, orientation: int = 1) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    size = (HEIGHT, WIDTH) if orientation > 4 else (WIDTH, HEIGHT)
    Image.new("RGB", size, (90, 80, len(path.name) * 20 + ord(path.stem[-1]) % 10)).save(path, exif=exif)


def labelme(root: Path, name: str, points: list, label: str = "polyp", **changes: object) -> None:
    shape = {"label": label, "points": points, "shape_type": "polygon"} | changes
    document = {"version": "5.5.0", "shapes": [shape], "imagePath": f"{name}.jpg", "imageHeight": HEIGHT}
    (root / f"{name}.json").write_text(json.dumps(document | {"imageWidth": WIDTH, "imageData": None}))


def yolo(path: Path, points: list, number: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{number} " + " ".join(f"{x / WIDTH:.6f} {y / HEIGHT:.6f}" for x, y in points) + "\n")


def check(out: Path, name: str, points: list) -> None:
    """The mask is Pillow's polygon but for pixels on its outline."""
    (pair,) = (pair for pair in load_pairs(out) if pair.name == name)
    _, mask = pair.read()
    drawn, outline = Image.new("1", (WIDTH, HEIGHT)), Image.new("1", (WIDTH, HEIGHT))
    corners = [tuple(point) for point in points]
    ImageDraw.Draw(drawn).polygon(corners, fill=1)
    ImageDraw.Draw(outline).line([*corners, corners[0]], fill=1, width=3)
    inner = ~np.asarray(outline)
    np.testing.assert_array_equal((mask > 0)[inner], np.asarray(drawn)[inner])


@pytest.mark.parametrize("beside", [True, False])
def test_labelme(tmp_path: Path, beside: bool, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "set"
    folder = root if beside else root / "images"
    for name, points in OUTLINES.items():
        image(folder / f"{name}.jpg")
        labelme(folder, name, points)
    assert run(["data", "inspect", str(root)]) == 5
    said = "".join(capsys.readouterr())
    assert "LabelMe polygons" in said and f"edgeseg data convert {root} --out DIR" in said
    with pytest.raises(BadInputError) as caught:
        load_pairs(root)
    assert caught.value.next_command == f"edgeseg data convert {root} --out DIR"
    assert convert_dataset(root, tmp_path / "out").pictures == {"all": 3}
    for name, points in OUTLINES.items():
        check(tmp_path / "out", name, points)


def test_rectangles_and_circles_of_labelme(tmp_path: Path) -> None:
    image(tmp_path / "set" / "a.jpg")
    image(tmp_path / "set" / "b.jpg")
    labelme(tmp_path / "set", "a", [[10, 10], [40, 30]], shape_type="rectangle")
    labelme(tmp_path / "set", "b", [[40, 30], [40, 50]], shape_type="circle")
    convert_dataset(tmp_path / "set", tmp_path / "out")
    check(tmp_path / "out", "a", [[10, 10], [40, 10], [40, 30], [10, 30]])
    circle = load_pairs(tmp_path / "out")[1].read()[1] > 0
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(x - 40, y - 30)
    assert circle[distance < 18.5].all() and not circle[distance > 21.5].any()


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"points": [[1, 1], [2, 2]]}, BadInputError, "outlines that cannot be read"),
        ({"shape_type": "line"}, BadInputError, "outlines that cannot be read"),
        ({"points": None}, BadInputError, "outlines that cannot be read"),
        ({"label": "instrument"}, UsageError, "several names"),
    ],
)
def test_what_labelme_says_unclearly_is_refused(
    tmp_path: Path, changes: dict[str, object], error: type[Exception], words: str
) -> None:
    for name in ("p1", "p2"):
        image(tmp_path / "set" / f"{name}.jpg")
    labelme(tmp_path / "set", "p1", OUTLINES["p1"])
    labelme(tmp_path / "set", "p2", **{"points": OUTLINES["p2"], **changes})
    with pytest.raises(error, match=words):
        convert_dataset(tmp_path / "set", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_picture_of_another_size_than_labelme_saw_is_refused(tmp_path: Path) -> None:
    image(tmp_path / "set" / "p1.jpg")
    labelme(tmp_path / "set", "p1", OUTLINES["p1"])
    Image.new("RGB", (WIDTH // 2, HEIGHT)).save(tmp_path / "set" / "p1.jpg")
    with pytest.raises(BadInputError, match="another size"):
        convert_dataset(tmp_path / "set", tmp_path / "out")


def test_yolo_with_splits_and_a_turned_picture(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for (name, points), split in zip(OUTLINES.items(), ("train", "train", "val"), strict=True):
        image(root / "images" / split / f"{name}.jpg", 6 if name == "p2" else 1)
        yolo(root / "labels" / split / f"{name}.txt", points)
    assert convert_dataset(root, tmp_path / "out").pictures == {"train": 2, "validation": 1}
    for name, points in OUTLINES.items():
        check(tmp_path / "out", name, points)


def test_classes_of_yolo_ask_for_a_choice(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for number, (name, points) in enumerate(OUTLINES.items()):
        image(root / "images" / f"{name}.jpg")
        yolo(root / "labels" / f"{name}.txt", points, number % 2)
    with pytest.raises(UsageError, match="several classes"):
        convert_dataset(root, tmp_path / "out")
    convert_dataset(root, tmp_path / "out", ConversionOptions((1,)))
    marked = {pair.name: bool(pair.read()[1].any()) for pair in load_pairs(tmp_path / "out")}
    assert marked == {"p1": False, "p2": True, "p10": False}


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("labels/p1.txt", b"0 0.5 0.5 0.2 0.2\n", "YOLO boxes"),
        ("Annotations/p1.xml", b"<annotation><object/></annotation>", "boxes of Pascal VOC"),
        ("masks/p1.npy", b"\x93NUMPY", "arrays (p1.npy)"),
        ("annotations/instances.json", b'{"images": [], "annotations": [], "categories": []}', "COCO annotations"),
    ],
)
def test_what_is_there_in_place_of_masks_is_named(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    image(tmp_path / "images" / "p1.jpg")
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BadInputError, match="has no masks") as caught:
        load_pairs(tmp_path)
    assert words in str(caught.value.found) and caught.value.next_command
