"""Two networks become one that answers with both, and a training without epochs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from edgeseg.cli import run
from edgeseg.errors import MismatchError, UsageError
from edgeseg.export.torch.onnx_from_run import export_run
from edgeseg.train.architectures.catalogue import ARCHITECTURES, part_of
from edgeseg.train.architectures.registry import network_from_recipe, parameter_count
from edgeseg.train.checkpoint import load_best
from edgeseg.train.loop import Trainer
from edgeseg.train.network import NormalisedNetwork
from edgeseg.train.predictor import open_run
from edgeseg.train.recipe import Recipe, read_recipe, recipe_to_toml
from edgeseg.train.record import CURVES, read_history
from edgeseg.train.training import train
from tests.train.conftest import TINY_SETTINGS

SMALL_SHARE = 0.3
LARGE, SMALL, PAIR = "lite0-unet", "ultra-lite0-unet", "lite0-pair-unet"


def recipe_of(architecture: str, *settings: str) -> Recipe:
    network = (f"model.architecture={architecture}", "model.decoder_widths=[8, 8, 8]", "model.pretrained=false")
    return read_recipe(None, [*TINY_SETTINGS, *network, f"model.small_share={SMALL_SHARE}", *settings])


@pytest.fixture(scope="module")
def runs(blobs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name in (LARGE, SMALL):
        train(blobs, folder / name, recipe_of(name, "training.learning_rate=1e-2"))
    return folder


def frames() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)


def logits_of(network: NormalisedNetwork) -> torch.Tensor:
    images = torch.from_numpy(frames()).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        logits = network.eval()(images)
    assert isinstance(logits, torch.Tensor)
    return logits


def test_parameters_are_those_of_both() -> None:
    counts = [parameter_count(network_from_recipe(recipe_of(name).model)) for name in (LARGE, SMALL, PAIR)]
    assert counts[0] + counts[1] == counts[2]


def test_both_encoders_start_pretrained() -> None:
    pair = network_from_recipe(recipe_of(PAIR, "model.pretrained=true").model)
    first, second = (
        next(weight for name, weight in pair.state_dict().items() if name.startswith(f"{part}.encoder"))
        for part in ("large", "small")
    )
    torch.testing.assert_close(first, second)


def test_the_parts_of_the_catalogue_are_networks_of_it() -> None:
    for name, entry in ARCHITECTURES.items():
        network = network_from_recipe(read_recipe(None, [f"model.architecture={name}"]).model, pretrained=False)
        for part, other in entry.parts.items():
            expected = network_from_recipe(read_recipe(None, [f"model.architecture={other}"]).model, pretrained=False)
            assert type(network.get_submodule(part)) is type(expected)
            assert part_of(name, other) == part
    assert part_of(LARGE, LARGE) is None
    assert part_of("python:mine:network", LARGE) is None


@pytest.mark.parametrize("kind", ["runs", "graphs"])
def test_it_answers_with_the_weighted_mean_of_the_two_that_it_starts_from(
    runs: Path, blobs: Path, tmp_path: Path, kind: str
) -> None:
    starts: Sequence[Path] = [runs / SMALL, runs / LARGE]  # in any order
    if kind == "graphs":
        starts = [tmp_path / f"{run.name}.onnx" for run in starts]
        for graph in starts:
            export_run(runs / graph.stem, graph, threshold="0.7" if graph.stem == SMALL else None)
    record = train(blobs, tmp_path / "pair", recipe_of(PAIR, "training.epochs=0"), starts=starts)
    large, small, pair = (logits_of(open_run(run).network) for run in (runs / LARGE, runs / SMALL, tmp_path / "pair"))
    close = {"rtol": 1e-3, "atol": 1e-3} if kind == "graphs" else {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(pair, (1 - SMALL_SHARE) * large + SMALL_SHARE * small, **close)  # type: ignore[arg-type]
    assert (large - small).abs().mean() > 0.01
    assert record.finished
    assert (record.epochs, record.best_epoch) == (0, 0)
    assert not (tmp_path / "pair" / CURVES).exists()
    (row,) = read_history(tmp_path / "pair")
    assert (row.epoch, row.validation_dice) == (0, record.best_validation_dice)
    for given in (starts, ()):
        again = train(blobs, tmp_path / "pair", recipe_of(PAIR, "training.epochs=0"), starts=given, resume=True)
        assert again == record


def test_several_of_one_part_start_it_with_their_mean(runs: Path, blobs: Path, tmp_path: Path) -> None:
    train(blobs, tmp_path / "other", recipe_of(SMALL, "training.seed=1"), starts=[runs / SMALL])
    starts = [runs / LARGE, runs / SMALL, tmp_path / "other"]
    train(blobs, tmp_path / "pair", recipe_of(PAIR, "training.epochs=0"), starts=starts)
    large, small, other, pair = (load_best(run)[1] for run in (*starts, tmp_path / "pair"))
    name = "decoder.head.weight" if "decoder.head.weight" in small else next(key for key in small if "decoder" in key)
    torch.testing.assert_close(pair[f"small.{name}"], (small[name] + other[name]) / 2)
    assert all(torch.equal(pair[f"large.{key}"], value) for key, value in large.items())


def test_it_is_trained_as_any_other_network(runs: Path, blobs: Path, tmp_path: Path) -> None:
    recipe = recipe_of(PAIR, "training.learning_rate=1e-3", "training.style_mixing=0.5")
    train(blobs, tmp_path / "pair", recipe, starts=[runs / LARGE, runs / SMALL])
    started, trained = load_best(runs / SMALL)[1], load_best(tmp_path / "pair")[1]
    assert any(not torch.equal(trained[f"small.{name}"], value) for name, value in started.items())


def test_without_epochs_a_finished_run_takes_up_mirroring(runs: Path, blobs: Path, tmp_path: Path) -> None:
    recipe = recipe_of(LARGE, "training.epochs=0", "training.ema_decay=0.9", "model.mirroring=true")
    train(blobs, tmp_path / "mirrored", recipe, starts=[runs / LARGE])
    before, after = (load_best(run)[1] for run in (runs / LARGE, tmp_path / "mirrored"))
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert open_run(tmp_path / "mirrored").network.mirroring


def test_the_command_says_that_nothing_was_trained(
    runs: Path, blobs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pair.toml").write_text(recipe_to_toml(recipe_of(PAIR, "training.epochs=0")))
    starts = ["--start", str(runs / LARGE), "--start", str(runs / SMALL)]
    words = ["train", str(blobs), "--out", str(tmp_path / "pair"), "--recipe", str(tmp_path / "pair.toml"), *starts]
    assert run(words) == 0
    said = capsys.readouterr()
    assert "with the weights as they were" in said.out
    assert "as started  validation Dice" in said.err
    assert "nan" not in said.out + said.err


def test_without_epochs_all_weights_must_be_given(runs: Path, blobs: Path, tmp_path: Path) -> None:
    recipe = recipe_of(PAIR, "training.epochs=0")
    with pytest.raises(MismatchError, match="no epoch to learn the rest") as caught:
        train(blobs, tmp_path / "half", recipe, starts=[runs / LARGE])
    assert "small." in str(caught.value.found)
    with pytest.raises(UsageError, match="nothing to keep"):
        train(blobs, tmp_path / "none", recipe)
    assert not (tmp_path / "half").exists()
    assert not (tmp_path / "none").exists()


def test_weights_to_start_from_are_needed_again_until_a_checkpoint_is_kept(
    runs: Path, blobs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    recipe, starts = recipe_of(PAIR, "training.epochs=0"), [runs / LARGE, runs / SMALL]
    with monkeypatch.context() as before_the_first_step, pytest.raises(KeyboardInterrupt):
        before_the_first_step.setattr(Trainer, "fit", killed)
        train(blobs, tmp_path / "begun", recipe, starts=starts)
    with pytest.raises(MismatchError, match="holds no checkpoint yet"):
        train(blobs, tmp_path / "begun", recipe, resume=True)
    assert train(blobs, tmp_path / "begun", recipe, starts=starts, resume=True).finished
