"""The CUDA kernels that are not the engine: frame to network input, probability to mask, area and map.

One C++ source (`kernels.cu` and its headers) that nvcc compiles for the GPU and g++ for the tests; `parameters` mirrors
its parameter structs and launch geometry, `compile` makes and caches the fatbin. Nothing here touches a GPU.
"""
