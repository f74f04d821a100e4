import copy

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from edgeseg.errors import BadInputError
from edgeseg.train.qat.folding import fold_batch_norm


def unsettled(network: nn.Module) -> nn.Module:
    """The network with statistics and scales that do something."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.3, 2)
            nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.2, 4)
    return network.eval()


def double(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = copy.deepcopy(network).double()(images.double())
    return result


@given(
    seed=st.integers(0, 2**16),
    groups=st.sampled_from([1, 2, 4]),
    bias=st.booleans(),
    transposed=st.booleans(),
    eps=st.sampled_from([1e-5, 1e-3]),
)
def test_the_network_stays_what_it_was_and_batch_norm_does_nothing(
    seed: int, groups: int, bias: bool, transposed: bool, eps: float
) -> None:
    torch.manual_seed(seed)
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    convolution, norm = kind(4, 8, 2, groups=groups, bias=bias), nn.BatchNorm2d(8, eps=eps)
    network = unsettled(nn.Sequential(convolution, norm, nn.ReLU(), nn.Conv2d(8, 1, 1)))
    images = torch.randn(2, 4, 6, 5)
    before = double(network, images)
    biases = fold_batch_norm(network, images)
    assert biases == ({} if bias else {"0": "1.bias"})
    torch.testing.assert_close(double(network, images), before, rtol=1e-5, atol=1e-5)
    hidden = torch.randn(1, 8, 3, 3)
    bias_left = norm.bias.view(1, -1, 1, 1)
    torch.testing.assert_close(norm(hidden) - bias_left, hidden, rtol=1e-6, atol=1e-6)
    weight = convolution.weight.clone()
    fold_batch_norm(network, images)
    assert torch.equal(weight, convolution.weight)  # to the bit: an export after it has the weights that were trained


def test_a_convolution_with_another_reader_is_refused() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 1, 1), nn.BatchNorm2d(1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.conv(x)
            return x + self.norm(x)

    with pytest.raises(BadInputError, match="cannot be folded"):
        fold_batch_norm(unsettled(Both()), torch.randn(1, 3, 4, 4))


def test_the_exporter_folds_to_the_same_bits() -> None:
    """Torch's own exporter folds batch norm, too; of what is folded here it must change nothing."""
    torch.manual_seed(4)
    network = unsettled(nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6, eps=1e-3), nn.Conv2d(6, 2, 1)))
    fold_batch_norm(network, torch.randn(1, 3, 8, 8))
    program = torch.onnx.export(network, (torch.randn(1, 3, 8, 8),), dynamo=True, opset_version=20, verbose=False)
    assert program is not None
    proto = onnx.load_model_from_string(program.model_proto.SerializeToString())
    found = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    assert [node.op_type for node in proto.graph.node] == ["Conv", "Conv"]
    node = proto.graph.node[0]
    assert np.array_equal(found[node.input[1]], network[0].weight.detach().numpy())
    assert np.array_equal(found[node.input[2]], network[1].bias.detach().numpy())
