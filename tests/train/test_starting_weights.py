from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgeseg.errors import BadInputError, MismatchError
from edgeseg.export.torch.naming import with_readable_names
from edgeseg.export.torch.onnx_from_run import contract_graph
from edgeseg.files import sha256_file
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.packages import RUN_CHECKPOINT
from edgeseg.train.architectures.registry import network_from_recipe
from edgeseg.train.checkpoint import load_best
from edgeseg.train.model_recipe import ModelRecipe
from edgeseg.train.network import NormalisedNetwork
from edgeseg.train.predictor import open_run
from edgeseg.train.recipe import Recipe, read_recipe
from edgeseg.train.starting_weights import starting_weights, unfolded
from edgeseg.train.training import train
from tests.train.conftest import settings_of


def network_of(recipe: Recipe) -> NormalisedNetwork:
    return NormalisedNetwork(network_from_recipe(recipe.model, pretrained=False), recipe.preprocess_spec()).eval()


def test_a_graph_gives_back_the_network_that_it_was_exported_from(
    exported: tuple[Path, Path], blobs: Path, tiny_recipe: Recipe
) -> None:
    run, graph = exported
    network = network_of(tiny_recipe)
    begin = starting_weights([graph], tiny_recipe, blobs)
    assert begin is not None
    missing, strange = network.network.load_state_dict(begin.weights, strict=False)
    assert not strange and not missing
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(network(images), open_run(run).network(images), rtol=1e-4, atol=1e-4)


def test_batch_norms_hold_the_statistics_of_what_they_read(
    exported: tuple[Path, Path], blobs: Path, tiny_recipe: Recipe
) -> None:
    network = network_of(tiny_recipe)
    images = torch.rand(6, 3, 32, 32)
    network.network.load_state_dict(unfolded(load_onnx(exported[1]).proto, network, images), strict=False)
    read: dict[str, torch.Tensor] = {}
    norms = {name: module for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
    for name, norm in norms.items():
        norm.register_forward_pre_hook(lambda module, given, name=name: read.update({name: given[0]}))
    with torch.no_grad():
        network(images)
    assert norms
    for name, norm in norms.items():
        assert norm.running_mean is not None and norm.running_var is not None
        torch.testing.assert_close(norm.running_mean, read[name].mean(dim=(0, 2, 3)), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(norm.running_var, read[name].var(dim=(0, 2, 3), correction=0), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("architecture", ["lite0-unet", "ultra-unet", "segnet"])
def test_every_convolution_of_larger_networks_comes_back(architecture: str) -> None:
    torch.manual_seed(1)
    settings = (f"model.architecture={architecture}", "model.height=64", "model.width=64", "model.pretrained=false")
    recipe = read_recipe(None, settings)
    source, empty = network_of(recipe), network_of(recipe)
    for module in source.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    proto = with_readable_names(contract_graph(source.network, recipe.model_spec(), recipe.preprocess_spec()))
    images = torch.rand(3, 3, 64, 64)
    empty.network.load_state_dict(unfolded(proto, empty, images), strict=False)
    with torch.no_grad():
        torch.testing.assert_close(empty(images), source(images), rtol=1e-3, atol=1e-3)


def test_filters_before_a_batch_norm_get_the_length_that_training_began_with() -> None:
    """Folding divides them by their outputs' deviation; a step of Adam would turn a short one many times as far."""
    settings = ("model.architecture=lite0-unet", "model.height=64", "model.width=64", "model.pretrained=false")
    recipe = read_recipe(None, settings)
    source, empty = network_of(recipe), network_of(recipe)
    for module in source.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.running_var, 400.0)  # type: ignore[arg-type]
            nn.init.constant_(module.weight, 2.0)
    proto = with_readable_names(contract_graph(source.network, recipe.model_spec(), recipe.preprocess_spec()))
    begun = {name: lengths(module) for name, module in empty.named_modules() if isinstance(module, nn.Conv2d)}
    empty.network.load_state_dict(unfolded(proto, empty, torch.rand(2, 3, 64, 64)), strict=False)
    for name, module in empty.named_modules():
        if name in begun and "head" not in name:
            torch.testing.assert_close(lengths(module), begun[name].mean().expand(len(begun[name])), rtol=1e-3, atol=0)


def lengths(convolution: nn.Module) -> torch.Tensor:
    return convolution.weight.detach().flatten(1).norm(dim=1)  # type: ignore[operator, union-attr]


def test_a_training_starts_from_a_graph_and_says_which(
    exported: tuple[Path, Path], blobs: Path, tmp_path: Path, tiny_recipe: Recipe
) -> None:
    run, graph = exported
    record = train(blobs, tmp_path / "second", settings_of(tiny_recipe, epochs=1, learning_rate=1e-12), starts=[graph])
    assert record.start_sha256 == load_onnx(graph).sha256
    image = np.full((1, 32, 32, 3), 90, np.uint8)
    assert np.abs(open_run(tmp_path / "second").infer(image) - open_run(run).infer(image)).max() < 0.1


def test_several_start_a_training_from_the_mean_of_their_weights(
    exported: tuple[Path, Path], blobs: Path, tmp_path: Path, tiny_recipe: Recipe
) -> None:
    train(blobs, tmp_path / "further", settings_of(tiny_recipe, epochs=1, learning_rate=1e-2), starts=[exported[0]])
    runs = [exported[0], tmp_path / "further"]
    mean = starting_weights(runs, tiny_recipe, blobs)
    assert mean is not None
    first, second = (load_best(run)[1] for run in runs)
    assert any(not torch.equal(first[name], second[name]) for name in first)
    for name, value in mean.weights.items():
        torch.testing.assert_close(
            value, (first[name] + second[name]) / 2 if value.is_floating_point() else first[name]
        )
    record = train(blobs, tmp_path / "mean", settings_of(tiny_recipe, epochs=1, learning_rate=1e-12), starts=runs)
    assert record.start_sha256 == mean.sha256
    assert record.start_sha256 not in {sha256_file(run / RUN_CHECKPOINT) for run in runs}
    kept = load_best(tmp_path / "mean")[1]
    for name, _ in network_of(tiny_recipe).network.named_parameters():
        torch.testing.assert_close(kept[name], mean.weights[name], rtol=1e-4, atol=1e-6)


def test_networks_that_differ_have_no_mean(
    exported: tuple[Path, Path], blobs: Path, tmp_path: Path, tiny_recipe: Recipe
) -> None:
    wider = tiny_recipe.model.model_copy(update={"base_width": 8})
    train(blobs, tmp_path / "wider", settings_of(tiny_recipe, epochs=1).model_copy(update={"model": wider}))
    with pytest.raises(MismatchError, match="have no mean") as caught:
        starting_weights([exported[0], tmp_path / "wider"], tiny_recipe, blobs)
    assert "tensors that differ" in str(caught.value.found)


def test_no_start_gives_no_weights(blobs: Path, tiny_recipe: Recipe) -> None:
    assert starting_weights([], tiny_recipe, blobs) is None


def test_a_graph_of_another_network_is_refused(exported: tuple[Path, Path], blobs: Path, tmp_path: Path) -> None:
    other = Recipe(model=ModelRecipe(architecture="segnet", height=32, width=32))
    with pytest.raises(MismatchError, match="none of the weights"):
        starting_weights([exported[1]], other, blobs)
    with pytest.raises(BadInputError, match="there is no model"):
        starting_weights([tmp_path / "nowhere"], other, blobs)
