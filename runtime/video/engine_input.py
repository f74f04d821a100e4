"""Makes an engine's input from a picture: the decoder's planes, or the network's input made on the host."""

from __future__ import annotations

from edgeseg.runtime.engine.inputs import EngineInput, NetworkInput
from edgeseg.runtime.engine.planes import PlanarFrame
from edgeseg.runtime.engine.session import SessionInfo, check_crop
from edgeseg.runtime.video.picture import Picture


def planes_for(picture: Picture, info: SessionInfo, room_bytes: int | None = None) -> PlanarFrame | None:
    """Take the picture's planes, uncopied; None if the host must make the network's input.

    Args:
        picture: A picture of any size and form.
        info: The engine's facts.
        room_bytes: The room that the engine has for one frame; None if it makes room.

    Raises:
        BadInputError: The network's crop does not lie inside the picture.
    """
    check_crop(info.preprocess.crop, picture.height, picture.width)
    planes = picture.planar_frame if info.takes_planes else None
    has_room = planes is None or room_bytes is None or planes.nbytes <= room_bytes
    return planes if has_room else None


def network_input_of(picture: Picture, info: SessionInfo) -> NetworkInput:
    """Make the network's input on the host.

    Raises:
        BadInputError: The network's crop does not lie inside the picture.
    """
    model, crop = info.model, info.preprocess.crop
    check_crop(crop, picture.height, picture.width)
    return NetworkInput(picture.network_input(model.height, model.width, crop))


def engine_input(picture: Picture, info: SessionInfo, room_bytes: int | None = None) -> EngineInput:
    """Take the planes by `planes_for`, or else make the input by `network_input_of`."""
    planes = planes_for(picture, info, room_bytes)
    return network_input_of(picture, info) if planes is None else planes
