// How packed pixels lie in shared memory, and how a pixel is read from it. A pixel is one 32-bit word of bytes.
#pragma once
#include <stdint.h>

#include "parameters.h"
#include "staging.h"

constexpr int CHUNK_PIXELS = 4096;  // source pixels in shared memory at a time
constexpr int MAX_HALVINGS = 6;     // a 64x64 box is one whole chunk

// A rectangle of source pixels; columns and rows count from the frame's window.
struct Chunk {
    int left, top;
    int width, height;
};

// Mean of four pixels, byte by byte, rounded half up as OpenCV's 2x2 INTER_AREA rounds.
static __device__ __forceinline__ uint32_t mean_of_four(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    constexpr uint32_t lanes = 0x00ff00ff, half = 0x00020002;
    const uint32_t even = (a & lanes) + (b & lanes) + (c & lanes) + (d & lanes) + half;
    const uint32_t odd = (a >> 8 & lanes) + (b >> 8 & lanes) + (c >> 8 & lanes) + (d >> 8 & lanes) + half;
    return (even >> 2 & lanes) | (odd >> 2 & lanes) << 8;
}

// Pixels of BYTES bytes, with red at byte RED and blue at byte 2 - RED.
template <int BYTES, int RED_BYTE>
struct Packed {
    static constexpr int RED = RED_BYTE;
    static constexpr int CAPACITY = 64 * staged_stride(64 * BYTES) + 16;  // a pixel is read as two words: 16 to spare

    StagedPlane plane;

    // How many rows of `across` boxes, each 2^halvings pixels a side, fit in shared memory.
    __device__ static int fitting_boxes(int halvings, int across) {
        return 64 * staged_stride(64 * BYTES) / staged_stride((across << halvings) * BYTES) >> halvings;
    }

    __device__ void stage(const PreprocessParams& params, const Chunk& chunk, unsigned char* staged) {
        const Plane source = {params.source + int64_t(params.top) * params.pitch_bytes + int64_t(params.left) * BYTES,
                              params.pitch_bytes, params.width * BYTES, params.height};
        plane = stage_rows(source, chunk.top, chunk.height, chunk.left * BYTES, chunk.width * BYTES, staged);
    }

    __device__ __forceinline__ uint32_t pixel(int row, int column) const {
        const int byte = plane.offset(row) + column * BYTES;
        const uint32_t* words = reinterpret_cast<const uint32_t*>(plane.bytes) + (byte >> 2);
        return uint32_t((uint64_t(words[1]) << 32 | words[0]) >> 8 * (byte & 3));
    }

    __device__ __forceinline__ uint32_t mean_of_quad(int row, int column) const {
        return mean_of_four(pixel(row, column), pixel(row, column + 1), pixel(row + 1, column),
                            pixel(row + 1, column + 1));
    }

    // What the interpolated pixel is in RGB order of bytes: itself, see RED.
    __device__ static __forceinline__ uint32_t finished(const PreprocessParams&, uint32_t pixel) { return pixel; }
};

using Bgr = Packed<3, 2>;
using Bgrx = Packed<4, 2>;
using Rgb = Packed<3, 0>;
