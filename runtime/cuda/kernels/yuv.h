// How planes of Y, U, V lie in shared memory, and how a pixel is read from them: NV12 and I420.
#pragma once
#include "pixels.h"

constexpr int FRACTION_BITS = 21;  // of the factors: as many as leave room for the largest sum in 32 bits

struct Chroma {
    int red, green, blue;  // what U and V add, in 2^-21
};

static __device__ __forceinline__ Chroma chroma_of(const PreprocessParams& params, int u, int v) {
    u -= 128, v -= 128;
    return {params.red_from_v * v, params.green_from_u * u + params.green_from_v * v, params.blue_from_u * u};
}

// 2^21 * scale * (Y - offset), with the half that rounds the sum with `Chroma`.
static __device__ __forceinline__ int grey_of(const PreprocessParams& params, int y) {
    return params.luma_scale * (y - params.luma_offset) + (1 << FRACTION_BITS >> 1);
}

static __device__ __forceinline__ int clamped(int sum) { return min(max(sum >> FRACTION_BITS, 0), 255); }

static __device__ __forceinline__ uint32_t rgb_of(int grey, const Chroma& added) {
    return clamped(grey + added.red) | clamped(grey + added.green) << 8 | clamped(grey + added.blue) << 16;
}

static __device__ __forceinline__ int mean_of_clamped(const int (&grey)[4], int added) {
    return (clamped(grey[0] + added) + clamped(grey[1] + added) + clamped(grey[2] + added) +
            clamped(grey[3] + added) + 2) >> 2;
}

// The rows and U, V pairs that belong to some pixels of the window, counted from the plane's first pair in the window.
struct Pairs {
    int left, top;      // the window's first pair, in the frame
    int across, down;   // pairs of the window
    int first, upper;   // the chunk's first pair, from `left` and `top` on
    int count, rows;    // pairs of the chunk

    __device__ Pairs(const PreprocessParams& window, const Chunk& chunk) {
        left = window.left >> 1, top = window.top >> 1;
        across = ((window.left + window.width + 1) >> 1) - left;
        down = ((window.top + window.height + 1) >> 1) - top;
        first = ((window.left + chunk.left) >> 1) - left;
        upper = ((window.top + chunk.top) >> 1) - top;
        count = ((window.left + chunk.left + chunk.width - 1) >> 1) - left - first + 1;
        rows = ((window.top + chunk.top + chunk.height - 1) >> 1) - top - upper + 1;
    }
};

// The Y plane of either format; every U, V pair belongs to the 2x2 pixels of the frame that it covers (no
// interpolation).
struct Luma {
    static constexpr int CAPACITY = 64 * staged_stride(64);

    StagedPlane plane;
    int odd_left, odd_top;  // whether the chunk starts at the second pixel of its first U, V pair
    const PreprocessParams* params;

    __device__ void stage(const PreprocessParams& given, const Chunk& chunk, unsigned char* staged) {
        params = &given;
        const Plane source = {given.source + int64_t(given.top) * given.pitch_bytes + given.left, given.pitch_bytes,
                              given.width, given.height};
        plane = stage_rows(source, chunk.top, chunk.height, chunk.left, chunk.width, staged);
        odd_left = (given.left + chunk.left) & 1;
        odd_top = (given.top + chunk.top) & 1;
    }

    __device__ __forceinline__ bool odd() const { return odd_left | odd_top; }

    __device__ __forceinline__ int at(int row, int column) const { return plane.bytes[plane.offset(row) + column]; }

    __device__ __forceinline__ int grey_at(int row, int column) const { return grey_of(*params, at(row, column)); }
};

// A plane of Y and a plane of interleaved U, V. Each pixel becomes RGB uint8, rounded and clamped, before any mean is
// taken.
struct Nv12 {
    static constexpr int RED = 0;
    static constexpr int CHROMA_CAPACITY = 33 * staged_stride(66);
    static constexpr int CAPACITY = Luma::CAPACITY + CHROMA_CAPACITY;

    Luma luma;
    StagedPlane chroma;

    __device__ static int fitting_boxes(int halvings, int across) {
        const int luma_rows = Luma::CAPACITY / staged_stride(across << halvings);
        const int chroma_rows = CHROMA_CAPACITY / staged_stride((across << halvings) + 2);
        return min(luma_rows, 2 * (chroma_rows - 1)) >> halvings;
    }

    __device__ void stage(const PreprocessParams& given, const Chunk& chunk, unsigned char* staged) {
        luma.stage(given, chunk, staged);
        const Pairs pairs(given, chunk);
        const Plane plane = {given.chroma + int64_t(pairs.top) * given.chroma_pitch_bytes + 2 * pairs.left,
                             given.chroma_pitch_bytes, 2 * pairs.across, pairs.down};
        chroma = stage_rows(plane, pairs.upper, pairs.rows, 2 * pairs.first, 2 * pairs.count, staged + Luma::CAPACITY);
    }

    __device__ __forceinline__ Chroma chroma_at(int row, int column) const {
        const int pair = chroma.offset((row + luma.odd_top) >> 1) + 2 * ((column + luma.odd_left) >> 1);
        return chroma_of(*luma.params, chroma.bytes[pair], chroma.bytes[pair + 1]);
    }

    __device__ __forceinline__ uint32_t pixel(int row, int column) const {
        return rgb_of(luma.grey_at(row, column), chroma_at(row, column));
    }

    __device__ __forceinline__ uint32_t mean_of_quad(int row, int column) const {
        if (luma.odd())  // the quad meets two or four U, V pairs
            return mean_of_four(pixel(row, column), pixel(row, column + 1), pixel(row + 1, column),
                                pixel(row + 1, column + 1));
        const Chroma added = chroma_at(row, column);
        const int grey[4] = {luma.grey_at(row, column), luma.grey_at(row, column + 1), luma.grey_at(row + 1, column),
                             luma.grey_at(row + 1, column + 1)};
        return mean_of_clamped(grey, added.red) | mean_of_clamped(grey, added.green) << 8 |
               mean_of_clamped(grey, added.blue) << 16;
    }

    __device__ static __forceinline__ uint32_t finished(const PreprocessParams&, uint32_t pixel) { return pixel; }
};

// A plane of Y, a plane of U and a plane of V, by the rule of edgeseg.runtime.video.picture.Picture.network_input:
// halved and interpolated as Y, U, V, bytes 0 to 2 of a word; only the network's own pixels become RGB.
struct I420 {
    static constexpr int RED = 0;
    static constexpr int CHROMA_CAPACITY = 33 * staged_stride(33);
    static constexpr int CAPACITY = Luma::CAPACITY + 2 * CHROMA_CAPACITY;

    Luma luma;
    StagedPlane u, v;

    __device__ static int fitting_boxes(int halvings, int across) {
        const int luma_rows = Luma::CAPACITY / staged_stride(across << halvings);
        const int chroma_rows = CHROMA_CAPACITY / staged_stride(((across << halvings) >> 1) + 1);
        return min(luma_rows, 2 * (chroma_rows - 1)) >> halvings;
    }

    __device__ void stage(const PreprocessParams& given, const Chunk& chunk, unsigned char* staged) {
        luma.stage(given, chunk, staged);
        const Pairs pairs(given, chunk);
        const int64_t first = int64_t(pairs.top) * given.chroma_pitch_bytes + pairs.left;
        const Plane planes[2] = {{given.chroma + first, given.chroma_pitch_bytes, pairs.across, pairs.down},
                                 {given.chroma_v + first, given.chroma_pitch_bytes, pairs.across, pairs.down}};
        unsigned char* const chroma = staged + Luma::CAPACITY;
        u = stage_rows(planes[0], pairs.upper, pairs.rows, pairs.first, pairs.count, chroma);
        v = stage_rows(planes[1], pairs.upper, pairs.rows, pairs.first, pairs.count, chroma + CHROMA_CAPACITY);
    }

    __device__ __forceinline__ int u_at(int row, int column) const {
        return u.bytes[u.offset((row + luma.odd_top) >> 1) + ((column + luma.odd_left) >> 1)];
    }

    __device__ __forceinline__ int v_at(int row, int column) const {
        return v.bytes[v.offset((row + luma.odd_top) >> 1) + ((column + luma.odd_left) >> 1)];
    }

    __device__ __forceinline__ uint32_t pixel(int row, int column) const {
        return luma.at(row, column) | u_at(row, column) << 8 | v_at(row, column) << 16;
    }

    __device__ __forceinline__ uint32_t mean_of_quad(int row, int column) const {
        if (luma.odd())  // the quad meets two or four U, V pairs
            return mean_of_four(pixel(row, column), pixel(row, column + 1), pixel(row + 1, column),
                                pixel(row + 1, column + 1));
        const int sum = luma.at(row, column) + luma.at(row, column + 1) + luma.at(row + 1, column) +
                        luma.at(row + 1, column + 1);
        return (sum + 2) >> 2 | u_at(row, column) << 8 | v_at(row, column) << 16;
    }

    __device__ static __forceinline__ uint32_t finished(const PreprocessParams& params, uint32_t pixel) {
        return rgb_of(grey_of(params, pixel & 255), chroma_of(params, pixel >> 8 & 255, pixel >> 16));
    }
};
