from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeseg.errors import BadInputError, EdgesegError
from edgeseg.runtime.engine.inputs import NetworkInput, PackedFrame, put_together, size_of, taken_apart
from edgeseg.runtime.engine.local_engine import engine_of
from edgeseg.runtime.engine.one_frame import outcome_of
from edgeseg.runtime.engine.planes import PlanarFrame
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.live.scene.sampling import Sample
from edgeseg.runtime.video.engine_input import engine_input, network_input_of, planes_for
from edgeseg.runtime.video.picture import Picture
from edgeseg.specs import Crop, ModelSpec, PreprocessSpec

PICTURE = Picture.of_i420(
    38, 51, np.random.default_rng(0).integers(0, 256, (57, 52), np.uint8), matrix="bt2020", full_range=True
)


def info(takes_planes: bool, crop: Crop | None = None) -> SessionInfo:
    model = ModelSpec(architecture="a", height=8, width=10)
    return SessionInfo(model, PreprocessSpec(crop=crop), "made-up", "fp32", "0" * 64, takes_planes)


def test_planes_go_as_they_are_to_who_takes_them() -> None:
    given = engine_input(PICTURE, info(takes_planes=True))
    assert isinstance(given, PlanarFrame)
    assert given.samples is PICTURE.i420, "a copy"
    form = given.form
    assert (form.height, form.width, form.matrix, form.full_range) == (38, 51, "bt2020", True)
    assert size_of(given) == (38, 51) and size_of(PackedFrame(PICTURE.bgr, "bgr")) == (38, 51)


@pytest.mark.parametrize(
    ("picture", "takes_planes", "room_bytes"),
    [(PICTURE, False, None), (PICTURE, True, 57 * 52 - 1), (Picture.of_bgr(PICTURE.bgr), True, None)],
    ids=["a session of the host", "no room", "BGR"],
)
def test_the_host_makes_the_networks_input_of_the_rest(
    picture: Picture, takes_planes: bool, room_bytes: int | None
) -> None:
    known = info(takes_planes)
    assert planes_for(picture, known, room_bytes) is None
    given = engine_input(picture, known, room_bytes)
    assert isinstance(given, NetworkInput)
    np.testing.assert_array_equal(given.pixels, picture.network_input(8, 10))


def test_room_for_the_last_byte_is_room() -> None:
    assert planes_for(PICTURE, info(takes_planes=True), 57 * 52) is not None


@pytest.mark.parametrize("takes_planes", [False, True])
def test_a_crop_outside_the_picture_is_refused_either_way(takes_planes: bool) -> None:
    with pytest.raises(BadInputError, match="window"):
        engine_input(PICTURE, info(takes_planes, Crop(top=0, left=0, height=39, width=20)))


def test_a_frame_is_the_same_after_it_was_taken_apart() -> None:
    planes = PICTURE.planar_frame
    assert planes is not None
    for frame in (planes, PackedFrame(PICTURE.bgr, "bgr"), PackedFrame(PICTURE.bgr, "rgb"), NetworkInput(PICTURE.bgr)):
        again: Any = put_together(*taken_apart(frame))
        assert type(again) is type(frame)
        assert taken_apart(again)[0] is taken_apart(frame)[0] and taken_apart(again)[1] == taken_apart(frame)[1]


def test_a_session_that_takes_no_planes_says_so() -> None:
    class Nothing:
        info = info(takes_planes=False)

    planes = PICTURE.planar_frame
    assert planes is not None
    session: Any = Nothing()
    with pytest.raises(EdgesegError, match="takes none"):
        outcome_of(engine_of(session), planes)


def test_a_sample_is_looked_at_once_and_only_on_demand() -> None:
    looks = []

    def look() -> Any:
        looks.append(1)
        return network_input_of(PICTURE, info(takes_planes=True))

    sample = Sample(0, 0, look, np.zeros((1, 8, 10), np.float32))
    assert looks == []
    assert sample.frame is sample.frame and sample.frame.shape == (8, 10, 3) and looks == [1]
