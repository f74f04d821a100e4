"""A stand-in for the package `tensorrt`: see standin_tensorrt.py. Only tests put it on the path."""

from standin_tensorrt import *  # noqa: F403

__version__ = "10.3.0+standin"
