// Probability to mask and area, and probability to map. A thread takes four neighbouring values: each float is read once
// and each byte written once, in vectors where the addresses allow it (by arithmetic 5 bytes a pixel and channel or less).
#pragma once
#include <math.h>
#include <stdint.h>

#include "parameters.h"

constexpr int VALUES = 4;

struct alignas(16) FourFloats {
    float value[VALUES];
};

struct alignas(4) FourBytes {
    unsigned char value[VALUES];
};

static __device__ __forceinline__ FourFloats load(const float* from, int count) {
    if (count == VALUES && uintptr_t(from) % sizeof(FourFloats) == 0)
        return *reinterpret_cast<const FourFloats*>(from);
    FourFloats values = {};
#pragma unroll
    for (int i = 0; i < VALUES; ++i)
        if (i < count) values.value[i] = from[i];
    return values;
}

static __device__ __forceinline__ void store(unsigned char* to, const FourBytes& values, int count) {
    if (count == VALUES && uintptr_t(to) % sizeof(FourBytes) == 0) {
        *reinterpret_cast<FourBytes*>(to) = values;
        return;
    }
#pragma unroll
    for (int i = 0; i < VALUES; ++i)
        if (i < count) to[i] = values.value[i];
}

// One class: 255 where p >= threshold, else 0. NaN is no foreground.
static __device__ __forceinline__ FourBytes thresholded(const MaskParams& params, int first, int count) {
    const FourFloats probability = load(params.probability + first, count);
    FourBytes mask;
#pragma unroll
    for (int i = 0; i < VALUES; ++i) mask.value[i] = probability.value[i] >= params.threshold ? 255 : 0;
    return mask;
}

// Several classes: the index of the largest probability, the first of equals. A pixel with any NaN is background (0).
static __device__ __forceinline__ FourBytes largest(const MaskParams& params, int first, int count) {
    FourFloats best = load(params.probability + first, count);
    FourBytes mask = {};
    for (int channel = 1; channel < params.channels; ++channel) {
        const FourFloats probability = load(params.probability + int64_t(channel) * params.pixels + first, count);
#pragma unroll
        for (int i = 0; i < VALUES; ++i) {
            const float p = probability.value[i];
            if (p > best.value[i]) mask.value[i] = static_cast<unsigned char>(channel);
            best.value[i] = p > best.value[i] || isnan(p) ? p : best.value[i];  // once NaN, nothing is larger
        }
    }
#pragma unroll
    for (int i = 0; i < VALUES; ++i)
        if (isnan(best.value[i])) mask.value[i] = 0;
    return mask;
}

static __device__ __forceinline__ void mask_and_area(const MaskParams& params) {
    __shared__ unsigned int block_area;
    if (threadIdx.x == 0) block_area = 0;
    __syncthreads();
    const int first = (blockIdx.x * blockDim.x + threadIdx.x) * VALUES;
    const int count = min(VALUES, params.pixels - first);
    if (count > 0) {
        const FourBytes mask = params.channels == 1 ? thresholded(params, first, count) : largest(params, first, count);
        store(params.mask + first, mask, count);
        unsigned int area = 0;
#pragma unroll
        for (int i = 0; i < VALUES; ++i) area += i < count && mask.value[i] != 0;
        if (area > 0) atomicAdd(&block_area, area);
    }
    __syncthreads();
    if (threadIdx.x == 0 && block_area > 0 && params.area) atomicAdd(params.area, block_area);
}

// round(255 p), half to even, clamped to 0..255; NaN gives 0.
static __device__ __forceinline__ void map_from_probability(const MapParams& params) {
    const int first = (blockIdx.x * blockDim.x + threadIdx.x) * VALUES;
    const int count = min(VALUES, params.values - first);
    if (count <= 0) return;
    const FourFloats probability = load(params.probability + first, count);
    FourBytes map;
#pragma unroll
    for (int i = 0; i < VALUES; ++i)
        map.value[i] = static_cast<unsigned char>(rintf(fminf(fmaxf(255.0f * probability.value[i], 0.0f), 255.0f)));
    store(params.map + first, map, count);
}
