"""From an engine's file to what executes it in this process, whatever its backend."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path

from edgeseg.artifacts import EngineArtifact
from edgeseg.runtime.engine.backends import backend_named
from edgeseg.runtime.engine.failures import ProcessLostError, TransientError
from edgeseg.runtime.engine.layout import Opener, SessionLayout
from edgeseg.runtime.engine.session import Session
from edgeseg.runtime.passport.bindings import check_binding, read_machine
from edgeseg.runtime.passport.passports import read_checked


def open_here(path: Path, layout: SessionLayout) -> Session:
    """Load an engine in this process after its passport has been checked. A GPU's initialises CUDA here.

    Args:
        path: NAME.engine, with NAME.engine.json beside it.
        layout: What it is opened for.

    Raises:
        BadInputError: There is no such engine, or none of its backend.
        MismatchError: The passport is missing or does not fit, or the engine is bound to another machine.
        MissingComponentError: This machine cannot execute engines of that backend.
        TransientError: The GPU has too little memory.
    """
    data, passport = read_checked(path)
    return checked_opener(path, data, passport)(layout)


def checked_opener(path: Path, data: bytes, passport: EngineArtifact) -> Callable[[SessionLayout], Session]:
    """Hold an engine that fits its passport against this machine.

    Returns:
        What opens it, as often as it is called.
    """
    opener: Opener = backend_named(passport.backend).load("opener")
    for warning in check_binding(passport, read_machine(passport.backend)):
        logging.getLogger(__name__).warning("%s: %s", path, warning)
    return functools.partial(opener, data, passport)


def open_with_room(path: Path, frame_bytes: int, lanes: int = 1) -> Session:
    """As `open_here`, with room for frames of so many bytes; what a worker process is given.

    Args:
        path: NAME.engine.
        frame_bytes: Size of the largest frame.
        lanes: As many as these, or one where the GPU's memory does not take them.
    """
    try:
        return open_here(path, SessionLayout(lanes=lanes, frame_bytes=frame_bytes))
    except ProcessLostError:
        raise
    except TransientError as error:
        if lanes == 1:
            raise
        logging.getLogger(__name__).warning("%s: one lane instead of %s: %s", path, lanes, error)
    return open_here(path, SessionLayout(frame_bytes=frame_bytes))
