"""Teaching a small network by a large one (Hinton et al., 2015, arXiv:1503.02531).

The teacher sees what the student sees, each augmented picture anew (Beyer et al., 2022, arXiv:2106.05237).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.errors import MismatchError
from edgeseg.graph.onnx_files import load_onnx, serialize
from edgeseg.packages import find_model, onnx_of
from edgeseg.runtime.engine.backends import EVERYWHERE
from edgeseg.runtime.engine.session import Session, SessionInfo
from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession
from edgeseg.specs import ModelSpec
from edgeseg.train.architectures.own_code import own_code_named
from edgeseg.train.predictor import open_run

LEAST_PROBABILITY = 1e-6
"""A graph that is surer than this is taken to be as sure, so that its logits are finite."""


class Teacher:
    """Trained networks whose mean probability becomes part of a student's targets.

    Args:
        networks: They take float [N,3,H,W] in 0..1 and give logits [N,C,H,W]; they are frozen.
        share: Share of their answer in the targets, 0..1; the mask has the rest.
        architectures: The name of each; what a network of the user's own raises is told as theirs.
    """

    def __init__(self, networks: Sequence[nn.Module], share: float, architectures: Sequence[str] = ()) -> None:
        self.networks = [network.eval().requires_grad_(False) for network in networks]
        self.share = share
        self._architectures = architectures or [""] * len(networks)

    def to(self, device: torch.device) -> Teacher:
        """Move the networks to a device, in place."""
        for network in self.networks:
            network.to(device)
        return self

    @torch.no_grad()
    def targets(self, images: Tensor, masks: Tensor) -> Tensor:
        """Soft targets for a batch.

        A picture whose mask is empty keeps it: that nothing is there is known; a teacher's false alarms stay its own.

        Args:
            images: float [N,3,H,W] in 0..1.
            masks: float [N,1,H,W] of 0 and 1, or one-hot [N,C,H,W], the background first.

        Returns:
            float in 0..1, of the masks' shape.

        Raises:
            OwnCodeError: A network of the user's own failed.
        """
        several = masks.shape[1] > 1
        shown = masks[:, int(several) :].flatten(1).any(dim=1).nonzero().flatten()
        if not len(shown):
            return masks
        asked = images[shown].contiguous(memory_format=torch.channels_last)
        answers = []
        for network, architecture in zip(self.networks, self._architectures, strict=True):
            with own_code_named(architecture, "fails as a teacher"):
                logits = network(asked).float()
            answers.append(torch.softmax(logits, dim=1) if several else torch.sigmoid(logits))
        mean = torch.stack(answers).mean(dim=0)
        return masks.index_copy(0, shown, masks[shown].lerp(mean, self.share))


class GraphTeacher(nn.Module):
    """A network that is there as a graph alone: ONNX Runtime computes it on the CPU, at the graph's own size.

    Args:
        session: The graph, loaded.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def forward(self, images: Tensor) -> Tensor:
        """Answer at the pictures' size: float [N,3,H,W] in 0..1 -> logits [N,C,H,W]; both resizes are bilinear."""
        model = self._session.info.model
        own_size = (model.height, model.width)
        frames = F.interpolate(images.float(), own_size, mode="bilinear", antialias=True)
        levels = (frames * 255.0).round_().clamp_(0, 255).to(torch.uint8)
        answer = self._session.infer(levels.permute(0, 2, 3, 1).contiguous().cpu().numpy())
        probability = torch.from_numpy(answer).to(images.device)
        probability = F.interpolate(probability, images.shape[-2:], mode="bilinear", antialias=True)
        if model.output == "softmax":
            return probability.clamp_min(LEAST_PROBABILITY).log()
        return torch.logit(probability, LEAST_PROBABILITY)


def teacher_from_models(
    models: Sequence[Path], share: float, student: ModelSpec, trusted: Collection[str] = ()
) -> Teacher | None:
    """Finished networks as one teacher; None without any.

    Args:
        models: RUN folders, model packages or ONNX files of edgeseg.
        share: Share of their answer in the targets.
        student: What they must fit; its own code is trusted.
        trusted: Other code that they may import; see `edgeseg.train.predictor.open_run`.

    Raises:
        BadInputError: Nothing there, a RUN is not complete, its network is code that is not trusted, or an engine.
        MismatchError: It segments other classes than the student, or its weights belong to another architecture.
    """
    networks: list[nn.Module] = []
    architectures = []
    for path in models:
        network, spec = _network_of(path, (student.architecture, *trusted))
        if spec.classes != student.classes:
            raise MismatchError(f"{path} cannot teach this network", found=spec.classes, expected=student.classes)
        networks.append(network)
        architectures.append(spec.architecture)
    return Teacher(networks, share, architectures) if networks else None


def _network_of(path: Path, trusted: Collection[str]) -> tuple[nn.Module, ModelSpec]:
    files = find_model(path)
    if files.kind == "run":
        run = open_run(path, trusted)
        return run.network.to(memory_format=torch.channels_last), run.info.model  # type: ignore[call-overload]
    artifact = load_onnx(onnx_of(files))
    model = artifact.metadata.model
    info = SessionInfo(model, artifact.metadata.preprocess, EVERYWHERE, "fp32", artifact.sha256)
    return GraphTeacher(OnnxRuntimeSession(serialize(artifact.proto), info, torch.get_num_threads())), model
