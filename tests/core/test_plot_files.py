from pathlib import Path

import pytest

from edgeseg.errors import UsageError
from edgeseg.plot_files import check_plot


def test_a_plot_of_no_kind_is_refused() -> None:
    with pytest.raises(UsageError):
        check_plot(Path("plot.bmp"))
