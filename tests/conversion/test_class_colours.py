"""Masks in which each colour is a class become labels by a table; without one they are refused by name."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edgeseg.cli import run
from edgeseg.conversion import ConversionOptions, convert_dataset
from edgeseg.dataset import load_pairs
from edgeseg.errors import BadInputError, UsageError
from edgeseg.images import read_class_colours
from edgeseg.images.class_colours import ClassColours
from edgeseg.inspection import inspect_dataset

COLOURS = {"polyp": (255, 0, 0), "instrument": (0, 128, 255), "light": (255, 255, 255)}
CSV = "name,r,g,b\nground,0,0,0\n" + "".join(f"{name},{r},{g},{b}\n" for name, (r, g, b) in COLOURS.items())
CVAT = "# label:color_rgb:parts:actions\nbackground:0,0,0::\n" + "".join(
    f"{name}:{r},{g},{b}::\n" for name, (r, g, b) in COLOURS.items()
)


def labels_of(seed: int) -> np.ndarray:
    """Labels 0 to 3 in blocks, uint8 [32,48]."""
    return np.kron(np.random.default_rng(seed).integers(0, 4, (4, 6)), np.ones((8, 8), int)).astype(np.uint8)


@pytest.fixture
def coloured(tmp_path: Path) -> Path:
    root = tmp_path / "coloured"
    table = np.array([(0, 0, 0), *COLOURS.values()], np.uint8)
    for index in range(3):
        for part in ("images", "masks"):
            (root / part).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((32, 48, 3), 90 + index, np.uint8)).save(root / "images" / f"{index}.jpg")
        Image.fromarray(table[labels_of(index)]).save(root / "masks" / f"{index}.png")
    return root


@pytest.mark.parametrize(("name", "text"), [("mine.csv", CSV), ("labelmap.txt", CVAT)])
def test_colours_become_labels(coloured: Path, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    convert_dataset(coloured, tmp_path / "out", ConversionOptions(classes=tmp_path / name))
    for index in range(3):
        labels = np.asarray(Image.open(tmp_path / "out" / "masks" / f"{index}.png"))
        np.testing.assert_array_equal(labels, labels_of(index))
    assert inspect_dataset(tmp_path / "out").classes == 3


@pytest.mark.parametrize(("name", "text"), [("class_dict.csv", CSV), ("labelmap.txt", CVAT)])
def test_the_table_of_the_set_itself_is_taken(coloured: Path, tmp_path: Path, name: str, text: str) -> None:
    (coloured / name).write_text("\ufeff" + text)
    found = convert_dataset(coloured, tmp_path / "out", ConversionOptions(foreground=(1, 3)))
    assert found.source.endswith(f"colours by {name}")
    for index, pair in enumerate(load_pairs(tmp_path / "out")):
        np.testing.assert_array_equal(pair.read()[1] > 0, np.isin(labels_of(index), (1, 3)))


def test_without_a_table_the_colours_are_named(
    coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BadInputError, match="several colours") as caught:
        load_pairs(coloured)
    assert f"edgeseg data convert {coloured} --out DIR --classes FILE" in str(caught.value.next_command)
    (note,) = inspect_dataset(coloured).notes
    share = np.mean([labels_of(index) == 2 for index in range(3)])
    assert f"0,128,255 ({share:.1%})" in note and "--classes FILE" in note
    (tmp_path / "table.csv").write_text(CSV)
    command = ["data", "convert", str(coloured), "--out", str(tmp_path / "out"), "--classes"]
    assert run([*command, str(tmp_path / "table.csv")]) == 0
    assert "3 all" in capsys.readouterr().out


def test_a_colour_that_is_no_class_is_refused(coloured: Path, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(CSV.replace("0,128,255", "0,128,254"))
    with pytest.raises(BadInputError, match="colours that are no class") as caught:
        convert_dataset(coloured, tmp_path / "out", ConversionOptions(classes=tmp_path / "table.csv"))
    assert "0,128,255" in str(caught.value.found) and not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="no such label"):
        (tmp_path / "table.csv").write_text(CSV)
        convert_dataset(coloured, tmp_path / "out", ConversionOptions((4,), classes=tmp_path / "table.csv"))


@pytest.mark.parametrize(
    "text",
    ["", "name,r,g\na,1,2\n", "name,r,g,b\na,1,2,3\nb,1,2,3\n", "name,r,g,b\na,1,2,300\n", "name,r,g,b\na,x,2,3\n"],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(BadInputError, match="no table of class colours"):
        read_class_colours(tmp_path / "t.csv")


COLOUR = st.tuples(*[st.integers(0, 255)] * 3)


@given(colours=st.lists(COLOUR.filter(any), min_size=1, max_size=63, unique=True), seed=st.integers(0, 99))
def test_any_colours_become_their_number(colours: list[tuple[int, int, int]], seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, len(colours) + 1, (9, 7)).astype(np.uint8)
    rgb = np.array([(0, 0, 0), *colours], np.uint8)[labels]
    found = ClassColours(tuple(colours), ("",) * len(colours)).labels(rgb, Path("m.png"))
    np.testing.assert_array_equal(found, labels)


def test_files_without_a_partner_are_named(coloured: Path, tmp_path: Path) -> None:
    (coloured / "class_dict.csv").write_text(CSV)
    (coloured / "masks" / "2.png").unlink()
    assert convert_dataset(coloured, tmp_path / "out").left_out == ("2.jpg",)
