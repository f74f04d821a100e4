"""The CUDA runtime: an engine on a GPU, in this process (`session`) or in a supervised one of its own (`supervisor`).

Importing this package loads neither pycuda nor cuda-bindings. Kernels and their compilation live in kernels/; drawing
and video live in runtime/file and runtime/live.
"""
