import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.dataset import hash_pairs, load_pairs
from edgeseg.errors import BadInputError, UsageError
from edgeseg.images import write_png
from edgeseg.inspection import inspect_dataset
from edgeseg.splitting import read_sequences, split_dataset


def _heap(folder: Path, contents: list[int]) -> Path:
    for index, seed in enumerate(contents):
        frame = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        write_png(folder / "images" / f"p{index}.png", frame)
        write_png(folder / "masks" / f"p{index}.png", np.zeros((8, 8), np.uint8))
    return folder


def _names(root: Path) -> dict[str, set[str]]:
    return {split.name: {path.name for path in (split / "images").iterdir()} for split in root.iterdir()}


def test_shares_are_met_and_nothing_is_lost(tmp_path: Path) -> None:
    source = _heap(tmp_path / "heap", list(range(40)))
    result = split_dataset(source, tmp_path / "out", validation=0.1, test=0.2)
    assert result.pictures == {"train": 28, "validation": 4, "test": 8}
    names = _names(tmp_path / "out")
    assert {split: len(found) for split, found in names.items()} == result.pictures
    assert set.union(*names.values()) == {f"p{index}.png" for index in range(40)}
    assert result.data_sha256 == hash_pairs(load_pairs(source)) == inspect_dataset(tmp_path / "out").data_sha256
    assert len(load_pairs(source)) == 40


@settings(max_examples=20, deadline=None)
@given(contents=st.lists(st.integers(0, 6), min_size=12, max_size=24), seed=st.integers(0, 3))
def test_the_same_picture_never_lies_in_two_splits(
    contents: list[int], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("split")
    source = _heap(folder / "heap", contents)
    try:
        result = split_dataset(source, folder / "out", 0.15, 0.15, seed)
    except BadInputError:
        assert not (folder / "out").exists()
        assert max(Counter(contents).values()) * 3 >= len(set(contents))  # copies swallow whole splits
        return
    split_of = {name: split for split, names in _names(folder / "out").items() for name in names}
    by_content: dict[int, set[str]] = {}
    for index, content in enumerate(contents):
        by_content.setdefault(content, set()).add(split_of[f"p{index}.png"])
    assert all(len(splits) == 1 for splits in by_content.values())
    assert result.distinct == len(set(contents))
    assert not [problem for problem in inspect_dataset(folder / "out").problems if problem.startswith("leak")]


def test_names_do_not_matter_and_the_seed_does(tmp_path: Path) -> None:
    source = _heap(tmp_path / "heap", list(range(30)))
    renamed = tmp_path / "renamed"
    for part in ("images", "masks"):
        (renamed / part).mkdir(parents=True)
        for path in (source / part).iterdir():
            shutil.copy(path, renamed / part / f"z{path.name[1:]}")
    for target, root, seed in (("a", source, 0), ("b", source, 0), ("c", renamed, 0), ("d", source, 1)):
        split_dataset(root, tmp_path / target, 0.2, 0.2, seed)
    a, b, c, d = (_names(tmp_path / target)["test"] for target in "abcd")
    assert a == b == {f"p{name[1:]}" for name in c}
    assert a != d


def test_a_share_of_nothing_makes_no_folder_and_a_small_share_one_picture(tmp_path: Path) -> None:
    source = _heap(tmp_path / "heap", list(range(5)))
    assert split_dataset(source, tmp_path / "out", 0.0, 0.01).pictures == {"train": 4, "test": 1}
    assert not (tmp_path / "out" / "validation").exists()


def test_files_are_linked_or_else_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = _heap(tmp_path / "heap", list(range(4)))

    def refuse(*_: object) -> None:
        raise OSError("no hard links here")

    monkeypatch.setattr("edgeseg.splitting.os.link", refuse)
    split_dataset(source, tmp_path / "copied", 0.25, 0.25)
    copied = next((tmp_path / "copied" / "test" / "images").iterdir())
    original = source / "images" / copied.name
    assert copied.read_bytes() == original.read_bytes() and not copied.samefile(original)


@pytest.mark.parametrize(("validation", "test"), [(0.5, 0.5), (1.0, 0.0), (-0.1, 0.1), (float("nan"), 0.1)])
def test_senseless_shares_are_refused(validation: float, test: float, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        split_dataset(_heap(tmp_path / "heap", [1, 2, 3]), tmp_path / "out", validation, test)


def test_nothing_is_left_where_the_source_does_not_fit(tmp_path: Path) -> None:
    two = _heap(tmp_path / "two", [1, 2])
    broken = _heap(tmp_path / "broken", list(range(9)))
    (broken / "images" / "p3.png").write_bytes(b"junk")
    done = tmp_path / "done"
    split_dataset(_heap(tmp_path / "nine", list(range(9))), done)
    for source, words in ((two, "too few"), (broken, r"p3\.png"), (done, "is already split")):
        with pytest.raises(BadInputError, match=words):
            split_dataset(source, tmp_path / "out")
        assert not (tmp_path / "out").exists()
    with pytest.raises(BadInputError, match="not empty"):
        split_dataset(tmp_path / "nine", done)


def _table(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["sequence,first,last", *rows]) + "\n")
    return path


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=4, max_size=9), st.integers(0, 3))
def test_a_sequence_never_lies_in_two_splits(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("sequences")
    source = _heap(folder / "heap", list(range(sum(lengths))))
    ends = np.cumsum(lengths)
    rows = [f"{name},{end - length},{end - 1}" for name, (end, length) in enumerate(zip(ends, lengths, strict=True))]
    split_dataset(source, folder / "out", 0.2, 0.2, seed, sequences=read_sequences(_table(folder / "s.csv", *rows)))
    of_frame = {f"p{frame}.png": int(np.searchsorted(ends, frame, side="right")) for frame in range(sum(lengths))}
    names = _names(folder / "out")
    assert sum(map(len, names.values())) == sum(lengths)
    splits_of = Counter(sequence for found in names.values() for sequence in {of_frame[name] for name in found})
    assert set(splits_of.values()) == {1}


def test_copies_join_the_sequences_that_they_lie_in(tmp_path: Path) -> None:
    source = _heap(tmp_path / "heap", [0, 1, 2, 0, 4, 5, 6, 7])  # frame 3 is a copy of frame 0
    rows = ("a,0,1", "b,2,3", "c,4,5", "d,6,7")
    for seed in range(4):
        out = tmp_path / f"out{seed}"
        split_dataset(source, out, 0.25, 0.25, seed, sequences=read_sequences(_table(tmp_path / "s.csv", *rows)))
        assert any({f"p{frame}.png" for frame in range(4)} <= found for found in _names(out).values())


@pytest.mark.parametrize(
    ("text", "words"),
    [("sequence,first\na,1\n", "no table of sequences"), ("sequence,first,last\na,one,2\n", "no table of sequences"),
     ("sequence,first,last\n", "has no rows")],
)  # fmt: skip
def test_a_table_that_is_none_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(BadInputError, match=words):
        read_sequences(tmp_path / "s.csv")


def test_an_image_of_no_sequence_is_refused(tmp_path: Path) -> None:
    source = _heap(tmp_path / "heap", list(range(6)))
    sequences = read_sequences(_table(tmp_path / "s.csv", "a,0,2", "b,3,4"))
    with pytest.raises(BadInputError, match=r"p5.png belongs to no one sequence"):
        split_dataset(source, tmp_path / "out", sequences=sequences)


def test_labels_are_split_as_well(tmp_path: Path) -> None:
    source = _heap(tmp_path / "heap", list(range(10)))
    for index in range(10):
        write_png(source / "masks" / f"p{index}.png", np.resize(np.array([0, 1, 2], np.uint8), (8, 8)))
    assert split_dataset(source, tmp_path / "out").pictures == {"train": 8, "validation": 1, "test": 1}
