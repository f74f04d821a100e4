from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.runtime.engine.inputs import PackedFrame

FRAME = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)


def working(standin: Callable[..., Any], onnx: Path) -> Any:
    """Tell whether a session can be opened and used; its result."""
    session = standin(onnx)
    session.start(PackedFrame(FRAME, "rgb"))
    result = session.finish().probability.copy()
    session.close()
    return result
