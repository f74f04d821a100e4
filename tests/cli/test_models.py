"""`edgeseg models`: what it says against what lies in the packages."""

import json
import re
from pathlib import Path

import onnx
import pytest

from edgeseg.cli import run
from edgeseg.export.package.card import render_card
from edgeseg.export.package.facts import CardFacts, PrecisionRow
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.proof.verdict.evaluation import Evaluation
from edgeseg.specs import Provenance

SHIPPED = Path(__file__).parents[2] / "models"


@pytest.fixture
def folder(tiny_onnx: Path, tmp_path: Path) -> Path:
    """The packages good (with a card), plain (without one) and broken."""
    folder = tmp_path / "packages"
    for name in ("good", "plain", "broken"):
        (folder / name).mkdir(parents=True)
        (folder / name / "model.onnx").write_bytes(tiny_onnx.read_bytes() if name != "broken" else b"no graph")
    metrics = {"max_probability_difference": 1e-5, "parity_inputs": 2.0, "validation_dice": 0.5}
    metadata = load_onnx(tiny_onnx).metadata.model_copy(update={"provenance": Provenance(metrics=metrics)})
    rows = tuple(
        PrecisionRow(
            precision,
            2_000_000,
            0,
            1,
            Evaluation.model_construct(mean_dice=dice, mean_iou=0.5, image_count=7, by_size=()),
        )
        for precision, dice in (("fp32", 0.75), ("int8", 0.7432))
    )
    card = render_card(CardFacts("good", metadata, 4, 3072, "ranges on 5 images", rows, "None | may use it, but me."))
    (folder / "good" / "card.md").write_text(card)
    return folder


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, object]]:
    assert run(["models", *arguments, "--json"]) == 0
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)["models"]}


def test_each_package_is_told_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = listed(capsys, str(folder))
    assert sorted(rows) == ["broken", "good", "plain"]
    good = rows["good"]
    assert good["parameters"] == 4  # three weights and a bias
    assert good["multiply_adds"] == 32 * 32 * 3
    assert (good["architecture"], good["height"], good["width"]) == ("bright-pixels", 32, 32)
    assert good["file_bytes"] == (folder / "good" / "model.onnx").stat().st_size
    assert good["measured"] == {
        "fp32": {"mean_dice": 0.75, "mean_iou": 0.5},
        "int8": {"mean_dice": 0.7432, "mean_iou": 0.5},
    }
    assert (good["test_images"], good["by_source"]) == (7, {})
    assert good["terms"] == "None | may use it, but me."
    assert (rows["plain"]["measured"], rows["plain"]["terms"], rows["plain"]["problem"]) == ({}, None, None)


def test_a_package_that_cannot_be_read_does_not_hide_the_others(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = listed(capsys, str(folder))["broken"]
    assert row["problem"]
    assert row["parameters"] is None
    assert run(["models", str(folder)]) == 0
    text = capsys.readouterr().out
    assert f"broken: cannot be read: {row['problem']}" in text
    assert "int8 0.7432 / 0.5000" in text
    assert f"next: edgeseg build-engine {folder / 'good'} --precision int8" in text


def test_bare_names_are_listed_once_and_the_nearest_first(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "good").rename(folder / "kvasir-best")
    (folder.parent / "models").symlink_to(folder)
    monkeypatch.chdir(folder.parent)
    rows = listed(capsys)
    assert rows["kvasir-best"]["path"] == "models/kvasir-best"
    shipped = {path.parent.name for path in SHIPPED.glob("*/model.onnx")}
    assert set(rows) == shipped | {"kvasir-best", "plain", "broken"}


def test_an_empty_folder_and_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(capsys, str(tmp_path)) == {}
    assert run(["models", str(tmp_path)]) == 0
    assert "edgeseg package makes one" in capsys.readouterr().out
    assert run(["models", str(tmp_path / "none")]) == 5


@pytest.mark.parametrize("package", sorted(SHIPPED.glob("*/model.onnx")), ids=lambda path: path.parent.name)
def test_the_shipped_packages_are_what_their_cards_say(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = listed(capsys, str(SHIPPED))[package.parent.name]
    card = (package.parent / "card.md").read_text()
    assert f"{row['parameters'] / 1e6:.2f} M parameters, {row['multiply_adds'] / 1e9:.2f} G multiply-adds" in card  # type: ignore[operator]
    assert str(row["terms"]) in card
    figures = dict(re.findall(r"^\| (fp32|fp16|int8) \| ([\d.]+)", card, re.MULTILINE))
    assert {name: f"{value['mean_dice']:.4f}" for name, value in row["measured"].items()} == figures  # type: ignore[attr-defined]
    assert f"the test split ({row['test_images']} images" in card
    sources = {f"| {name} | {f['images']} | {f['mean_dice']:.4f} |" for name, f in row["by_source"].items()}  # type: ignore[attr-defined]
    assert all(source in card for source in sources)
    assert len(sources) == (2 if package.parent.name.startswith("polyp-") else 0)
    weights = [tensor for tensor in onnx.load(package).graph.initializer if len(tensor.dims) == 4]
    assert sum(int(onnx.numpy_helper.to_array(tensor).size) for tensor in weights) <= row["parameters"]  # type: ignore[operator]
