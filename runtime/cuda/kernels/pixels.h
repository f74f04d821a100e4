// How each pixel format lies in shared memory, and how a pixel is read from it. A pixel is one 32-bit word of bytes.
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
};

using Bgr = Packed<3, 2>;
using Bgrx = Packed<4, 2>;
using Rgb = Packed<3, 0>;

// A plane of Y and a plane of interleaved U, V; every U, V pair belongs to the 2x2 pixels of the frame that it covers
// (no interpolation). Each pixel becomes RGB uint8, rounded and clamped, before any mean is taken.
struct Nv12 {
    static constexpr int RED = 0;
    static constexpr int LUMA_CAPACITY = 64 * staged_stride(64);
    static constexpr int CHROMA_CAPACITY = 33 * staged_stride(66);
    static constexpr int CAPACITY = LUMA_CAPACITY + CHROMA_CAPACITY;

    struct Chroma {
        int red, green, blue;  // what U and V add, in 1/65536
    };

    StagedPlane luma, chroma;
    int odd_left, odd_top;  // whether the chunk starts at the second pixel of its first U, V pair
    const PreprocessParams* params;

    __device__ static int fitting_boxes(int halvings, int across) {
        const int luma_rows = LUMA_CAPACITY / staged_stride(across << halvings);
        const int chroma_rows = CHROMA_CAPACITY / staged_stride((across << halvings) + 2);
        return min(luma_rows, 2 * (chroma_rows - 1)) >> halvings;
    }

    __device__ void stage(const PreprocessParams& given, const Chunk& chunk, unsigned char* staged) {
        params = &given;
        const Plane y_plane = {given.source + int64_t(given.top) * given.pitch_bytes + given.left, given.pitch_bytes,
                               given.width, given.height};
        luma = stage_rows(y_plane, chunk.top, chunk.height, chunk.left, chunk.width, staged);
        // The UV plane from the pair of the window's first pixel to the pair of its last.
        const int left = given.left >> 1, top = given.top >> 1;
        const int pairs = ((given.left + given.width + 1) >> 1) - left;
        const int rows = ((given.top + given.height + 1) >> 1) - top;
        const Plane uv_plane = {given.chroma + int64_t(top) * given.chroma_pitch_bytes + 2 * left,
                                given.chroma_pitch_bytes, 2 * pairs, rows};
        const int first = (given.left + chunk.left) >> 1, last = (given.left + chunk.left + chunk.width - 1) >> 1;
        const int upper = (given.top + chunk.top) >> 1, lower = (given.top + chunk.top + chunk.height - 1) >> 1;
        chroma = stage_rows(uv_plane, upper - top, lower - upper + 1, 2 * (first - left), 2 * (last - first + 1),
                            staged + LUMA_CAPACITY);
        odd_left = (given.left + chunk.left) & 1;
        odd_top = (given.top + chunk.top) & 1;
    }

    __device__ __forceinline__ Chroma chroma_at(int row, int column) const {
        const int pair = chroma.offset((row + odd_top) >> 1) + 2 * ((column + odd_left) >> 1);
        const int u = chroma.bytes[pair] - 128, v = chroma.bytes[pair + 1] - 128;
        return {params->red_from_v * v, params->green_from_u * u + params->green_from_v * v, params->blue_from_u * u};
    }

    // 65536 * scale * (Y - offset), with the half that rounds the sum with `Chroma`.
    __device__ __forceinline__ int grey_at(int row, int column) const {
        const int y = luma.bytes[luma.offset(row) + column];
        return params->luma_scale * (y - params->luma_offset) + 32768;
    }

    __device__ static __forceinline__ int clamped(int sum) { return min(max(sum >> 16, 0), 255); }

    __device__ static __forceinline__ int mean_of_clamped(const int (&grey)[4], int added) {
        return (clamped(grey[0] + added) + clamped(grey[1] + added) + clamped(grey[2] + added) +
                clamped(grey[3] + added) + 2) >> 2;
    }

    __device__ __forceinline__ uint32_t pixel(int row, int column) const {
        const Chroma added = chroma_at(row, column);
        const int grey = grey_at(row, column);
        return clamped(grey + added.red) | clamped(grey + added.green) << 8 | clamped(grey + added.blue) << 16;
    }

    __device__ __forceinline__ uint32_t mean_of_quad(int row, int column) const {
        if (odd_left | odd_top)  // the quad meets two or four U, V pairs
            return mean_of_four(pixel(row, column), pixel(row, column + 1), pixel(row + 1, column),
                                pixel(row + 1, column + 1));
        const Chroma added = chroma_at(row, column);
        const int grey[4] = {grey_at(row, column), grey_at(row, column + 1), grey_at(row + 1, column),
                             grey_at(row + 1, column + 1)};
        return mean_of_clamped(grey, added.red) | mean_of_clamped(grey, added.green) << 8 |
               mean_of_clamped(grey, added.blue) << 16;
    }
};
