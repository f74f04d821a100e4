import datetime
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.artifacts import VerdictLimits
from edgeseg.dataset import hash_pairs, load_pairs
from edgeseg.errors import BadInputError, UsageError
from edgeseg.images import write_png
from edgeseg.proof.protocol.protocol_file import read_protocol, write_protocol

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LIMITS = VerdictLimits(max_dice_drop=0.005, max_lost_polyps=0, min_reference_dice=0.4, min_agreement=0.7)

LIMITS_TABLE = """[limits]
max_dice_drop = 0.005
max_lost_polyps = 0
min_reference_dice = 0.4
min_agreement = 0.7
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for index in range(2):
        write_png(folder / "test" / "images" / f"{index}.png", np.full((8, 8, 3), 20 + index, np.uint8))
        write_png(folder / "test" / "masks" / f"{index}.png", np.full((8, 8), 255 * index, np.uint8))
    return folder


@pytest.fixture
def file(tmp_path: Path, data: Path) -> Path:
    return write_protocol(tmp_path / "protocol.toml", "the clinic", LIMITS, data).path


def test_the_file_holds_what_was_fixed(file: Path, data: Path) -> None:
    document = tomllib.loads(file.read_text())
    assert document["limits"] == {
        "max_dice_drop": 0.005,
        "max_lost_polyps": 0,
        "min_reference_dice": 0.4,
        "min_agreement": 0.7,
    }
    pairs = load_pairs(data, "test")
    assert document["data"] == {"split": "test", "images": 2, "sha256": hash_pairs(pairs)}
    age = datetime.datetime.now(datetime.timezone.utc) - document["set_at"]
    assert datetime.timedelta(0) <= age < datetime.timedelta(minutes=5)
    read = read_protocol(file)
    assert read.protocol.limits == LIMITS and not read.edited


def test_a_protocol_is_never_written_over(file: Path, data: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(UsageError, match="not changed once it is set"):
        write_protocol(file, "the clinic", LIMITS, data)
    assert file.read_bytes() == before


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "bell\x07"])
def test_it_needs_whoever_sets_it(tmp_path: Path, data: Path, name: str) -> None:
    with pytest.raises(UsageError):
        write_protocol(tmp_path / "protocol.toml", name, LIMITS, data)
    assert not (tmp_path / "protocol.toml").exists()


@settings(max_examples=10)
@given(st.text(min_size=1).filter(lambda text: text.isprintable() and text.strip()))
def test_any_name_survives_the_file(data: Path, name: str) -> None:
    path = data.parent / "any-name.toml"
    path.unlink(missing_ok=True)
    written = write_protocol(path, name, LIMITS, data)
    assert tomllib.loads(path.read_text(encoding="utf-8"))["set_by"] == name.strip() == written.protocol.set_by
    assert not written.edited


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("max_dice_drop = 0.005", "max_dice_drop = 0.05"),
        ("max_lost_polyps = 0", "max_lost_polyps = 1"),
        ("max_lost_polyps = 0\n", ""),
        ("the clinic", "the vendor"),
        ("images = 2", "images = 2 # all of them"),
    ],
)
def test_an_edit_breaks_the_seal(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    assert read_protocol(file).edited
    file.write_text(text.replace("\n", "\r\n"), newline="")
    assert not read_protocol(file).edited, "line ends that a checkout changes are no edit"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("max_dice_drop", "max_dice_drp", "did you mean max_dice_drop"),
        ("max_dice_drop = 0.005", "max_dice_drop = nan", "finite"),
        ("max_dice_drop = 0.005", 'max_dice_drop = "0.005"', "valid number"),
        ("max_dice_drop = 0.005", "max_dice_drop = true", "valid number"),
        ("max_lost_polyps = 0", "max_lost_polyps = -1", "greater than or equal to 0"),
        ("max_lost_polyps = 0", "max_lost_polyps = 0.5", "valid integer"),
        ("+00:00", "", "timezone"),
        ("[seal]", "[sale]", "seal"),
        (LIMITS_TABLE, "", "[limits] and [data] need each other"),
        ("images = 2", "images = 0", "greater than 0"),
    ],
)
def test_what_does_not_hold_together_is_refused(file: Path, old: str, new: str, said: str) -> None:
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(BadInputError) as caught:
        read_protocol(file)
    assert said in str(caught.value.found) or said in str(caught.value)
    assert caught.value.next_command == "edgeseg protocol --help"


def test_no_file_a_folder_and_no_toml(tmp_path: Path) -> None:
    (tmp_path / "junk.toml").write_text("set_by = ")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    for name in ("missing.toml", ".", "junk.toml", "bytes.toml"):
        with pytest.raises(BadInputError):
            read_protocol(tmp_path / name)
