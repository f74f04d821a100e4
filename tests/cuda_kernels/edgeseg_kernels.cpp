// The g++ build of edgeseg's kernels: for these tests, and for the CUDA test double (CUDADOUBLE_KERNELS).
#include "../cuda_double/kernel_library.h"

#include "../../runtime/cuda/kernels/kernels.cu"

CUDADOUBLE_KERNELS(SYNC(edgeseg_preprocess_bgr), SYNC(edgeseg_preprocess_bgrx), SYNC(edgeseg_preprocess_rgb),
                   SYNC(edgeseg_preprocess_nv12), SYNC(edgeseg_preprocess_i420), SYNC(edgeseg_mask), PLAIN(edgeseg_map))
