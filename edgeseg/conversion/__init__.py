"""Writes the standard layout from whatever holds images and masks, also where it cannot be read in place."""

from edgeseg.conversion.convert import Conversion, convert_dataset
from edgeseg.conversion.item import ConversionOptions

__all__ = ["Conversion", "ConversionOptions", "convert_dataset"]
