"""Failures inside the user's own code, told as such: what was raised, in which file and line."""

from __future__ import annotations

import contextlib
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

import torch

import edgeseg
from edgeseg.errors import BadInputError, EdgesegError
from edgeseg.train.architectures.catalogue import OWN_PREFIX, is_own

CONTRACT = "an nn.Module: normalised float32 [N,3,H,W] in, logits float32 [N,C,H,W] out; C is 1 for one class"
_ROOMS = (".", "train", "export", "calibration", "runtime")
_OURS_AND_TORCH = tuple(
    Path(folder).resolve()
    for folder in (*(Path(edgeseg.__file__).parent / room for room in _ROOMS), Path(torch.__file__).parent)
)
_STANDARD = Path(sysconfig.get_path("stdlib")).resolve()
_PASS = (EdgesegError, MemoryError, torch.OutOfMemoryError)
"""Not the code's fault, or said in words already."""


class OwnCodeError(BadInputError):
    """The user's own code failed."""


@contextlib.contextmanager
def own_code_named(architecture: str, doing: str, *, every: bool = True) -> Iterator[None]:
    """Tell an exception of the network's code as the user's own; of no effect on networks of the catalogue.

    Args:
        architecture: The recipe's.
        doing: What failed, such as ``fails in training``.
        every: Take every exception as theirs; else only where a frame of their code is on its way.

    Raises:
        OwnCodeError: Instead of what that code raised.
    """
    try:
        yield
    except _PASS:
        raise
    except (Exception, SystemExit) as error:
        if not is_own(architecture) or not (every or _place_in_traceback(error, architecture)):
            raise
        raise own_code_error(architecture, doing, error) from error


def own_code_error(
    architecture: str, doing: str, error: BaseException, next_command: str | None = None
) -> OwnCodeError:
    """The failure in words, with its file and line."""
    text = (str(error).strip().splitlines() or [""])[0][:300]
    place = _place_in_traceback(error, architecture) or _definition(architecture)
    return OwnCodeError(
        f"{architecture} {doing}",
        found=f"{type(error).__name__}: {text}" + (f" ({place})" if place else ""),
        expected=CONTRACT,
        next_command="edgeseg --debug ... shows the whole traceback",
    )


def _place_in_traceback(error: BaseException, architecture: str) -> str | None:
    """The innermost line of the user's module or its neighbours; else of any code that is neither ours nor torch's."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _may_be_theirs(frame.filename)]
    home = _home(architecture)
    at_home = [frame for frame in frames if home is not None and Path(frame.filename).resolve().is_relative_to(home)]
    frame = next(reversed(at_home or frames), None)
    return None if frame is None else f"{frame.filename}, line {frame.lineno}, in {frame.name}"


def _may_be_theirs(filename: str) -> bool:
    path = Path(filename).resolve()
    if filename.startswith("<") or any(path.is_relative_to(folder) for folder in _OURS_AND_TORCH):
        return False
    return "site-packages" in path.parts or not path.is_relative_to(_STANDARD)


def _home(architecture: str) -> Path | None:
    """The folder or file of the user's top package."""
    module = sys.modules.get(architecture.removeprefix(OWN_PREFIX).split(":")[0].split(".")[0])
    file = getattr(module, "__file__", None)
    if file is None:
        return None
    path = Path(file).resolve()
    return path.parent if path.name == "__init__.py" else path


def _definition(architecture: str) -> str | None:
    """The line of the function that makes the network, where no frame of it is on the exception's way."""
    module_name, name = architecture.removeprefix(OWN_PREFIX).split(":")
    function = getattr(sys.modules.get(module_name), name, None)
    try:
        return f"made by {inspect.getsourcefile(function)}, line {inspect.getsourcelines(function)[1]}"  # type: ignore[arg-type]
    except (OSError, TypeError):
        return None
