from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module `scripted_session`, importable by worker processes too."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    import scripted_session

    return scripted_session
