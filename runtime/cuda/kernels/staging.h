// Global to shared memory: rows of any pitch and alignment, each byte once, in 16-byte vectors.
#pragma once
#include <stdint.h>

constexpr int VECTOR_BYTES = 16;
constexpr int WARP = 32, WARPS = 8;  // a block of 256 threads, however it is shaped

struct alignas(VECTOR_BYTES) Vector {
    uint32_t words[4];
};

// Bytes from one staged row to the next: a row keeps its place within 16 bytes, so that it can be copied in vectors.
static __host__ __device__ constexpr int staged_stride(int row_bytes) {
    return (row_bytes + VECTOR_BYTES - 1) / VECTOR_BYTES * VECTOR_BYTES + VECTOR_BYTES;
}

// The part of an image plane that may be read: `rows` rows of `row_bytes` bytes, and what lies between two rows.
struct Plane {
    const unsigned char* start;
    int pitch;
    int row_bytes;
    int rows;

    // Bytes from the first of some rows to the end of the last.
    __device__ int64_t span(int rows, int row_bytes) const { return int64_t(rows - 1) * pitch + row_bytes; }

    __device__ int64_t bytes() const { return span(rows, row_bytes); }
};

// Some rows in shared memory.
struct StagedPlane {
    const unsigned char* bytes;
    int stride;
    unsigned skew, pitch;  // the first row's address in global memory modulo 16, and what each row adds to it

    __device__ __forceinline__ int offset(int row) const {
        return row * stride + int((skew + unsigned(row) * pitch) % VECTOR_BYTES);
    }
};

// Copies those bytes of a vector that belong to the row [start,end).
static __device__ __forceinline__ void copy_bytes(const unsigned char* from, unsigned char* to,
                                                  const unsigned char* start, const unsigned char* end) {
#pragma unroll 1
    for (int byte = 0; byte < VECTOR_BYTES; ++byte)
        if (from + byte >= start && from + byte < end) to[byte] = from[byte];
}

// The whole block copies `rows` rows of `row_bytes` bytes each; a warp takes a row. The caller synchronises.
// Vectors reach up to 15 bytes beyond a row; where that would leave the plane, bytes are copied.
static __device__ __forceinline__ StagedPlane stage_rows(const Plane& plane, int first_row, int rows, int first_byte,
                                                         int row_bytes, unsigned char* staged) {
    const int thread = threadIdx.y * blockDim.x + threadIdx.x;
    const unsigned char* first = plane.start + int64_t(first_row) * plane.pitch + first_byte;
    const StagedPlane result = {staged, staged_stride(row_bytes), unsigned(uintptr_t(first) % VECTOR_BYTES),
                                unsigned(plane.pitch)};
    const int64_t before = first - plane.start, after = plane.bytes() - before - plane.span(rows, row_bytes);
    const bool inside = before >= VECTOR_BYTES - 1 && after >= VECTOR_BYTES - 1;
    for (int row = thread / WARP; row < rows; row += WARPS) {
        const unsigned char* start = first + int64_t(row) * plane.pitch;
        const int skew = int(uintptr_t(start) % VECTOR_BYTES);
        for (int byte = thread % WARP * VECTOR_BYTES; byte < skew + row_bytes; byte += WARP * VECTOR_BYTES) {
            const unsigned char* from = start - skew + byte;
            unsigned char* to = staged + row * result.stride + byte;
            if (inside || (from >= start && from + VECTOR_BYTES <= start + row_bytes))
                *reinterpret_cast<Vector*>(to) = *reinterpret_cast<const Vector*>(from);
            else
                copy_bytes(from, to, start, start + row_bytes);
        }
    }
    return result;
}
