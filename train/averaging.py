"""An exponential moving average of the weights: what is validated and exported is steadier than the last step."""

from __future__ import annotations

from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from edgeseg.train.network import NormalisedNetwork


def averaged(network: NormalisedNetwork, decay: float) -> AveragedModel | None:
    """An average of parameters and batch-norm statistics that follows a network; None where the decay is 0.

    Args:
        network: What is trained.
        decay: Share of the former average that stays at each step (Polyak and Juditsky, 1992, with forgetting).
    """
    if decay == 0:
        return None
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(network, multi_avg_fn=average, use_buffers=True)
