"""The CUDA runtime: an engine on a GPU (`cuda_engine`), in whichever process opens it.

Importing this package loads neither pycuda nor cuda-bindings. Kernels and their compilation live in kernels/,
processes in runtime/worker, pictures in runtime/video.
"""
