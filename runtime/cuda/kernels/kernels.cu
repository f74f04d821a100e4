// The kernels of edgeseg's CUDA runtime; launch geometry and parameters: parameters.py.
#include "mask.h"
#include "preprocess.h"

extern "C" __global__ void __launch_bounds__(256, 4) edgeseg_preprocess_bgr(PreprocessParams params) {
    preprocess<Bgr>(params);
}

extern "C" __global__ void __launch_bounds__(256, 4) edgeseg_preprocess_bgrx(PreprocessParams params) {
    preprocess<Bgrx>(params);
}

extern "C" __global__ void __launch_bounds__(256, 4) edgeseg_preprocess_rgb(PreprocessParams params) {
    preprocess<Rgb>(params);
}

extern "C" __global__ void __launch_bounds__(256, 4) edgeseg_preprocess_nv12(PreprocessParams params) {
    preprocess<Nv12>(params);
}

extern "C" __global__ void __launch_bounds__(256, 4) edgeseg_preprocess_i420(PreprocessParams params) {
    preprocess<I420>(params);
}

extern "C" __global__ void __launch_bounds__(256, 4) edgeseg_mask(MaskParams params) {
    mask_and_area(params);
}

extern "C" __global__ void __launch_bounds__(256, 4) edgeseg_map(MapParams params) {
    map_from_probability(params);
}
