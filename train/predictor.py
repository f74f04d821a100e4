"""A trained RUN as a session, so that evaluation treats it like any engine."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch

from edgeseg.files import sha256_file
from edgeseg.packages import RUN_CHECKPOINT
from edgeseg.runtime.engine.session import FrameBatch, ProbabilityBatch, SessionInfo
from edgeseg.specs import ModelSpec, PreprocessSpec
from edgeseg.train.architectures.own_code import own_code_named
from edgeseg.train.architectures.own_network import check_trusted
from edgeseg.train.architectures.registry import network_from_recipe
from edgeseg.train.checkpoint import load_best, load_weights
from edgeseg.train.network import NormalisedNetwork


class TorchSession:
    """A PyTorch network behind the session protocol.

    Args:
        network: Takes float [N,3,H,W] in 0..1, gives logits [N,C,H,W].
        info: What it is.
    """

    def __init__(self, network: NormalisedNetwork, info: SessionInfo) -> None:
        self.network = network
        self._info = info

    @property
    def info(self) -> SessionInfo:
        """The network and where it runs."""
        return self._info

    @torch.inference_mode()
    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        """Run the network: uint8 [N,H,W,3] RGB in, float32 [N,C,H,W] out."""
        device = next(self.network.parameters()).device
        images = torch.from_numpy(frames).to(device).permute(0, 3, 1, 2).float().div_(255.0)
        training = self.network.training
        self.network.eval()
        with own_code_named(self._info.model.architecture, f"fails on pictures of {images.shape[2]}x{images.shape[3]}"):
            logits = self.network(images).float()
        self.network.train(training)
        softmax = self._info.model.output == "softmax"
        probability = torch.softmax(logits, dim=1) if softmax else torch.sigmoid(logits)
        result: ProbabilityBatch = np.ascontiguousarray(probability.cpu().numpy())
        return result

    def close(self) -> None:
        """Nothing to give back."""


def session_from_network(
    network: NormalisedNetwork, model: ModelSpec, preprocess: PreprocessSpec, sha256: str
) -> TorchSession:
    """Wrap a network that is being trained or was just loaded."""
    return TorchSession(network, SessionInfo(model, preprocess, "torch", "fp32", sha256))


def open_run(path: Path, trusted: Collection[str] = ()) -> TorchSession:
    """Load the best checkpoint of a RUN folder.

    Args:
        path: The RUN folder.
        trusted: Code that may be imported. Where the recipe names code (`python:...`) it must be among this: a folder
            from a stranger must not choose what runs here.

    Raises:
        BadInputError: No checkpoint, or code that is not trusted.
        MismatchError: One of another recipe or architecture.
    """
    recipe, state = load_best(path)
    check_trusted(path, recipe.model.architecture, trusted)
    network = network_from_recipe(recipe.model, pretrained=False)
    load_weights(path / RUN_CHECKPOINT, network, state)
    model, preprocess = recipe.model_spec(), recipe.preprocess_spec()
    whole = NormalisedNetwork(network, preprocess, recipe.model.mirroring).eval()
    return session_from_network(whole, model, preprocess, sha256_file(path / RUN_CHECKPOINT))
