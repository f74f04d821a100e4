import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.cli import run
from edgeseg.dataset import hash_files, hash_pairs, load_images, load_pairs
from edgeseg.images import read_rgb, write_png
from edgeseg.inspection import DatasetReport

SMALL = ["--train", "2", "--validation", "1", "--test", "1", "--height", "40", "--width", "48"]


@pytest.fixture
def data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert run(["data", "synth", "--out", str(tmp_path / "data"), *SMALL]) == 0
    capsys.readouterr()
    return tmp_path / "data"


def _json(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_synth_writes_what_its_json_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, clip, masks = tmp_path / "d", tmp_path / "c.mp4", tmp_path / "m"
    size = ["--clip-height", "32", "--clip-width", "48"]
    arguments = [
        "--out",
        str(out),
        *SMALL,
        "--clip",
        str(clip),
        "--clip-frames",
        "3",
        "--clip-masks",
        str(masks),
        *size,
    ]
    assert run(["data", "synth", *arguments, "--json"]) == 0
    result = _json(capsys)
    pairs = [pair for split in ("train", "validation", "test") for pair in load_pairs(out, split)]
    assert result["pictures"] == {"train": 2, "validation": 1, "test": 1}
    assert result["data_sha256"] == hash_pairs(pairs)
    assert result["clip_frames"] == 3 == len(list(masks.iterdir()))
    assert pairs[0].read()[0].shape == (40, 48, 3)
    assert clip.stat().st_size > 1000


@pytest.mark.parametrize(
    "extra",
    [
        ["--clip", "c.mp4", "--clip-width", "47"],
        ["--clip-masks", "m"],
        ["--train", "0", "--validation", "0", "--test", "0"],
        ["--clip", "file/c.mp4"],
        ["--clip", "c.mp4", "--clip-masks", "d"],
        ["--clip", "c.mp4", "--clip-masks", "file"],
        ["--clip", "."],
    ],
)
def test_synth_leaves_nothing_behind_when_refused(
    extra: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("in the way")
    assert run(["data", "synth", "--out", "d", *SMALL, *extra]) in (2, 5)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert capsys.readouterr().out == ""


def test_synth_keeps_what_is_there(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(data.rglob("*"))
    assert run(["data", "synth", "--out", str(data), *SMALL, "--json"]) == 5
    assert _json(capsys)["exit_code"] == 5
    assert sorted(data.rglob("*")) == before


@pytest.mark.parametrize("option", [["--seed", "-1"], ["--height", "8"], ["--train", "-2"]])
def test_values_out_of_range_are_usage_errors(option: list[str], tmp_path: Path) -> None:
    assert run(["data", "synth", "--out", str(tmp_path / "d"), *option]) == 2
    assert list(tmp_path.iterdir()) == []


def test_inspect_shows_a_sound_data_set(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "inspect", str(data)]) == 0
    printed = capsys.readouterr().out
    assert "validation" in printed and "no problems" in printed
    assert run(["data", "inspect", str(data), "--json"]) == 0
    report = DatasetReport.from_json(capsys.readouterr().out)
    assert [(split.name, split.pairs) for split in report.splits] == [("train", 2), ("validation", 1), ("test", 1)]


def test_inspect_names_problems_and_leaves_with_5(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "test" / "masks" / "test_00000.png").unlink()
    assert run(["data", "inspect", str(data)]) == 5
    streams = capsys.readouterr()
    assert "test: image test_00000.jpg has no mask" in streams.out
    assert "problem" in streams.err
    assert run(["data", "inspect", str(data), "--json"]) == 5
    assert "test: image test_00000.jpg has no mask" in _json(capsys)["problems"]


def test_inspect_of_nothing_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "inspect", str(tmp_path / "none"), "--json"]) == 5
    assert "no data set" in _json(capsys)["what"]


def test_split_divides_and_inspect_agrees(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heap = tmp_path / "heap"
    assert run(["data", "synth", "--out", str(tmp_path / "more"), *SMALL, "--train", "6"]) == 0
    (tmp_path / "more" / "train").rename(heap)
    capsys.readouterr()
    options = ["--validation", "0.2", "--test", "0.3", "--json"]
    assert run(["data", "split", str(heap), "--out", str(tmp_path / "s"), *options]) == 0
    assert _json(capsys)["pictures"] == {"train": 3, "validation": 1, "test": 2}
    assert run(["data", "inspect", str(tmp_path / "s")]) == 0


def test_split_refuses_a_split_data_set(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "split", str(data), "--out", str(tmp_path / "s")]) == 5
    assert "already split" in capsys.readouterr().err
    assert run(["data", "split", str(data), "--out", str(tmp_path / "s"), "--test", "1.5"]) == 2
    assert not (tmp_path / "s").exists()


def test_the_module_loads_without_heavy_packages() -> None:
    code = "import sys, edgeseg.cli.data; print([m for m in ('cv2', 'av', 'numpy', 'torch') if m in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"


def test_negatives_from_a_clip_a_folder_and_windows(
    data: Path, numbered_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "negatives"
    sources = [f"{data / 'test'}", f"{numbered_clip}@10:20:5"]
    assert run(["data", "negatives", *sources, "--windows", str(data), "--out", str(out), "--json"]) == 0
    result = _json(capsys)
    assert [(part["source"], part["pictures"]) for part in result["sources"][:2]] == [("test", 1), ("numbered", 2)]
    assert result["pictures"] == len(load_images(out)) == len((out / "negatives.csv").read_text().splitlines()) - 1
    assert result["data_sha256"] == hash_files(load_images(out))


def test_a_person_reads_what_each_source_gave(
    numbered_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", "negatives", f"{numbered_clip}@:3", "--out", str(tmp_path / "n")]) == 0
    printed = capsys.readouterr().out
    assert "3  numbered, frames :3" in printed
    assert f"3 pictures in {tmp_path / 'n'}" in printed


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "nothing to take pictures from"),
        (["none.mp4"], 5, "no source at none.mp4"),
        (["none.mp4@3:5"], 5, "no source at none.mp4"),
        (["CLIP@3"], 2, "'3' is no range of frames"),
        (["CLIP@99:"], 2, "no frame in the range 99:"),
        (["CLIP", "--margin", "0.1"], 2, "no --windows DATA"),
        (["--windows", "none"], 5, "no data set at none"),
    ],
)
def test_negatives_that_are_refused_leave_nothing_behind(
    arguments: list[str], code: int, words: str, numbered_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [argument.replace("CLIP", str(numbered_clip)) for argument in arguments]
    assert run(["data", "negatives", *given, "--out", str(tmp_path / "n")]) == code
    streams = capsys.readouterr()
    assert words in streams.err
    assert streams.out == ""
    assert not (tmp_path / "n").exists()


def test_statistics_of_a_data_set_are_written_and_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = tmp_path / "data" / "train" / "images"
    images.mkdir(parents=True)
    levels = np.arange(60, 200, 7)
    for level in levels:
        write_png(images / f"{level}.png", np.full((40, 40, 3), level, np.uint8))
    out = tmp_path / "statistics.json"
    arguments = ["data", "statistics", str(tmp_path / "data"), "--out", str(out), "--height", "32", "--width", "32"]
    assert run([*arguments, "--json"]) == 0
    printed = _json(capsys)
    assert printed == json.loads(out.read_text())
    assert printed["spreads"]["brightness"]["mean"] == pytest.approx(levels.mean())
    assert run([*arguments, "--split", "test"]) == 5


def test_convert_makes_labels_the_polyp(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(3):
        labels = np.zeros((24, 32), np.uint8)
        labels[:6], labels[-4:] = 1, 2
        frame = np.random.default_rng(index).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        write_png(tmp_path / "in" / "images" / f"{index}.png", frame)
        write_png(tmp_path / "in" / "masks" / f"{index}.png", labels)
    assert run(["data", "inspect", str(tmp_path / "in"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == 2
    command = ["data", "convert", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    assert run([*command, "--foreground", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pictures"] == {"all": 3}
    assert [int((pair.read()[1] > 0).sum()) for pair in load_pairs(tmp_path / "out")] == [4 * 32] * 3
    assert run([*command[:-1], str(tmp_path / "other"), "--foreground", "polyp"]) == 2


def test_inspect_draws_a_contact_sheet(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = tmp_path / "sheet.png"
    assert run(["data", "inspect", str(data), "--sheet", str(sheet), "--pictures", "3", "--json"]) == 0
    DatasetReport.model_validate(_json(capsys))
    assert read_rgb(sheet).shape[1] == 3 * 240
    assert run(["data", "inspect", str(data), "--sheet", "sheet.jpg"]) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ignore", "3"], "--ignore works with --labels only"),
        (["--labels", "1,2", "--foreground", "1"], "--labels excludes --foreground"),
        (["--labels", "one"], "--labels one is no list of labels"),
    ],
)
def test_convert_refuses_options_that_mean_nothing_together(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert run(["data", "convert", str(data), "--out", str(tmp_path / "out"), *words]) == 2
    assert message in capsys.readouterr().err
