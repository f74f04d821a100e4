"""Chooses the arithmetic of a training: bf16 where this machine is fast at it, else float32.

A recipe may leave its precision to the machine ("auto"). That is settled once, before the training starts; the RUN
keeps what was chosen in its recipe and the reason in its record, and a resumed training computes as it began.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from edgeseg.errors import MissingComponentError
from edgeseg.train.architectures.registry import network_from_recipe
from edgeseg.train.network_outputs import main_logits
from edgeseg.train.recipe import ConcretePrecision, Precision, Recipe

TimeSteps = Callable[[ConcretePrecision], float]
"""Gives the seconds that a training step takes in a precision."""

BF16_FEATURES = {"x86": ("avx512_bf16", "amx_bf16"), "arm64": ()}
"""Features, as `torch.cpu.get_capabilities` names them, with which a bf16 step is faster than a float32 one."""
DOUBTFUL_FEATURES = {"x86": ("avx_ne_convert", "avx10_2"), "arm64": ("bf16", "sve_bf16")}
"""Features that help bf16 in some kernels; whether a whole step is faster, only timing tells."""
TIMED_BATCH, TIMED_STEPS = 2, 2


@dataclass(frozen=True)
class Machine:
    """The machine that trains, as it describes itself."""

    device: str
    """`cuda`, `mps` or `cpu`."""
    processor: Literal["x86", "arm64", "other"] = "other"
    features: frozenset[str] | None = None
    """Instruction sets of the processor; None where torch cannot tell."""
    gpu_bf16: bool = False
    """True if the GPU computes bf16 itself."""

    @property
    def bf16(self) -> bool | None:
        """True if bf16 is fast here; None where the machine does not say it clearly."""
        if self.device != "cpu":
            return self.gpu_bf16
        if self.features is None or self.processor == "other":
            return None
        if self.features.intersection(BF16_FEATURES[self.processor]):
            return True
        return None if self.features.intersection(DOUBTFUL_FEATURES[self.processor]) else False

    @property
    def name(self) -> str:
        """The machine's name in a sentence."""
        return "GPU" if self.device != "cpu" else "processor"


@dataclass(frozen=True)
class Arithmetic:
    """The precision of a training, and why."""

    precision: ConcretePrecision
    reason: str
    """One clause, without a full stop."""
    worth_saying: bool = True
    """False where the recipe asked for it and nothing speaks against it."""

    def __str__(self) -> str:
        return f"precision {self.precision}: {self.reason}"


def this_machine() -> Machine:
    """The machine that this process would train on, as Fabric chooses its device."""
    if torch.cuda.is_available():
        native = torch.cuda.get_device_capability() >= (8, 0) or bool(torch.version.hip)
        return Machine("cuda", gpu_bf16=native and torch.cuda.is_bf16_supported(including_emulation=False))
    if torch.backends.mps.is_available():
        return Machine("mps")
    names: dict[str, Literal["x86", "arm64"]] = {"x86_64": "x86", "amd64": "x86", "aarch64": "arm64", "arm64": "arm64"}
    return Machine("cpu", names.get(platform.machine().lower(), "other"), _features())


def _features() -> frozenset[str] | None:
    """The processor's instruction sets; None in a torch that does not list them."""
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is None:
        return None
    return frozenset(name for name, there in capabilities().items() if there is True)


def settle(
    asked: Precision, machine: Machine, time_steps: TimeSteps | None, kept: ConcretePrecision | None = None
) -> Arithmetic:
    """Choose the precision of a training.

    Args:
        asked: The recipe's precision.
        machine: The machine that trains.
        time_steps: Is asked for both precisions where the machine leaves it in doubt; None takes float32 there.
        kept: The precision of the RUN that is resumed; of effect where the recipe leaves it to the machine.

    Raises:
        MissingComponentError: 16-mixed without a GPU.
    """
    if asked == "auto" and kept is None:
        return _fastest(machine, time_steps)
    precision = kept if asked == "auto" and kept is not None else asked
    assert precision != "auto"
    if precision == "16-mixed" and machine.device != "cuda":
        raise MissingComponentError(
            "training.precision=16-mixed needs a GPU",
            found="none that computes FP16",
            next_command="--set training.precision=auto"
            if kept is None
            else "--resume on a machine with a GPU, or edgeseg train DATA --out ANOTHER --start RUN",
        )
    if precision == "bf16-mixed" and machine.bf16 is False:
        whose = "the recipe asks for it" if kept is None else "the training began in it"
        slow = f"but this {machine.name} emulates it: a step may take ten times as long as in 32-true"
        return Arithmetic(precision, f"{whose}, {slow}")
    return Arithmetic(precision, "the recipe asks for it", worth_saying=False)


def _fastest(machine: Machine, time_steps: TimeSteps | None) -> Arithmetic:
    if machine.bf16 is True:
        return Arithmetic("bf16-mixed", f"this {machine.name} has BF16 instructions")
    if machine.bf16 is False:
        return Arithmetic("32-true", f"this {machine.name} has no BF16 instructions")
    if time_steps is None:
        return Arithmetic("32-true", f"this {machine.name} may be slow at bf16, and several processes time no steps")
    float32_s, bf16_s = time_steps("32-true"), time_steps("bf16-mixed")
    times = f"a step took {bf16_s:.2g} s in bf16 and {float32_s:.2g} s in float32 on this {machine.name}"
    return Arithmetic("bf16-mixed" if bf16_s < float32_s else "32-true", times)


def settled(recipe: Recipe, kept: ConcretePrecision | None = None, processes: int = 1) -> tuple[Recipe, Arithmetic]:
    """The recipe with its precision settled for this machine, and why.

    Args:
        recipe: What is to be trained.
        kept: The precision of the RUN that is resumed.
        processes: Processes of the training. Several must agree, so they go by what the machine says and time nothing.

    Raises:
        MissingComponentError: 16-mixed without a GPU.
    """
    timer = step_timer(recipe) if processes == 1 else None
    arithmetic = settle(recipe.training.precision, this_machine(), timer, kept)
    training = recipe.training.model_copy(update={"precision": arithmetic.precision})
    return recipe.model_copy(update={"training": training}), arithmetic


def step_timer(recipe: Recipe) -> TimeSteps:
    """Times steps of a recipe's network on a CPU, at its size, in a small batch of noise."""

    def seconds(precision: ConcretePrecision) -> float:
        network = network_from_recipe(recipe.model.model_copy(update={"pretrained": False})).train()
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        images = torch.rand(TIMED_BATCH, 3, recipe.model.height, recipe.model.width)
        images = images.contiguous(memory_format=torch.channels_last)
        durations = []
        for _ in range(1 + TIMED_STEPS):  # the first one also allocates memory and makes kernels
            started = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
                logits = main_logits(network(images))
            logits.float().square().mean().backward()  # type: ignore[no-untyped-call]
            durations.append(time.perf_counter() - started)
        return min(durations[1:])

    return seconds
