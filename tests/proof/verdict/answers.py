from collections.abc import Callable

import numpy as np

from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.runtime.engine.session import FrameBatch, ProbabilityBatch, SessionInfo
from edgeseg.specs import ModelSpec, PreprocessSpec

SIZE_PX = 48
Answer = Callable[[np.ndarray], np.ndarray]


class AnswerSession:
    """A network that is any function from a frame uint8 [H,W,3] to a probability [H,W]."""

    def __init__(self, answer: Answer, name: str = "a") -> None:
        self._answer = answer
        model = ModelSpec(architecture="answer", classes=("polyp",), height=SIZE_PX, width=SIZE_PX)
        self.info = SessionInfo(model, PreprocessSpec(), "onnxruntime", "int8", name * 64)

    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        return np.stack([self._answer(frame)[np.newaxis] for frame in frames]).astype(np.float32)

    def close(self) -> None:
        pass


def right(frame: np.ndarray) -> np.ndarray:
    """Bright pixels are polyp."""
    return np.where(frame[..., 1] > 120, 0.9, 0.1)


def speckles(frame: np.ndarray) -> np.ndarray:
    """An untrained network: noise that depends on the frame."""
    return np.random.default_rng(int(frame.sum())).random(frame.shape[:2])


def marking(rows: slice) -> Answer:
    def answer(frame: np.ndarray) -> np.ndarray:
        probability = np.full(frame.shape[:2], 0.1)
        probability[rows] = 0.9
        return probability

    return answer


def of_nan(frame: np.ndarray) -> np.ndarray:
    return np.full(frame.shape[:2], np.nan)


def inverse(frame: np.ndarray) -> np.ndarray:
    return 1 - right(frame)


def network(answer: Answer, name: str = "a") -> Engine:
    return engine_of(AnswerSession(answer, name))
