from __future__ import annotations

import pytest

from edgeseg.cli.size_argument import Size, parse_size
from edgeseg.errors import UsageError


def test_a_size_is_width_first() -> None:
    assert parse_size(" 1920X1080 ") == Size(width=1920, height=1080) == (1920, 1080)


@pytest.mark.parametrize("text", ["1920", "0x5", "ax5", "99999x1", "5x-5", ""])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--size"):
        parse_size(text)
