"""Turns a loss into changed weights: precision, gradient clipping, AdamW, the one-cycle schedule."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.errors import MissingComponentError, UsageError
from edgeseg.optional import require
from edgeseg.train.network import NormalisedNetwork
from edgeseg.train.recipe import TrainingRecipe


class Descent:
    """A network with what changes its weights, on Fabric's device and in its precision.

    Args:
        fabric: A launched Fabric.
        network: What is trained; it moves to the device.
        training: The recipe's loop section.
        steps: Steps of the whole training, for the schedule.

    Raises:
        UsageError: The batch cannot be split evenly among the processes.
        MissingComponentError: The recipe asks for what this device has not.
    """

    def __init__(self, fabric: Any, network: NormalisedNetwork, training: TrainingRecipe, steps: int) -> None:
        self._fabric, self._clip = fabric, training.gradient_clip
        _check_processes(fabric, training)
        if training.sync_batchnorm and fabric.world_size > 1:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        self.bare_network: NormalisedNetwork = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        """Without the wrappers of Fabric, DDP and the compiler, sharing the weights."""
        # Fabric cannot unscale FP16 gradients for clipping where the fused kernel does that itself.
        fused = training.precision != "16-mixed"
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, fused=fused
        )
        self.schedule = _one_cycle(optimiser, training, steps)
        wrapped = _compiled(self.bare_network) if training.compile else self.bare_network
        self.network, self.optimiser = fabric.setup(wrapped, optimiser)
        self._parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]

    def step(self, loss: Tensor) -> None:
        """Go down the gradient of a scalar loss, once, and along the schedule."""
        self.descend(loss)
        self.schedule.step()

    def descend(self, loss: Tensor) -> None:
        """Go down the gradient of a scalar loss, once, at the rate that the optimiser has."""
        self.optimiser.zero_grad(set_to_none=True)
        self._fabric.backward(loss)
        if self._clip:
            self._precision.unscale_gradients(self._bare_optimiser)
            # Gradients that are not finite show in the next loss, and a scaler of FP16 must see and skip them.
            nn.utils.clip_grad_norm_(self._parameters, self._clip, foreach=True)
        self.optimiser.step()

    @property
    def _precision(self) -> Any:
        return self._fabric.strategy.precision

    @property
    def _bare_optimiser(self) -> torch.optim.Optimizer:
        optimiser: torch.optim.Optimizer = self.optimiser.optimizer
        return optimiser

    def state_dict(self) -> dict[str, Any]:
        """All but the weights: optimiser, schedule, the gradient scaler of FP16."""
        return {
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "precision": self._precision.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self._precision.load_state_dict(state.get("precision", {}))


def _one_cycle(
    optimiser: torch.optim.Optimizer, training: TrainingRecipe, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """Rise and fall of the learning rate over all steps (Smith and Topin, 2017, arXiv:1708.07120)."""
    total = max(steps, 4)  # the schedule divides by the lengths of its two phases
    return torch.optim.lr_scheduler.OneCycleLR(
        optimiser, training.learning_rate, total_steps=total, pct_start=max(training.warmup, 2 / total)
    )


def _check_processes(fabric: Any, training: TrainingRecipe) -> None:
    if training.batch_size % fabric.world_size:
        raise UsageError(
            "a batch cannot be shared evenly among the processes",
            found=f"training.batch_size={training.batch_size}, {fabric.world_size} processes",
            expected="a multiple; the batch size is that of all processes together",
        )
    if training.sync_batchnorm and fabric.device.type == "cpu":
        raise MissingComponentError(
            "training.sync_batchnorm needs GPUs: PyTorch's SyncBatchNorm has no CPU form",
            next_command="--set training.sync_batchnorm=false  (each process then normalises its share of the batch)",
        )


def _compiled(network: nn.Module) -> nn.Module:
    if torch.device("cpu") == next(network.parameters()).device and not torch.cuda.is_available():
        _require_compiler()
    compiled: nn.Module = torch.compile(network)  # type: ignore[assignment]
    return compiled


def _require_compiler() -> None:
    try:
        require("torch._inductor.cpp_builder").get_cpp_compiler()
    except Exception as error:  # what it raises differs between versions
        raise MissingComponentError(
            "training.compile needs a C++ compiler", found=str(error).splitlines()[0], next_command="apt install g++"
        ) from error
