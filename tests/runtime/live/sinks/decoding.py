from __future__ import annotations

from pathlib import Path
from typing import Any

import av


def decoded(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def number(frame: Any) -> int:
    row = frame.to_ndarray()[frame.height // 2]
    return sum(1 << bit for bit in range(8) if row[(2 * bit + 1) * frame.width // 16] > 127)
