"""pycuda's build settings: copy to ~/.aksetup-defaults.py before `pip install pycuda`.

No OpenGL and no cuRAND, which edgeseg does not use and which would have to be there at run time. libcuda is linked by
the toolkit's stub, so that no driver is needed to build; the driver's own is loaded at run time.
"""

USE_SHIPPED_BOOST = True
CUDA_ROOT = "/usr/local/cuda"
CUDA_ENABLE_GL = False
CUDA_ENABLE_CURAND = False
CUDADRV_LIB_DIR = ["/usr/local/cuda/lib64/stubs"]
CUDADRV_LIBNAME = ["cuda"]
