"""A stand-in for the package `tensorrt_rtx`: see standin_tensorrt.py. Only tests put it on the path."""

import enum

from standin_tensorrt import *  # noqa: F403

__version__ = "1.7.1.116+standin"
DynamicShapesKernelSpecializationStrategy = enum.Enum("DynamicShapesKernelSpecializationStrategy", "LAZY EAGER NONE")
CudaGraphStrategy = enum.Enum("CudaGraphStrategy", "DISABLED WHOLE_GRAPH_CAPTURE")
ComputeCapability = enum.Enum("ComputeCapability", "SM86 SM87 SM89 SM120")
