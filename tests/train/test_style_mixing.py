import copy

import pytest
import torch
from torch import nn

from edgeseg.errors import UsageError
from edgeseg.train.architectures.registry import network_from_recipe
from edgeseg.train.model_recipe import ModelRecipe
from edgeseg.train.recipe import read_recipe
from edgeseg.train.style_mixing import mix_styles, mixed


def test_shapes_stay_and_statistics_lie_between_two_pictures() -> None:
    torch.manual_seed(0)
    features = torch.randn(6, 4, 9, 7) * torch.rand(6, 4, 1, 1).add(0.5) + torch.randn(6, 4, 1, 1)
    changed = mixed(features)
    flat, own = changed.flatten(2), features.flatten(2)
    lowest, highest = own.mean(dim=2).amin(dim=0), own.mean(dim=2).amax(dim=0)
    assert (flat.mean(dim=2) >= lowest - 1e-4).all() and (flat.mean(dim=2) <= highest + 1e-4).all()
    assert not torch.allclose(flat.mean(dim=2), own.mean(dim=2), atol=1e-3)

    def normalised(maps: torch.Tensor) -> torch.Tensor:
        return (maps - maps.mean(dim=2, keepdim=True)) / maps.std(dim=2, keepdim=True)

    torch.testing.assert_close(normalised(flat), normalised(own), rtol=1e-3, atol=1e-3)


def test_the_dtype_stays_and_flat_maps_stay_finite() -> None:
    features = torch.ones(3, 2, 4, 4, dtype=torch.bfloat16)
    assert mixed(features).dtype == torch.bfloat16
    assert mixed(features).isfinite().all()


def test_only_training_mixes_and_the_weights_know_nothing_of_it() -> None:
    recipe = ModelRecipe(architecture="ultra-lite0-unet", height=64, width=64, pretrained=False)
    torch.manual_seed(0)
    network = network_from_recipe(recipe)
    plain = copy.deepcopy(network)
    mix_styles(network, 1.0)
    images = torch.randn(4, 3, 64, 64)
    assert network.state_dict().keys() == plain.state_dict().keys()
    assert [type(module) for module in network.modules()] == [type(module) for module in plain.modules()]
    with torch.no_grad():
        assert torch.equal(network.eval()(images), plain.eval()(images))
        assert not torch.equal(network.train()(images), plain.train()(images))
        alone = copy.deepcopy(plain)
        mix_styles(alone, 0.0)
        assert torch.equal(alone.train()(images), copy.deepcopy(alone).train()(images))


def test_a_network_without_an_encoder_is_refused() -> None:
    with pytest.raises(UsageError, match="style_mixing needs a network with an encoder"):
        read_recipe(None, ["model.architecture=unet", "training.style_mixing=0.5"])
    assert isinstance(network_from_recipe(ModelRecipe(base_width=4, depth=1)), nn.Module)
