"""Turns a loss into changed weights: precision, gradient clipping, the optimiser, the schedule."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.errors import MissingComponentError, UsageError
from edgeseg.optional import require
from edgeseg.train.network import NormalisedNetwork
from edgeseg.train.optimisers import optimiser_from_recipe
from edgeseg.train.recipe import TrainingRecipe
from edgeseg.train.schedules import schedule_from_recipe


class Descent:
    """A network with what changes its weights, on Fabric's device and in its precision.

    Args:
        fabric: A launched Fabric.
        network: What is trained; it moves to the device.
        training: The recipe's loop section.
        epoch_steps: Steps of an epoch, for the schedule.

    Raises:
        UsageError: The batch cannot be split evenly among the processes.
        MissingComponentError: The recipe asks for what this device has not.
    """

    def __init__(self, fabric: Any, network: NormalisedNetwork, training: TrainingRecipe, epoch_steps: int) -> None:
        self._fabric, self._clip = fabric, training.gradient_clip
        _check_processes(fabric, training)
        if training.sync_batchnorm and fabric.world_size > 1:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        self.bare_network: NormalisedNetwork = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        """The network without the wrappers of Fabric, DDP and the compiler, sharing the weights."""
        optimiser = optimiser_from_recipe(network, training)
        self.schedule = schedule_from_recipe(optimiser, training, epoch_steps)
        wrapped = _compiled(self.bare_network) if training.compile else self.bare_network
        self.network, self.optimiser = fabric.setup(wrapped, optimiser)
        self._parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]

    def step(self, loss: Tensor) -> None:
        """Go down the gradient of a scalar loss, once, and along the schedule."""
        self.descend(loss)
        self.schedule.after_step()

    def finish_epoch(self, validation_dice: float) -> None:
        """Tell the schedule what the epoch reached; `plateau` alone listens."""
        self.schedule.after_epoch(validation_dice)

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
