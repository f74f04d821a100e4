"""Documents that were read wrongly, or ended in an error that is not ours, before they were fuzzed."""

from __future__ import annotations

import json
import os
import resource
import time
from pathlib import Path

import numpy as np
import pytest

from edgeseg.artifact_text import describe
from edgeseg.artifacts import CalibrationTable, EngineArtifact, Range
from edgeseg.cli import run
from edgeseg.cli.config_file import read_config
from edgeseg.conversion.coco import CocoPicture, mask_of, segmentation_mask
from edgeseg.conversion.convert import convert_dataset
from edgeseg.dataset.pair_table import layout_of_table
from edgeseg.errors import BadInputError, EdgesegError
from edgeseg.images import write_png
from edgeseg.proof.clips.clip_file import read_clips
from edgeseg.proof.clips.live_delays import read_live_delays
from edgeseg.proof.evaluation.polyp_clip import read_ranges
from edgeseg.shell import is_own_command, quoted

TABLE = CalibrationTable(
    method="max",
    image_count=1,
    data_sha256="a",
    weights_sha256="b",
    ranges={"x": Range(minimum=0, maximum=1, amax=1)},
).to_json()


@pytest.mark.parametrize(
    "text",
    [
        TABLE.replace('"amax": 1.0', '"amax": Infinity'),
        TABLE.replace('"amax": 1.0', '"amax": "Infinity"'),
        TABLE.replace('"maximum": 1.0', '"maximum": NaN'),
        TABLE.replace('"maximum": 1.0', '"maximum": 1e999'),
        TABLE.replace('"method": "max"', '"method": "max", "method": "entropy"'),
        TABLE.replace('"amax": 1.0', '"amax": 1.0, "amax": 2.0'),
        TABLE.replace('"b"', "[" * 5000 + "]" * 5000),
    ],
)
def test_a_table_whose_readers_could_disagree_is_refused(text: str) -> None:
    CalibrationTable.from_json(TABLE)
    with pytest.raises(BadInputError, match="is not a valid CalibrationTable"):
        CalibrationTable.from_json(text)


@pytest.mark.parametrize("text", ["[]", "7", "{", "[" * 5000, '{"a": NaN}', "\ufeff{}"])
def test_a_record_of_a_run_that_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "recipe.toml").touch()
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(BadInputError, match=r"run\.json"):
        describe(tmp_path)


@pytest.mark.parametrize("value", [[], "a", {"p50": []}])
def test_a_live_report_of_another_form_is_refused(tmp_path: Path, value: object) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"engine": value, "picture_age_ms": value, "mask_age_ms": value}))
    with pytest.raises(BadInputError, match="no report of live video"):
        read_live_delays(tmp_path / "a.json", "0")


def test_an_integer_of_any_length_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "live.toml").write_text("threads = 0x" + "f" * 5000)
    with pytest.raises(BadInputError, match="is no TOML") as caught:
        read_config(tmp_path / "live.toml", {"threads": int}, "live")
    assert caught.value.next_command == "edgeseg live --help"


@pytest.mark.parametrize("cell", ["a" * 200_000, "a" * 5000, "1" * 5000, "a\0b"])
def test_cells_that_no_path_has_are_refused(tmp_path: Path, cell: str) -> None:
    (tmp_path / "pairs.csv").write_text(f"image,mask\n{cell},b.png\n")
    with pytest.raises(BadInputError, match=r"pairs\.csv"):
        layout_of_table(tmp_path / "pairs.csv")
    (tmp_path / "a.csv").write_text(f"first,last\n{cell},9\n")
    with pytest.raises(BadInputError, match=r"a\.csv"):
        read_ranges(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["a" * 300, "a\\u0000b", "loop"])
def test_a_clip_with_a_name_that_no_file_has_is_no_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "clips.toml").write_text(f'[[clips]]\npath = "{name}"\npolyp = false\n')
    with pytest.raises(BadInputError, match="is no file"):
        read_clips(tmp_path / "clips.toml")


HUGE = [[0, 0, 1e12, 0, 5, 5]]


@pytest.mark.parametrize(
    "segmentation",
    [HUGE, [[0, 0, 2e6, 0, 5, 5]] * 2, [[float("inf"), 0, 1, 1, 2, 2]], {"size": [16, 16], "counts": "o" * 200_000}],
)
def test_an_outline_or_run_length_that_no_picture_has_costs_nothing(segmentation: object) -> None:
    before, started_s = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(ValueError, match=r"outline|run length|corners"):
        segmentation_mask(segmentation, 16, 16)
    assert time.process_time() - started_s < 1.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_a_category_that_is_no_number_is_refused(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.zeros((16, 16, 3), np.uint8))
    entry = {"image_id": 1, "category_id": [1], "segmentation": [[0, 0, 5, 0, 5, 5]]}
    picture = CocoPicture(tmp_path / "a.png", 16, 16, (entry,))
    with pytest.raises(BadInputError, match="a segmentation that cannot be read"):
        mask_of(picture, frozenset({1}), tmp_path / "coco.json")


def test_corners_somewhat_outside_are_cut_off_as_before() -> None:
    inside = segmentation_mask([[-1000, -1000, 1000, -1000, 1000, 1000, -1000, 1000]], 16, 16)
    np.testing.assert_array_equal(inside, np.ones((16, 16), bool))


@pytest.mark.parametrize(
    "part", [{"images": [7]}, {"categories": ["a"]}, {"annotations": 1.5}, {"categories": [{"id": 1e308 * 10}]}]
)
def test_coco_of_another_form_is_refused(tmp_path: Path, part: dict[str, object]) -> None:
    write_png(tmp_path / "set" / "a.png", np.zeros((16, 16, 3), np.uint8))
    document = {"images": [], "categories": [], "annotations": []} | part
    (tmp_path / "set" / "coco.json").write_text(json.dumps(document))
    with pytest.raises(BadInputError):
        convert_dataset(tmp_path / "set", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("command", "is_own"),
    [
        ("edgeseg build-engine model.onnx --precision int8 --out a.engine", True),
        (f"edgeseg build-engine {quoted('it is $(x); /tmp/é')} --out a", True),
        ("edgeseg build-engine 'a\u3000b.onnx'", True),
        ("edgeseg build-engine '\x1b[2J'", False),
        ("edgeseg build-engine a; rm -rf ~", False),
        ("edgeseg build-engine $(x)", False),
        ("edgeseg build-engine 'a' \"`x`\"", False),
        ("edgeseg build-engine a\nx", False),
        ("edgeseg build-engine a > ~/.bashrc", False),
        ("curl http://x | sh", False),
        ("edgesegx", False),
    ],
)
def test_a_passport_suggests_nothing_but_a_command_of_ours(tiny_engine: Path, command: str, is_own: bool) -> None:
    assert is_own_command(command) == is_own
    path = tiny_engine.with_name(tiny_engine.name + ".json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"rebuild": command}))
    if is_own:
        assert EngineArtifact.read(path).rebuild == command
    else:
        with pytest.raises(BadInputError, match="EngineArtifact") as caught:
            EngineArtifact.read(path)
        assert caught.value.next_command is None


def test_a_file_moves_no_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = BadInputError("a\x1b[2J\nb", found="\x07\u202e", expected="\x9b", next_command="\x1b]0;t\x07")
    assert str(error).isascii() and error.what == "a\\x1b[2J\nb" and error.found == "\\x07\\u202e"
    (tmp_path / "\x1b[31mred.json").write_text("{}")
    assert run(["inspect", str(tmp_path / "\x1b[31mred.json")]) == 5
    assert "\x1b" not in "".join(capsys.readouterr())


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["a.json", "a.toml", "a.onnx", "a.engine", "folder"])
def test_inspect_never_waits_and_never_shows_a_traceback(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(path), Path.mkdir):
        make(path)
        assert run(["inspect", str(path)]) == EdgesegError("").exit_code + 4
        assert "a defect" not in capsys.readouterr().err
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
