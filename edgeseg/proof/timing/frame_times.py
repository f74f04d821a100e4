"""One frame as `edgeseg run` handles it, timed from host memory to its mask at the frame's size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgeseg.proof.timing.clock import Clock
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.one_frame import outcome_of
from edgeseg.runtime.engine.session import mask_at_frame
from edgeseg.runtime.video.engine_input import engine_input
from edgeseg.runtime.video.picture import Picture


@dataclass(frozen=True)
class FrameTimes:
    """One frame's times, in nanoseconds."""

    total_ns: int
    stages_ns: Mapping[str, int] = field(default_factory=dict)
    """Stage -> its time; empty where nobody times them now.

    On the host's processor ``pre``, ``infer`` and ``post``. On a GPU its own times, then ``launch`` (the way to the
    engine's process and back, and what the GPU waited) and ``scale`` (the mask brought to the frame's size).
    """


def time_frame(engine: Engine, picture: Picture, clock: Clock) -> FrameTimes:
    """Give an engine one picture and take its mask; no other frame may be under way.

    Raises:
        EdgesegError: The engine refuses the frame, or is down for good.
    """
    started_ns = clock.now_ns()
    given = engine_input(picture, engine.info)
    prepared_ns = clock.now_ns()
    outcome = outcome_of(engine, given)
    inferred_ns = clock.now_ns()
    mask_at_frame(engine.info, outcome.probability, picture.height, picture.width)
    done_ns = clock.now_ns()
    total_ns, post_ns = done_ns - started_ns, done_ns - inferred_ns
    gpu_ns = outcome.stages_ns
    if gpu_ns:
        launch_ns = max(0, inferred_ns - started_ns - sum(gpu_ns.values()))
        return FrameTimes(total_ns, {**gpu_ns, "launch": launch_ns, "scale": post_ns})
    if engine.device_name is not None:
        return FrameTimes(total_ns)
    infer_ns = round(1e6 * outcome.infer_ms)
    return FrameTimes(total_ns, {"pre": prepared_ns - started_ns, "infer": infer_ns, "post": post_ns})
