import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from edgeseg.train import depthwise
from edgeseg.train.architectures.lite0 import SameConv2d
from edgeseg.train.depthwise import DepthwiseConv2d, depthwise_conv2d, input_gradient, weight_gradient

CHANNELS = 3


@given(
    st.integers(1, 7),
    st.integers(1, 3),
    st.integers(0, 3),
    st.tuples(st.integers(7, 12), st.integers(7, 12)),
    st.integers(0, 999),
)
@settings(max_examples=80, deadline=None)
def test_the_gradients_are_those_of_pytorch(
    kernel: int, stride: int, padding: int, size_px: tuple[int, int], seed: int
) -> None:
    padding = min(padding, kernel - 1)
    torch.manual_seed(seed)
    x = torch.randn(2, CHANNELS, *size_px, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(CHANNELS, 1, kernel, kernel, dtype=torch.float64, requires_grad=True)
    output = torch.nn.functional.conv2d(x, weight, None, stride, padding, 1, CHANNELS)
    gradient = torch.randn_like(output)
    output.backward(gradient)
    with torch.no_grad():
        for_x = input_gradient(gradient, weight, size_px, stride, padding)
        for_weight = weight_gradient(gradient.contiguous(memory_format=torch.channels_last), x, weight, stride, padding)
    torch.testing.assert_close(for_x, x.grad)
    torch.testing.assert_close(for_weight, weight.grad)


def gradients(layer: nn.Module, x: Tensor, bf16: bool) -> list[Tensor]:
    own = x.clone().requires_grad_()
    layer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        output = layer(own)
    assert output.dtype == (torch.bfloat16 if bf16 else torch.float32)
    (output.float() * torch.linspace(-1, 1, output.shape[-1])).sum().backward()
    assert own.grad is not None
    return [own.grad, *(weight.grad for weight in layer.parameters() if weight.grad is not None)]


@pytest.mark.parametrize(
    "layer",
    [SameConv2d(8, 8, 5, 2, 8), SameConv2d(8, 8, 3, 2, 8), SameConv2d(8, 8, 5, 1, 8), DepthwiseConv2d(8, 5, 2)],
    ids=["5x5 of stride 2", "3x3 of stride 2", "5x5", "5x5 of stride 2, symmetric"],
)
def test_in_bf16_they_are_those_of_float32_within_its_rounding(layer: nn.Module) -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 8, 32, 32).contiguous(memory_format=torch.channels_last)
    for found, true in zip(gradients(layer, x, bf16=True), gradients(layer, x, bf16=False), strict=True):
        assert float((found - true).norm() / true.norm()) < 0.01


def test_bf16_takes_the_fast_way_and_nothing_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    fast = depthwise.weight_gradient
    monkeypatch.setattr(depthwise, "weight_gradient", lambda *given: taken.append("fast") or fast(*given))
    layer, x = DepthwiseConv2d(4, 5), torch.randn(2, 4, 16, 16)
    gradients(layer, x, bf16=False)
    gradients(DepthwiseConv2d(4, 3, dilation=2), x, bf16=True)
    assert not taken
    gradients(layer, x, bf16=True)
    assert taken == ["fast"]


def test_a_frozen_weight_or_input_gets_no_gradient() -> None:
    weight, x = torch.randn(4, 1, 5, 5), torch.randn(2, 4, 16, 16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        depthwise_conv2d(x, weight, 1, 2).float().sum().backward()
    assert x.grad is not None and weight.grad is None


def test_it_is_a_convolution_with_the_names_and_weights_of_one() -> None:
    layer, x = DepthwiseConv2d(6, 5, 2), torch.randn(1, 6, 20, 20)
    plain = nn.Conv2d(6, 6, 5, 2, 2, groups=6, bias=False)
    plain.load_state_dict(layer.state_dict())
    torch.testing.assert_close(layer(x), plain(x))
