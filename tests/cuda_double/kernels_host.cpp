// Our kernels as g++ builds them, for the CUDA test double.
#include "kernel_library.h"

#include "kernels.cu"
CUDADOUBLE_KERNELS(SYNC(edgeseg_preprocess_bgr), SYNC(edgeseg_preprocess_bgrx), SYNC(edgeseg_preprocess_rgb),
                   SYNC(edgeseg_preprocess_nv12), SYNC(edgeseg_preprocess_i420), SYNC(edgeseg_mask), PLAIN(edgeseg_map))
