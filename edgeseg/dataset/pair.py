"""One image with its mask."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import BadInputError
from edgeseg.frames import Frame, Mask
from edgeseg.images import (
    MaskCoding,
    MaskEvidence,
    MaskValues,
    as_stored,
    coding_of,
    read_mask_values,
    read_oriented_rgb,
)
from edgeseg.shell import quoted


@dataclass(frozen=True, eq=False)
class Labelled:
    """An image and its ground truth, decoded."""

    frame: Frame
    """uint8 [H,W,3] RGB."""
    mask: Mask
    """uint8 [H,W] of 0 and 255, or of class indices where several classes were asked for; ignored pixels are 0."""
    ignored: NDArray[np.bool_] | None = None
    """bool [H,W], true where nobody may judge; None where everything counts."""

    def judged(self, predicted: Mask) -> Mask:
        """A prediction, uint8 [H,W], with 0 where pixels are ignored, as the mask has it."""
        return predicted if self.ignored is None else np.where(self.ignored, np.uint8(0), predicted)


@dataclass(frozen=True)
class Pair:
    """One image and its ground-truth mask on disk."""

    name: str
    image: Path
    mask: Path
    coding: MaskCoding | None = None
    """The meaning of the values of the set's masks; None lets this mask alone tell."""

    def read(self) -> tuple[Frame, Mask]:
        """The frame, uint8 [H,W,3] RGB, and its mask, uint8 [H,W] of 0 and 255; see `read_labelled`."""
        labelled = self.read_labelled()
        return labelled.frame, labelled.mask

    def read_labelled(self, classes: int = 1) -> Labelled:
        """The frame, its mask and the pixels to ignore.

        Args:
            classes: Number of classes with the background, or 1.

        Raises:
            BadInputError: One of them cannot be read, their sizes differ, or the mask has no one meaning or a label
                that is no class.
        """
        frame, values = self.read_values()
        coding, problems = (self.coding, []) if self.coding is not None else coding_of([MaskEvidence.of(values)])
        if problems:
            raise BadInputError(f"the mask {self.mask} {problems[0][1]}", expected="two values: 0 and 255, or 0 and 1")
        assert coding is not None
        if classes > 1:
            return Labelled(frame, *self._class_indices(coding, values, classes))
        if coding.rule == "labels":
            raise several_classes(self.mask, coding)
        return Labelled(frame, *coding.apply(values))

    def _class_indices(
        self, coding: MaskCoding, values: MaskValues, classes: int
    ) -> tuple[Mask, NDArray[np.bool_] | None]:
        try:
            return coding.class_indices(values, classes)
        except BadInputError as error:
            raise BadInputError(
                f"the mask {self.mask} holds a wrong class index",
                found=error.what,
                expected=error.expected,
                next_command="edgeseg data convert DIR --out NEW --labels LABEL,LABEL,... numbers chosen labels anew",
            ) from error

    def read_values(self) -> tuple[Frame, MaskValues]:
        """The frame and the mask's values, turned alike.

        Raises:
            BadInputError: One of them cannot be read, or their sizes differ.
        """
        frame, orientation = read_oriented_rgb(self.image)
        values = read_mask_values(self.mask)
        if orientation == values.orientation and frame.shape[:2] == values.values.shape:
            return frame, values
        stored_frame = as_stored(frame, orientation)
        stored_values = as_stored(values.values, values.orientation)
        fit = frame.shape[:2] == values.values.shape, stored_frame.shape[:2] == stored_values.shape
        if not any(fit):
            raise BadInputError(
                f"{self.image.name} and its mask have different sizes",
                found=f"image {size_of(frame)}, mask {size_of(values.values)}",
                expected="the same width and height",
                next_command=f"edgeseg data inspect {quoted(self.image.parent.parent)}",
            )
        if all(fit):
            raise BadInputError(
                f"{self.image.name} and its mask state different EXIF orientations",
                found=f"image {orientation}, mask {values.orientation}: was the mask drawn on the turned picture?",
                expected="the same orientation",
                next_command="edgeseg data convert DIR --out NEW --exif upright (or stored)",
            )
        if fit[0]:
            return frame, values
        return np.ascontiguousarray(stored_frame), replace(values, values=np.ascontiguousarray(stored_values))


def several_classes(where: Path, coding: MaskCoding) -> BadInputError:
    """Make the error for a set of several classes where one is wanted."""
    return BadInputError(
        f"the masks of {where} hold several classes",
        found=f"labels {', '.join(map(str, coding.labels))}",
        expected="one class: 0 and 255, or 0 and 1; or a network of several classes (model.classes)",
        next_command="edgeseg data convert DIR --out NEW --foreground LABEL[,LABEL] makes chosen labels the polyp",
    )


def size_of(array: NDArray[Any]) -> str:
    """Width and height as words."""
    return f"{array.shape[1]}x{array.shape[0]}"
