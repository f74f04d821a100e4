"""Data sets as they are handed around: each layout is made here in small, as its authors hand it out."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeseg.dataset import find_layout, load_images, load_pairs
from edgeseg.errors import BadInputError
from edgeseg.images import write_png
from edgeseg.inspection import inspect_dataset


def picture(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture that tells its number, and its mask."""
    frame = np.random.default_rng(number).integers(40, 120, (24, 32, 3), dtype=np.uint8)
    mask = np.zeros((24, 32), np.uint8)
    mask[4 : 8 + number % 7, 5:15] = 255
    frame[mask > 0] = (230, 90, 80)
    return frame, mask


def put(image: Path, mask: Path, number: int) -> None:
    for path, pixels in zip((image, mask), picture(number), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def _names(image: str, mask: str) -> Callable[[Path], None]:
    """Four pairs: `{}` is the number in each pattern."""

    def make(root: Path) -> None:
        for number in range(4):
            put(root / image.format(number), root / mask.format(number), number)

    return make


def _polypgen(root: Path) -> None:
    for centre in (1, 2):
        for number in range(2):
            name = f"C{centre}_{number}"
            folder = root / f"data_C{centre}"
            put(
                folder / f"images_C{centre}/{name}.jpg",
                folder / f"masks_C{centre}/{name}_mask.jpg",
                centre * 2 + number,
            )
        (root / f"data_C{centre}" / f"bbox_C{centre}").mkdir()


def _praNet(root: Path) -> None:  # noqa: N802  the name of the network whose authors made it
    number = 0
    for name in ("CVC-300", "Kvasir"):
        for index in (1, 2):
            put(root / name / f"images/{index}.png", root / name / f"masks/{index}.png", number)
            number += 1


def _table(root: Path) -> None:
    rows = []
    for number in range(4):
        put(root / f"a/{number}.jpg", root / f"b/x{3 - number}.png", number)
        rows.append({"image": f"a/{number}.jpg", "mask": f"b/x{3 - number}.png"})
    with (root / "pairs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["image", "mask"])
        writer.writeheader()
        writer.writerows(rows)


UNSPLIT_LAYOUTS: dict[str, Callable[[Path], None]] = {
    "standard": _names("images/p{}.jpg", "masks/p{}.png"),
    "mask suffix": _names("images/p{}.jpg", "masks/p{}_mask.png"),
    "ISIC": _names("ISIC2018_Training_Input/ISIC_{}.jpg", "ISIC2018_Training_GroundTruth/ISIC_{}_segmentation.png"),
    "suffix with a hyphen": _names("images/p{}.jpg", "masks/p{}-mask.png"),
    "suffix in capitals": _names("images/P{}.JPG", "masks/P{}_MASK.PNG"),
    "prefix": _names("images/p{}.jpg", "masks/mask_p{}.png"),
    "any common suffix": _names("images/p{}.jpg", "masks/p{}_polyp-v2.png"),
    "other case": _names("images/Img{}.jpg", "masks/img{}.png"),
    "folder names": _names("imgs/p{}.jpg", "labels/p{}.png"),
    "CVC-ClinicDB": _names("Original/{}.tif", "Ground Truth/{}.tif"),
    "Kvasir-SEG": _names("Kvasir-SEG/images/cju{}.jpg", "Kvasir-SEG/masks/cju{}.jpg"),
    "GT": _names("image/p{}.jpg", "GT/p{}.png"),
    "nested": _names("images/seq{}/p.jpg", "masks/seq{}/p.png"),
    "SUN-SEG part": _names("Frame/case{}/a.jpg", "GT/case{}/a.png"),
    "nested images, flat masks": _names("images/seq{0}/p{0}.jpg", "masks/p{0}.png"),
    "PH2": _names("IMD{0}/IMD{0}_Dermoscopic_Image/IMD{0}.bmp", "IMD{0}/IMD{0}_lesion/IMD{0}_lesion.bmp"),
    "side by side": _names("p{}.jpg", "p{}_mask.png"),
    "PolypGen": _polypgen,
    "several sets": _praNet,
    "a table": _table,
}
SPLIT_LAYOUTS = {
    "standard": "{split}/images/p{number}.jpg {split}/masks/p{number}.png train validation test",
    "val": "{split}/images/p{number}.jpg {split}/masks/p{number}.png train val test",
    "valid": "{split}/images/p{number}.jpg {split}/labels/p{number}.png train valid test",
    "inside": "images/{split}/p{number}.jpg masks/{split}/p{number}.png train val test",
    "SUN-SEG": "{split}Dataset/Frame/case1/p{number}.jpg {split}Dataset/GT/case1/p{number}.png Train Valid TestEasy",
}


@pytest.mark.parametrize("name", sorted(UNSPLIT_LAYOUTS))
def test_a_layout_is_read_in_place(name: str, tmp_path: Path) -> None:
    UNSPLIT_LAYOUTS[name](tmp_path)
    (tmp_path / "notes.txt").write_text("ours")
    report = inspect_dataset(tmp_path)
    assert report.problems == ()
    assert [(split.images, split.masks, split.pairs) for split in report.splits] == [(4, 4, 4)]
    pairs = load_pairs(tmp_path, "test")
    assert len({pair.name for pair in pairs}) == 4
    for pair in pairs:
        frame, mask = pair.read()
        reddish = (frame[..., 0] > 180) & (frame[..., 1] < 140)
        assert np.mean(reddish != (mask > 0)) < 0.05
    assert len(load_images(tmp_path)) == 4


@pytest.mark.parametrize("name", sorted(SPLIT_LAYOUTS))
def test_splits_are_known_by_their_names(name: str, tmp_path: Path) -> None:
    image, mask, *splits = SPLIT_LAYOUTS[name].split()
    for index, split in enumerate(splits):
        for number in range(2):
            paths = (tmp_path / pattern.format(split=split, number=number) for pattern in (image, mask))
            put(*paths, 3 * index + number)
    report = inspect_dataset(tmp_path)
    assert report.problems == ()
    assert [split.name for split in report.splits] == ["train", "validation", "test"]
    assert [len(load_pairs(tmp_path, split)) for split in ("train", "validation", "test")] == [2, 2, 2]


def test_a_table_may_name_splits(tmp_path: Path) -> None:
    lines = ["image,mask,split"]
    for number, split in enumerate(("train", "val", "test")):
        put(tmp_path / f"a{number}.png", tmp_path / f"m{number}.png", number)
        lines.append(f"a{number}.png,m{number}.png,{split}")
    (tmp_path / "set.csv").write_text("\n".join(lines))
    assert [pair.image.name for pair in load_pairs(tmp_path / "set.csv", "validation")] == ["a1.png"]
    (tmp_path / "set.csv").write_text("image,mask\na0.png,\n")
    with pytest.raises(BadInputError, match="names no pair"):
        load_pairs(tmp_path / "set.csv")


def test_pairs_come_in_the_order_in_which_a_person_counts(tmp_path: Path) -> None:
    for number in (10, 2, 1, 11):
        put(tmp_path / f"images/frame{number}.jpg", tmp_path / f"masks/frame{number}.png", number)
    assert [pair.name for pair in load_pairs(tmp_path)] == ["frame1", "frame2", "frame10", "frame11"]
    assert [path.stem for path in load_images(tmp_path)] == ["frame1", "frame2", "frame10", "frame11"]


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    _names("images/p{}.jpg", "masks/p{}.png")(tmp_path)
    (tmp_path / "bbox").mkdir()
    (tmp_path / "images" / "._p0.jpg").write_bytes(b"\x00\x05\x16\x07")
    (tmp_path / "masks" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (tmp_path / "masks" / "notes.txt").write_text("ours")
    assert inspect_dataset(tmp_path).notes == (
        "all: passed over 2 hidden or system files, 1 .txt",
        "folders not read: bbox",
    )


def test_two_folders_of_masks_are_not_guessed_between(tmp_path: Path) -> None:
    _names("images/p{}.jpg", "GT/p{}.png")(tmp_path)
    _names("images/p{}.jpg", "labels/p{}.png")(tmp_path)
    with pytest.raises(BadInputError, match="several folders") as caught:
        find_layout(tmp_path)
    assert caught.value.found == "GT, labels"


def test_two_masks_for_an_image_are_not_guessed_between(tmp_path: Path) -> None:
    _names("images/p{}.jpg", "masks/p{}_mask.png")(tmp_path)
    _names("images/p{}.jpg", "masks/p{}_seg.png")(tmp_path)
    with pytest.raises(BadInputError, match="do not pair"):
        load_pairs(tmp_path)


def test_masks_of_instances_lead_to_convert(tmp_path: Path) -> None:
    for case in range(2):
        for instance in range(3):
            put(tmp_path / f"{case}/images/id{case}.png", tmp_path / f"{case}/masks/{case}{instance}.png", case)
    with pytest.raises(BadInputError, match="one instance each") as caught:
        inspect_dataset(tmp_path)
    assert "edgeseg data convert" in str(caught.value.next_command)


def test_several_divided_sets_are_not_mixed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        put(tmp_path / name / "train/images/p.png", tmp_path / name / "train/masks/p.png", 1)
    with pytest.raises(BadInputError, match="several data sets"):
        find_layout(tmp_path)


def test_a_table_that_breaks_off_in_other_bytes_is_refused_by_name(tmp_path: Path) -> None:
    lines = "".join(f"a{index}.png,b{index}.png\n" for index in range(2000))
    (tmp_path / "set.csv").write_bytes(b"image,mask\n" + lines.encode() + b"\xff\xfe.png,c.png\n")
    with pytest.raises(BadInputError, match=r"set\.csv cannot be read"):
        load_pairs(tmp_path / "set.csv")


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("{}.jpg", "{:04d}.png"),
        ("img_{}.jpg", "mask_{:03d}.png"),
        ("Bild a\u0308 {}.jpg", "Bild \u00e4 {}.png"),
        ("my pic {}.jpg", "my_pic_{}.png"),
        ("Frame-{:02d}.JPG", "frame_{}_MASK.png"),
    ],
)
def test_names_that_differ_in_padding_accents_and_signs_pair(tmp_path: Path, image: str, mask: str) -> None:
    for number in (1, 2, 10, 12):
        frame = np.full((8, 8, 3), number, np.uint8)
        write_png(tmp_path / "images" / image.format(number), frame)
        write_png(tmp_path / "masks" / mask.format(number), np.eye(8, dtype=np.uint8) * 255)
    pairs = load_pairs(tmp_path)
    assert [int(pair.read()[0][0, 0, 0]) for pair in pairs] == [1, 2, 10, 12]
    assert [pair.mask.name for pair in pairs] == [mask.format(number) for number in (1, 2, 10, 12)]


def test_numbers_that_two_images_share_are_not_guessed_between(tmp_path: Path) -> None:
    for name in ("1", "01"):
        write_png(tmp_path / "images" / f"{name}.png", np.full((8, 8, 3), 9, np.uint8))
    write_png(tmp_path / "masks" / "0001.png", np.eye(8, dtype=np.uint8) * 255)
    with pytest.raises(BadInputError, match="do not pair"):
        load_pairs(tmp_path)


TABLE = "image{0}mask\r\ni/a.png{0}m/a.png\r\n"


@pytest.mark.parametrize(
    "data",
    [
        TABLE.format(",").encode(),
        TABLE.format(";").encode(),
        TABLE.format("\t").encode(),
        TABLE.format(",").encode("utf-8-sig"),
        TABLE.format(";").encode("utf-16"),
        TABLE.format(",").replace("/", "\\").encode(),
        b'"image","mask"\n"i/a.png","m/a.png"\n',
        b" Image , MASK \n i/a.png , m/a.png \n\n\n",
    ],
)
def test_tables_as_spreadsheets_write_them(tmp_path: Path, data: bytes) -> None:
    for part in "im":
        write_png(tmp_path / part / "a.png", np.eye(8, dtype=np.uint8) * 255)
    (tmp_path / "pairs.csv").write_bytes(data)
    for root in (tmp_path, tmp_path / "pairs.csv"):
        (pair,) = load_pairs(root)
        assert (pair.image, pair.mask) == (tmp_path / "i/a.png", tmp_path / "m/a.png")


@pytest.mark.parametrize("data", [b"i/a.png,m/a.png\n", "Gr\u00f6\u00dfe,mask\n1,2\n".encode("latin-1"), b""])
def test_a_table_that_says_too_little_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "pairs.csv").write_bytes(data)
    with pytest.raises(BadInputError, match=r"pairs\.csv") as caught:
        load_pairs(tmp_path)
    assert caught.value.next_command
