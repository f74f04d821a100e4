// standin.cu as g++ builds it, for the CUDA test double.
#include "kernel_library.h"

#include "standin.cu"
CUDADOUBLE_KERNELS(PLAIN(standin_mean))
