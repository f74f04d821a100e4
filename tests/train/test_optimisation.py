from typing import Any, get_args

import pytest
import torch
from torch import nn

from edgeseg.errors import MissingComponentError
from edgeseg.specs import PreprocessSpec
from edgeseg.train.choices import OptimiserName
from edgeseg.train.network import NormalisedNetwork
from edgeseg.train.optimisation import Descent
from edgeseg.train.processes import Launch, open_fabric
from edgeseg.train.recipe import TrainingRecipe


def descent_of(fabric: Any = None, **settings: object) -> Descent:
    training = TrainingRecipe.model_validate({"precision": "32-true", **settings})
    torch.manual_seed(0)
    network = NormalisedNetwork(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 1, 1)), PreprocessSpec())
    return Descent(fabric or open_fabric(Launch(), training.precision), network, training, epoch_steps=2)


def loss_of(descent: Descent, factor: float = 1.0) -> torch.Tensor:
    torch.manual_seed(1)
    logits: torch.Tensor = descent.network(torch.rand(4, 3, 16, 16))
    return (logits.float() - 3).square().mean() * factor


def gradient_norm(descent: Descent) -> float:
    gradients = [parameter.grad for parameter in descent.bare_network.parameters() if parameter.grad is not None]
    return float(torch.sqrt(sum(gradient.square().sum() for gradient in gradients)))  # type: ignore[arg-type]


@pytest.mark.parametrize(("clip", "expected"), [(5.0, 5.0), (0.25, 0.25), (0.0, None), (1e9, None)])
def test_gradients_are_clipped_to_the_recipes_norm(clip: float, expected: float | None) -> None:
    descent = descent_of(gradient_clip=clip)
    descent.step(loss_of(descent, 1000.0))
    if expected is None:
        assert gradient_norm(descent) > 100
    else:
        assert gradient_norm(descent) == pytest.approx(expected, rel=1e-4)


def test_a_step_is_adamw_as_pytorch_has_it() -> None:
    descent = descent_of(gradient_clip=0, learning_rate=1e-2)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 1, 1))
    plain.load_state_dict(descent.bare_network.network.state_dict())
    wrapped = NormalisedNetwork(plain, PreprocessSpec())
    optimiser = torch.optim.AdamW(plain.parameters(), lr=1e-2, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=40, pct_start=0.25)
    for _ in range(5):
        descent.step(loss_of(descent))
        torch.manual_seed(1)
        optimiser.zero_grad()
        (wrapped(torch.rand(4, 3, 16, 16)) - 3).square().mean().backward()
        optimiser.step()
        schedule.step()
    for ours, theirs in zip(descent.bare_network.network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", get_args(OptimiserName))
def test_every_optimiser_steps_as_pytorch_has_it(name: OptimiserName) -> None:
    settings: dict[str, object] = {"gradient_clip": 0, "learning_rate": 1e-2, "weight_decay": 0.1, "schedule": "none"}
    descent = descent_of(optimiser=name, **settings)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 1, 1))
    plain.load_state_dict(descent.bare_network.network.state_dict())
    wrapped = NormalisedNetwork(plain, PreprocessSpec())
    kind = {one.__name__.lower(): one for one in vars(torch.optim).values() if isinstance(one, type)}[name]
    options = {"momentum": 0.9} if name == "sgd" else {}
    optimiser = kind(plain.parameters(), lr=1e-2, weight_decay=0.1, fused=None, **options) if name in (
        "adam", "adamw", "sgd", "adagrad") else kind(plain.parameters(), lr=1e-2, weight_decay=0.1)  # fmt: skip
    for _ in range(4):
        descent.step(loss_of(descent))
        torch.manual_seed(1)
        optimiser.zero_grad()
        (wrapped(torch.rand(4, 3, 16, 16)) - 3).square().mean().backward()
        optimiser.step()
    for ours, theirs in zip(descent.bare_network.network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_fp16_scales_its_gradients_skips_an_overflow_and_keeps_its_state() -> None:
    """A CPU computes FP16 autocast too, only Fabric does not offer it: its plugin with PyTorch's own scaler."""
    package = pytest.importorskip("lightning_fabric")
    precision = pytest.importorskip("lightning_fabric.plugins.precision.amp")

    def fabric() -> Any:
        plugin = precision.MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=1024.0))
        return package.Fabric(accelerator="cpu", devices=1, plugins=[plugin])

    settings = {"precision": "16-mixed", "gradient_clip": 0.25}
    descent = descent_of(fabric(), **settings)
    before = [parameter.clone() for parameter in descent.bare_network.parameters()]
    descent.step(loss_of(descent))
    assert gradient_norm(descent) <= 0.2501  # clipped after unscaling: 1024 times less otherwise
    after = [parameter.clone() for parameter in descent.bare_network.parameters()]
    assert not any(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    descent.step(loss_of(descent, 1e38))  # times the scale: infinite
    assert all(torch.equal(one, other) for one, other in zip(after, descent.bare_network.parameters(), strict=True))
    state = descent.state_dict()
    assert state["precision"]["scale"] == 512.0
    other = descent_of(fabric(), **settings)
    other.load_state_dict(state)
    assert other.state_dict()["precision"] == state["precision"]
    assert other.schedule.get_last_lr() == descent.schedule.get_last_lr()


def test_bf16_computes_the_network_in_bf16_and_keeps_float32_weights() -> None:
    descent = descent_of(precision="bf16-mixed")
    seen: list[torch.dtype] = []
    descent.bare_network.network[0].register_forward_hook(lambda *parts: seen.append(parts[2].dtype))  # type: ignore[operator,index]
    descent.step(loss_of(descent))
    assert seen == [torch.bfloat16]
    assert {parameter.dtype for parameter in descent.bare_network.parameters()} == {torch.float32}


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what a machine without a GPU lacks")
def test_batch_statistics_over_processes_need_gpus() -> None:
    with pytest.raises(MissingComponentError, match="sync_batchnorm"):
        descent_of(sync_batchnorm=True)


@pytest.mark.long
def test_a_compiled_network_trains_the_same_and_keeps_its_names() -> None:
    plain, compiled = descent_of(), descent_of(compile=True)
    for _ in range(3):
        plain.step(loss_of(plain))
        compiled.step(loss_of(compiled))
    expected, found = plain.bare_network.state_dict(), compiled.bare_network.state_dict()
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-5)
