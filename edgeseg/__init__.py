"""edgeseg: from polyp images to a measured, checked, real-time segmentation engine on an edge GPU.

What every stage shares lives here (values, errors, files, frame mathematics, data, metrics); the stages
themselves are `edgeseg.train`, `edgeseg.export`, `edgeseg.calibration` and `edgeseg.runtime`.
Research use only: edgeseg is no medical device.
"""

from edgeseg.third_parties import settle_environment

__version__ = "0.1.0"

settle_environment()
