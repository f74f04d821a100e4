"""The engine's latest answers, for whoever shows frames."""

from __future__ import annotations

import threading
from collections import OrderedDict

from edgeseg.runtime.live.live_values import LiveMask


class MaskBoard:
    """The newest mask and the last few by frame. One thread pins masks up, another looks.

    Args:
        kept: How many: those whose frames may still be shown. Each is as large as a picture.
    """

    def __init__(self, kept: int = 16) -> None:
        self._kept = kept
        self._masks: OrderedDict[int, LiveMask] = OrderedDict()
        self._newest: LiveMask | None = None
        self._lock = threading.Lock()
        self.count = 0
        """Masks so far."""

    def pin(self, mask: LiveMask) -> None:
        """Show a mask; one of an older frame than the newest does not replace it."""
        with self._lock:
            self.count += 1
            if self._newest is None or mask.index > self._newest.index:
                self._newest = mask
            self._masks[mask.index] = mask
            while len(self._masks) > self._kept:
                self._masks.popitem(last=False)

    def newest(self, now_ns: int, limit_ms: float, not_after: int | None = None) -> LiveMask | None:
        """The newest mask, where its frame arrived at most so long ago.

        Args:
            now_ns: The time now by the monotonic clock.
            limit_ms: How long ago.
            not_after: Leave out masks of later frames, for a presenter that is behind: a mask must not run ahead.
        """
        mask = self._newest
        if mask is not None and not_after is not None and mask.index > not_after:
            with self._lock:
                mask = max((m for m in self._masks.values() if m.index <= not_after), key=_index_of, default=None)
        return mask if mask is not None and (now_ns - mask.arrived_ns) / 1e6 <= limit_ms else None

    def of_frame(self, index: int) -> LiveMask | None:
        """The mask of one frame; it is taken from the board."""
        with self._lock:
            return self._masks.pop(index, None)


def _index_of(mask: LiveMask) -> int:
    return mask.index
