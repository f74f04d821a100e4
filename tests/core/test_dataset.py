import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.dataset import Pair, hash_files, hash_pairs, load_images, load_pairs, split_folder
from edgeseg.errors import BadInputError
from edgeseg.images import encode_jpeg, write_png


def _frame(seed: int, height: int = 12, width: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _add(folder: Path, name: str, seed: int = 0) -> None:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "images" / f"{name}.jpg").write_bytes(encode_jpeg(_frame(seed)))
    write_png(folder / "masks" / f"{name}.png", (_frame(seed)[..., 0] > 127).astype(np.uint8) * 255)


def test_pairs_join_by_stem_over_suffixes_and_come_sorted(tmp_path: Path) -> None:
    for index, name in enumerate(["b", "a", "c.1"]):
        _add(tmp_path, name, index)
    pairs = load_pairs(tmp_path)
    assert [(pair.name, pair.image.suffix, pair.mask.suffix) for pair in pairs] == [
        ("a", ".jpg", ".png"),
        ("b", ".jpg", ".png"),
        ("c.1", ".jpg", ".png"),
    ]
    frame, mask = pairs[0].read()
    assert frame.shape == (12, 16, 3) and mask.shape == (12, 16)
    np.testing.assert_array_equal(mask > 0, _frame(1)[..., 0] > 127)


def test_a_split_is_taken_where_there_are_splits_and_ignored_where_not(tmp_path: Path) -> None:
    _add(tmp_path / "with" / "train", "a")
    _add(tmp_path / "with" / "test", "b")
    _add(tmp_path / "without", "c")
    assert [pair.name for pair in load_pairs(tmp_path / "with", "test")] == ["b"]
    assert [pair.name for pair in load_pairs(tmp_path / "without", "test")] == ["c"]
    with pytest.raises(BadInputError) as caught:
        load_pairs(tmp_path / "with", "validation")
    assert caught.value.found == "train, test"


def test_lonely_files_are_all_named(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        _add(tmp_path, name)
    (tmp_path / "images" / "a.jpg").unlink()
    (tmp_path / "masks" / "b.png").unlink()
    with pytest.raises(BadInputError) as caught:
        load_pairs(tmp_path)
    assert caught.value.found == "1 images without a mask (b), 1 masks without an image (a)"


def test_two_images_of_one_stem_are_refused(tmp_path: Path) -> None:
    _add(tmp_path, "a")
    write_png(tmp_path / "images" / "a.png", _frame(5))
    with pytest.raises(BadInputError, match="share the name a"):
        load_pairs(tmp_path)


def test_missing_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="there is no data set"):
        split_folder(tmp_path / "none", None)
    (tmp_path / "images").mkdir()
    with pytest.raises(BadInputError, match="no folder masks"):
        load_pairs(tmp_path)
    (tmp_path / "masks").mkdir()
    with pytest.raises(BadInputError, match="holds no images"):
        load_pairs(tmp_path)
    with pytest.raises(BadInputError, match="holds no images"):
        load_images(tmp_path)


def test_images_come_from_a_data_set_or_a_plain_folder(tmp_path: Path) -> None:
    _add(tmp_path / "set" / "train", "a")
    write_png(tmp_path / "plain" / "x.png", _frame(1))
    assert [path.name for path in load_images(tmp_path / "set", "train")] == ["a.jpg"]
    assert [path.name for path in load_images(tmp_path / "plain", "train")] == ["x.png"]


def test_sizes_that_differ_are_refused_with_both(tmp_path: Path) -> None:
    write_png(tmp_path / "i.png", _frame(0, 10, 20))
    write_png(tmp_path / "m.png", np.zeros((10, 21), np.uint8))
    with pytest.raises(BadInputError) as caught:
        Pair("i", tmp_path / "i.png", tmp_path / "m.png").read()
    assert caught.value.found == "image 20x10, mask 21x10"


@settings(max_examples=25, deadline=None)
@given(contents=st.lists(st.binary(max_size=20), min_size=1, max_size=6), data=st.data())
def test_file_hash_ignores_names_and_order_only(
    contents: list[bytes], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("files")
    paths = [folder / str(index) for index in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    expected = hash_files(paths)
    assert hash_files(data.draw(st.permutations(paths))) == expected
    by_hand = sorted(hashlib.sha256(content).hexdigest() for content in contents)
    assert expected == hashlib.sha256("\n".join(by_hand).encode()).hexdigest()
    paths[0].write_bytes(contents[0] + b"!")
    assert hash_files(paths) != expected


def test_pair_hash_notices_swapped_masks(tmp_path: Path) -> None:
    for index, name in enumerate("ab"):
        _add(tmp_path, name, index)
    a, b = load_pairs(tmp_path)
    assert hash_pairs([a, b]) == hash_pairs([b, a])
    assert hash_pairs([a, b]) != hash_pairs([Pair("a", a.image, b.mask), Pair("b", b.image, a.mask)])
