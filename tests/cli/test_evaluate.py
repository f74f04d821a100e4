import json
from pathlib import Path

import numpy as np
import pytest

from edgeseg.cli import run
from edgeseg.graph.onnx_files import load_onnx, serialize
from edgeseg.graph.threshold_shift import with_threshold
from edgeseg.images import read_rgb, write_png


@pytest.fixture
def bright_rows(tmp_path: Path) -> Path:
    """Two images with 8 bright rows of 32; the second mask marks 16."""
    for index, rows in enumerate((8, 16)):
        frame, mask = np.full((32, 32, 3), 20, np.uint8), np.zeros((32, 32), np.uint8)
        frame[:8], mask[:rows] = 230, 255
        write_png(tmp_path / "data" / "test" / "images" / f"{index}.png", frame)
        write_png(tmp_path / "data" / "test" / "masks" / f"{index}.png", mask)
    return tmp_path / "data"


@pytest.mark.parametrize("model", ["tiny_onnx", "tiny_engine"])
def test_json_is_all_there_is_on_stdout(model, bright_rows, request, capsys) -> None:
    path = request.getfixturevalue(model)
    assert run(["evaluate", str(path), str(bright_rows), "--json"]) == 0
    evaluation = json.loads(capsys.readouterr().out)
    assert evaluation["mean_dice"] == pytest.approx((1 + 2 * 8 / 24) / 2)
    assert evaluation["mean_iou"] == pytest.approx((1 + 1 / 2) / 2)
    assert [row["name"] for row in evaluation["per_image"]] == ["0", "1"]


def test_a_person_reads_the_means(tiny_onnx, bright_rows, capsys) -> None:
    assert run(["evaluate", str(tiny_onnx), str(bright_rows)]) == 0
    assert "mean Dice 0.8333, mean IoU 0.7500, 2 images" in capsys.readouterr().out


def test_a_model_package(tiny_onnx, bright_rows, tmp_path, capsys) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "model.onnx").write_bytes(tiny_onnx.read_bytes())
    assert run(["evaluate", str(package), str(bright_rows)]) == 0


@pytest.mark.parametrize("arguments", [["--split", "train"], ["--split", "nonsense"]])
def test_a_split_that_is_not_there(tiny_onnx, bright_rows, capsys, arguments) -> None:
    assert run(["evaluate", str(tiny_onnx), str(bright_rows), "--json", *arguments]) == 5
    assert json.loads(capsys.readouterr().out)["exit_code"] == 5


def test_images_without_masks(tiny_onnx, bright_rows, capsys) -> None:
    (bright_rows / "test" / "masks" / "1.png").unlink()
    assert run(["evaluate", str(tiny_onnx), str(bright_rows)]) == 5


def test_a_model_that_is_not_there(bright_rows, tmp_path, capsys) -> None:
    assert run(["evaluate", str(tmp_path / "none.onnx"), str(bright_rows)]) == 5


def test_the_contract_keeps_its_keys_and_gains_others(tiny_onnx, bright_rows, capsys) -> None:
    assert run(["evaluate", str(tiny_onnx), str(bright_rows), "--tolerance-px", "8", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["tolerance_px"] == 8
    assert document["mean_sensitivity"] == pytest.approx((1 + 1 / 2) / 2)
    assert document["detection"] == {
        "images_with_polyp": 2,
        "found": 2,
        "touched": 2,
        "found_share": 1,
        "touched_share": 1,
    }
    assert [group["image_count"] for group in document["by_size"]] == [0, 0, 2]
    assert document["dice_interval"]["low"] <= document["mean_dice"] <= document["dice_interval"]["high"]
    assert document["per_image"][1]["hd95_px"] == 8


@pytest.fixture
def still_images(tmp_path: Path) -> Path:
    """Four images without a polyp; the network marks half of the last two."""
    for index in range(4):
        picture = np.full((32, 32, 3), 20, np.uint8)
        picture[: 16 * (index > 1)] = 230
        write_png(tmp_path / "stills" / f"{index}.png", picture)
    return tmp_path / "stills"


@pytest.mark.parametrize("model", ["tiny_onnx", "tiny_engine"])
def test_false_alarms_without_labelled_images(model, still_images, request, capsys) -> None:
    path = str(request.getfixturevalue(model))
    assert run(["evaluate", path, "--negatives", str(still_images), "--frames", "-3:", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document) == ["negatives"]
    alarms = document["negatives"]
    assert (alarms["frame_count"], alarms["alarm_count"], alarms["mean_false_area"]) == (3, 2, pytest.approx(1 / 3))
    assert [row["name"] for row in alarms["per_frame"]] == ["1", "2", "3"]


def test_false_alarms_of_a_video(tiny_onnx, numbered_clip, capsys) -> None:
    words = ["evaluate", str(tiny_onnx), "--negatives", str(numbered_clip), "--frames", "1:4"]
    assert run(words) == 0
    assert "on 100.0 % of 3 frames (3, at most 3 in a row)" in capsys.readouterr().out


def test_the_polyp_clip_in_the_ranges_that_show_the_polyp(tiny_onnx, numbered_clip, capsys) -> None:
    words = ["evaluate", str(tiny_onnx), "--positives", str(numbered_clip), "--frames", "0:2,8:11,39:"]
    assert run([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["positives"]
    assert [row["index"] for row in found["per_frame"]] == [0, 1, 8, 9, 10, 39]
    assert found["counting_share"] == 5 / 6  # frame 0 is black
    assert run(words) == 0
    assert "masks of at least 1.0 % on 83.3 % of 6 frames" in capsys.readouterr().out


def test_both_ends_in_one_call(tiny_onnx, numbered_clip, still_images, capsys) -> None:
    words = ["evaluate", str(tiny_onnx), "--negatives", f"{still_images}@-3:", "--positives", f"{numbered_clip}@0:4:2"]
    assert run([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["negatives"]["frames"], document["negatives"]["alarm_share"]) == ("-3:", 2 / 3)
    assert (document["positives"]["frames"], document["positives"]["counting_share"]) == ("0:4:2", 1 / 2)
    assert run(["evaluate", str(tiny_onnx), "--negatives", f"{still_images}@-3:", "--frames", "1:"]) == 2
    assert "chosen twice" in capsys.readouterr().err


def test_a_polyp_clip_with_labels(tiny_onnx, numbered_clip, tmp_path, capsys) -> None:
    (tmp_path / "shown.csv").write_text("first,last\n0,1\n")
    words = [
        "evaluate",
        str(tiny_onnx),
        "--positives",
        str(numbered_clip),
        "--polyp-frames",
        str(tmp_path / "shown.csv"),
    ]
    assert run([*words, "--json"]) == 0
    labelled = json.loads(capsys.readouterr().out)["positives"]["labelled"]
    assert (labelled["polyp_frames"], labelled["found_share"]) == (2, 1 / 2)  # frame 0 is black
    assert run(words) == 0
    assert "of the 2 frames said to show the polyp 50.0 % found" in capsys.readouterr().out


def test_sheet_and_report(tiny_onnx, bright_rows, still_images, tmp_path, capsys) -> None:
    words = ["evaluate", str(tiny_onnx), str(bright_rows), "--negatives", str(still_images)]
    outputs = ["--sheet", str(tmp_path / "out" / "sheet.png"), "--report", str(tmp_path / "report"), "--pictures", "1"]
    assert run([*words, *outputs, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "report" / "evaluation.json").read_text()) == document
    assert "The worst 1 of 2 images" in (tmp_path / "report" / "evaluation.html").read_text()
    assert read_rgb(tmp_path / "out" / "sheet.png").shape[1] == 240
    assert run(["inspect", str(tmp_path / "report" / "evaluation.json"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"kind": "Evaluation", **document}


def test_an_evaluation_is_inspected(tiny_onnx, bright_rows, still_images, tmp_path, capsys) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(serialize(with_threshold(load_onnx(tiny_onnx).proto, 0.9)))
    sources = ["--negatives", str(still_images), "--positives", str(still_images)]
    words = ["evaluate", str(tiny_onnx), str(bright_rows), *sources, "--compare", str(other)]
    assert run([*words, "--seeds", str(other), "--report", str(tmp_path)]) == 0
    capsys.readouterr()
    assert run(["inspect", str(tmp_path / "evaluation.json")]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "mean Dice 0.8333, 95 % interval 0.6667 to 1.0000" in told
    assert "polyps found 2 of 2 at IoU 0.5, 2 touched" in told
    assert "large polyps 2 images, mean Dice 0.8333, 100.0 % found" in told
    for name in ("false alarms on", "polyp clip masks", "trainings 2", f"against {other} mean Dice"):
        assert name in told


def test_an_evaluation_without_labels_is_inspected(tiny_onnx, still_images, tmp_path, capsys) -> None:
    assert run(["evaluate", str(tiny_onnx), "--negatives", str(still_images), "--report", str(tmp_path)]) == 0
    capsys.readouterr()
    assert run(["inspect", str(tmp_path / "evaluation.json")]) == 0
    told = capsys.readouterr().out
    assert "false alarms" in told and "mean Dice" not in told


@pytest.mark.parametrize("text", ["{}", "[]", "3", "{", '{"negatives": {}}', '{"per_image": []}'])
def test_what_is_no_evaluation_is_refused(text: str, tmp_path, capsys) -> None:
    (tmp_path / "evaluation.json").write_text(text)
    assert run(["inspect", str(tmp_path / "evaluation.json")]) == 5
    assert "no document of edgeseg" in capsys.readouterr().err


def test_no_sheet_where_nothing_was_marked(tiny_onnx, still_images, tmp_path, capsys) -> None:
    words = ["--negatives", str(still_images), "--frames", ":2", "--sheet", str(tmp_path / "sheet.png")]
    assert run(["evaluate", str(tiny_onnx), *words]) == 0
    assert "nothing was marked" in capsys.readouterr().err
    assert not (tmp_path / "sheet.png").exists()


def test_compare_prints_the_paired_difference(tiny_onnx, tiny_engine, bright_rows, capsys) -> None:
    words = ["evaluate", str(tiny_onnx), str(bright_rows), "--compare", str(tiny_engine)]
    assert run([*words, "--json"]) == 0
    (difference,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert (difference["dice_difference"], difference["images_worse"]) == (0, 0)
    assert run(words) == 0
    assert "+0.0000 to +0.0000" in capsys.readouterr().out


def test_seeds_give_mean_and_sd(tiny_onnx, bright_rows, tmp_path, capsys) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(serialize(with_threshold(load_onnx(tiny_onnx).proto, 0.999999)))
    words = ["evaluate", str(tiny_onnx), str(bright_rows), "--seeds", str(other)]
    assert run([*words, "--json"]) == 0
    seeds = json.loads(capsys.readouterr().out)["seeds"]
    dice = seeds["spreads"]["mean_dice"]
    assert seeds["models"] == [str(tiny_onnx), str(other)]
    assert (dice["mean"], dice["sd"]) == (np.mean(dice["values"]), pytest.approx(np.std(dice["values"], ddof=1)))
    assert dice["values"] == pytest.approx([5 / 6, 0])
    assert run(words) == 0
    assert "2 trainings" in capsys.readouterr().out
    assert run(["evaluate", str(tiny_onnx), str(bright_rows), "--seeds", str(tiny_onnx)]) == 2


@pytest.fixture
def validated(bright_rows: Path) -> Path:
    (bright_rows / "test").rename(bright_rows / "validation")
    return bright_rows


def test_a_threshold_is_chosen_on_validation_and_used(tiny_onnx, validated, still_images, tmp_path, capsys) -> None:
    words = ["evaluate", str(tiny_onnx), str(validated), "--choose-threshold", "--negatives", str(still_images)]
    assert run([*words, "--max-false-alarms", "0.5", "--report", str(tmp_path / "report"), "--json"]) == 0
    choice = json.loads(capsys.readouterr().out)
    assert (choice["threshold"], choice["meets_limit"], len(choice["points"])) == (0.5, True, 16)
    assert (tmp_path / "report" / "threshold.html").is_file()
    file = str(tmp_path / "report" / "threshold.json")
    assert run(["evaluate", str(tiny_onnx), str(validated), "--split", "validation", "--threshold", file]) == 0
    assert "mean Dice 0.8333" in capsys.readouterr().out
    assert run(["evaluate", str(tiny_onnx), str(validated), "--split", "validation", "--threshold", "0.9999999"]) == 0
    assert "mean Dice 0.0000" in capsys.readouterr().out


def test_a_lower_threshold_may_cost_some_dice(tiny_onnx, validated, still_images, tmp_path, capsys) -> None:
    words = ["evaluate", str(tiny_onnx), str(validated), "--choose-threshold", "--negatives", str(still_images)]
    words += ["--max-false-alarms", "1", "--max-dice-loss", "1", "--report", str(tmp_path)]
    assert run(words) == 0
    assert "threshold 0.05: the lowest within 1 of the highest Dice with false alarms on at most 100" in (
        capsys.readouterr().out
    )
    assert "within 1 of the highest Dice that keeps false alarms within 100 %" in (
        tmp_path / "threshold.html"
    ).read_text(encoding="utf-8")


def test_a_limit_that_no_threshold_keeps_is_out_of_tolerance(
    tiny_onnx, validated, still_images, tmp_path, capsys
) -> None:
    words = ["evaluate", str(tiny_onnx), str(validated), "--choose-threshold", "--negatives", str(still_images)]
    assert run([*words, "--max-false-alarms", "0.1"]) == 3
    assert "no threshold keeps the limit" in capsys.readouterr().out
    assert run([*words, "--max-false-alarms", "0.1", "--max-dice-loss", "0.1", "--report", str(tmp_path)]) == 3
    assert "no threshold keeps the limit" in capsys.readouterr().out
    page = (tmp_path / "threshold.html").read_text(encoding="utf-8")
    assert "No threshold keeps the false alarms within 10 %" in page
    assert "The lowest threshold" not in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to evaluate on"),
        (["DATA", "--frames", "3:"], "--frames chooses from one source"),
        (["--negatives", "X", "--positives", "X", "--frames", "3:"], "--frames chooses from one source"),
        (["--negatives", "X", "--frames", "three"], "no range of frames"),
        (["--negatives", "X", "--frames", "9:"], "no frame in the range"),
        (["--negatives", "X", "--false-mask-share", "1.5"], "no share of a picture"),
        (["--negatives", "X", "--polyp-frames", "f.csv"], "--polyp-frames says"),
        (["DATA", "--max-false-alarms", "0.1"], "--max-false-alarms needs --choose-threshold"),
        (["DATA", "--choose-threshold", "--max-dice-loss", "nan"], "less than or equal to 1"),
        (["DATA", "--max-dice-loss", "0.1"], "--max-dice-loss needs --choose-threshold"),
        (["DATA", "--choose-threshold", "--threshold", "0.7"], "--threshold works only without"),
        (
            ["DATA", "--choose-threshold", "--split", "test", "--max-false-alarms", "0.1"],
            "needs frames without a polyp",
        ),
        (["--choose-threshold"], "on labelled images"),
        (["DATA", "--threshold", "1"], "no threshold"),
        (["DATA", "--sheet", "sheet.jpg"], "--sheet writes a PNG file"),
    ],
)
def test_words_that_mean_nothing_together(tiny_onnx, bright_rows, still_images, capsys, words, message) -> None:
    places = {"DATA": str(bright_rows), "X": str(still_images)}
    assert run(["evaluate", str(tiny_onnx), *(places.get(word, word) for word in words)]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--negatives", "--positives"])
def test_a_source_that_is_not_there(tiny_onnx, tmp_path, capsys, option) -> None:
    assert run(["evaluate", str(tiny_onnx), option, str(tmp_path / "none.mp4")]) == 5
    assert "Traceback" not in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_refused_before_the_work(tiny_onnx, bright_rows, tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("x")
    assert run(["evaluate", str(tiny_onnx), str(bright_rows), "--report", str(tmp_path / "file" / "r")]) == 5
