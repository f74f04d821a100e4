"""Teaching a small network by a large one (Hinton et al., 2015, arXiv:1503.02531).

The teacher sees what the student sees, each augmented picture anew (Beyer et al., 2022, arXiv:2106.05237).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from edgeseg.errors import MismatchError
from edgeseg.specs import ModelSpec
from edgeseg.train.architectures.own_code import own_code_named
from edgeseg.train.predictor import open_run


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


def teacher_from_runs(
    runs: Sequence[Path], share: float, student: ModelSpec, trusted: Collection[str] = ()
) -> Teacher | None:
    """The best networks of finished trainings as one teacher; None without any.

    Args:
        runs: RUN folders.
        share: Share of their answer in the targets.
        student: What they must fit; its own code is trusted.
        trusted: Other code that they may import; see `edgeseg.train.predictor.open_run`.

    Raises:
        BadInputError: A RUN is not complete, or its network is code that is not trusted.
        MismatchError: It segments other classes than the student, or its weights belong to another architecture.
    """
    networks, architectures = [], []
    for run in runs:
        session = open_run(run, (student.architecture, *trusted))
        classes = session.info.model.classes
        if classes != student.classes:
            raise MismatchError(f"{run} cannot teach this network", found=classes, expected=student.classes)
        networks.append(session.network.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
        architectures.append(session.info.model.architecture)
    return Teacher(networks, share, architectures) if networks else None
