"""A foreign network as it came, with preprocessing in numpy: the oracle of the wrapped graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import BadInputError
from edgeseg.export.foreign.foreign_options import ImportOptions
from edgeseg.export.foreign.foreign_output import OutputForm
from edgeseg.frames import scale_plane
from edgeseg.graph.foreign import ForeignInput
from edgeseg.optional import require
from edgeseg.runtime.engine.session import FrameBatch, ProbabilityBatch


class BareNetwork:
    """The file's own graph in ONNX Runtime, fed with pictures in float.

    Args:
        data: The foreign file, its weights inside.
        shape: Its input.
        output: The name of its output.
        options: How it wants its pictures and what it gives.

    Raises:
        BadInputError: ONNX Runtime refuses the graph.
    """

    def __init__(self, data: bytes, shape: ForeignInput, output: str, options: ImportOptions) -> None:
        onnxruntime = require("onnxruntime")
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 4
        try:
            self._session: Any = onnxruntime.InferenceSession(data, settings, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a dozen classes without a common base
            raise BadInputError("ONNX Runtime cannot load this network", found=str(error)[:300]) from error
        self._shape, self._output, self._options = shape, output, options
        self._form: OutputForm | None = None

    def formed(self, form: OutputForm) -> BareNetwork:
        """The same network, whose output is known to lie like this."""
        copy = object.__new__(BareNetwork)
        vars(copy).update(vars(self), _form=form)
        return copy

    def probe(self, height: int, width: int) -> NDArray[Any]:
        """Run a black picture, one batch of the network's own size, and give the result of whatever type and rank.

        Raises:
            BadInputError: The network does not run at this size.
        """
        return self._run(self._pictures(np.zeros((1, height, width, 3), np.uint8))[0])

    def raw(self, frames: FrameBatch) -> NDArray[Any]:
        """Run the network itself, picture by picture: uint8 [N,H,W,3] RGB in; [N,C,h,w] out, the channel that is meant.

        Raises:
            BadInputError: The network does not run.
        """
        values = np.concatenate([self._run(picture)[:1] for picture in self._pictures(frames)])
        planes = values if self._form is None else self._form.as_planes(values)
        channel = self._options.channel
        return planes if channel is None else planes[:, channel : channel + 1]

    def _run(self, picture: NDArray[Any]) -> NDArray[Any]:
        batch = np.repeat(picture[np.newaxis], self._shape.batch, axis=0)
        try:
            return np.asarray(self._session.run([self._output], {self._shape.name: batch})[0])
        except Exception as error:  # likewise
            raise BadInputError(
                "the network does not run on its input",
                found=f"{batch.dtype} {list(batch.shape)}: {' '.join(str(error).split())[:300]}",
            ) from error

    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        """Probabilities at the input's size: uint8 [N,H,W,3] RGB in, float32 [N,C,H,W] out."""
        height, width = frames.shape[1:3]
        values = self.raw(frames).astype(np.float32)
        planes = np.stack([[scale_plane(plane, height, width) for plane in picture] for picture in values])
        if self._options.output == "probability":
            return planes
        return _softmax(planes) if planes.shape[1] > 1 else _sigmoid(planes)

    def _pictures(self, frames: FrameBatch) -> NDArray[Any]:
        """Pictures as the network takes them: [N,3,H,W] or [N,H,W,3] of its own type."""
        normal = (frames.astype(np.float64) / self._options.scale - self._options.mean) / self._options.std
        ordered = normal[..., ::-1] if self._options.bgr else normal
        pictures = ordered if self._shape.nhwc else ordered.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(pictures).astype(self._shape.dtype)


def _sigmoid(logits: NDArray[np.float32]) -> ProbabilityBatch:
    result: ProbabilityBatch = (0.5 * (1 + np.tanh(0.5 * logits.astype(np.float64)))).astype(np.float32)
    return result


def _softmax(logits: NDArray[np.float32]) -> ProbabilityBatch:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    result: ProbabilityBatch = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return result
