// Frame to network input: the rule of edgeseg.frames.resize_to_network, in the same integers.
//
// A block makes a tile of 16x16 network pixels. It brings the source pixels under its tile into shared memory chunk by
// chunk, halves each chunk there until its pixels are those of the last halved picture (the "level"), keeps that part
// of the level (at most 62x32 pixels), and interpolates the tile from it.
//
// The limit is memory bandwidth: a frame of B bytes cannot take less than B / bandwidth. By arithmetic, 3840x2160 BGR is
// 24.9 MB, 122 us at 204.8 GB/s and 7.4 us at 3.35 TB/s; 1920x1080 NV12 is 3.1 MB, 15 us at 204.8 GB/s. So a block
// asks for each byte once, a warp for up to 512 contiguous bytes in 16-byte vectors; that also suits pinned host memory
// that an integrated GPU reads in place, uncached (CUDA for Tegra, "Memory Selection"). Neighbouring tiles share up to
// two level pixels of border, of 16 to 62 a side; a cache, where there is one, holds those reads.
// Counted in the PTX, halving costs about 6 instructions a byte of packed pixels, and 110 for 2x2 pixels of NV12: a GPU
// that does less than 6 (18) integer operations in the time of one byte is limited by these instead.
// Occupancy: 21 KB (NV12) to 31 KB (BGRx) of shared memory and at most 64 registers a thread: four blocks of 256 threads
// where a multiprocessor has 128 KB, two where it has 64 KB.
#pragma once
#include <math.h>

#include "pixels.h"
#include "yuv.h"

constexpr int TILE = 16;
constexpr int CONTIGUOUS_RATIO = 4;  // above it, a tile keeps only the two level pixels that each network pixel needs
constexpr int LEVEL_PIXELS = 62 * 32;  // 15 * 4 + 2 by 15 * 2 + 2, as two ratios of 2 or more would be halved again
constexpr int WEIGHT_ONE = 2048;

// Where one network pixel lies between two level pixels, along one axis.
struct Tap {
    int near, far;
    int weight;  // of `far`, in 1/2048
};

// What one axis of a tile needs of the level.
struct Axis {
    const Tap* taps;
    int count;  // level pixels to keep
    int run;    // how many of them are neighbours
    bool pairs;

    __device__ Axis(const Tap* taps, int level, int network) : taps(taps), pairs(level > CONTIGUOUS_RATIO * network) {
        count = pairs ? 2 * TILE : taps[TILE - 1].far - taps[0].near + 1;
        run = pairs ? 2 : count;
    }

    __device__ int level_at(int kept) const { return pairs ? taps[kept >> 1].near + (kept & 1) : taps[0].near + kept; }

    __device__ int kept_near(int pixel) const { return pairs ? 2 * pixel : taps[pixel].near - taps[0].near; }

    __device__ int kept_far(int pixel) const { return pairs ? 2 * pixel + 1 : taps[pixel].far - taps[0].near; }
};

template <class Format>
struct Workspace {
    alignas(VECTOR_BYTES) unsigned char staged[Format::CAPACITY];
    uint32_t half[CHUNK_PIXELS / 4], quarter[CHUNK_PIXELS / 16];
    uint32_t level[LEVEL_PIXELS];
    Tap columns[TILE], rows[TILE];
};

// Half-pixel centres: pixel p lies at (p + 0.5) * level / network - 0.5. OpenCV rounds that to float, and the weight in it
// half to even; the quotient of two integers below 2^24 is the same float, so the weights are the same, too.
static __device__ __forceinline__ Tap tap_of(int pixel, int level, int network) {
    pixel = min(pixel, network - 1);
    const float position = float((2 * pixel + 1) * level - network) / float(2 * network);
    const float below = floorf(position);
    const int near = int(below);
    return {max(near, 0), min(near + 1, level - 1), int(rintf(WEIGHT_ONE * (position - below)))};
}

// `down` x `across` pixels, each the mean of 2x2 of `from`, to `to` with `stride` pixels from row to row.
static __device__ __forceinline__ void halve(const uint32_t* from, uint32_t* to, int down, int across, int stride) {
    const int thread = threadIdx.y * blockDim.x + threadIdx.x;
    for (int row = thread / WARP; row < down; row += WARPS)
        for (int column = thread % WARP; column < across; column += WARP) {
            const uint32_t* quad = from + 4 * row * across + 2 * column;
            to[row * stride + column] = mean_of_four(quad[0], quad[1], quad[2 * across], quad[2 * across + 1]);
        }
}

// Staged source pixels to `to`: as they are, or halved once.
template <class Format>
static __device__ __forceinline__ void unpack(const Format& source, bool halved, uint32_t* to, int down, int across, int stride) {
    const int thread = threadIdx.y * blockDim.x + threadIdx.x;
    for (int row = thread / WARP; row < down; row += WARPS)
        for (int column = thread % WARP; column < across; column += WARP)
            to[row * stride + column] =
                halved ? source.mean_of_quad(2 * row, 2 * column) : source.pixel(row, column);
}

// Reads a chunk and halves it down to `level`, which has `stride` pixels from row to row.
template <class Format>
static __device__ __forceinline__ void reduce_chunk(const PreprocessParams& params, const Chunk& chunk, int halvings,
                                    Workspace<Format>& workspace, uint32_t* level, int stride) {
    Format source;
    source.stage(params, chunk, workspace.staged);
    __syncthreads();
    const int first = min(halvings, 1);
    int down = chunk.height >> first, across = chunk.width >> first;
    uint32_t *from = workspace.half, *spare = workspace.quarter;
    unpack(source, first == 1, halvings > 1 ? from : level, down, across, halvings > 1 ? across : stride);
    __syncthreads();
    for (int done = 1; done < halvings; ++done) {
        const bool last = done + 1 == halvings;
        down >>= 1, across >>= 1;
        halve(from, last ? level : spare, down, across, last ? stride : across);
        __syncthreads();
        uint32_t* const halved = spare;
        spare = from, from = halved;
    }
}

// Fills `workspace.level` with the part of the level that the tile needs.
template <class Format>
static __device__ __forceinline__ void fill_level(const PreprocessParams& params, int halvings, const Axis& columns, const Axis& rows,
                                  Workspace<Format>& workspace) {
    const int side = 1 << halvings, boxes = CHUNK_PIXELS >> 2 * halvings;
    int across = columns.run;
    if (across > boxes) across = (across - 1) / ((across - 1) / boxes + 1) + 1;  // chunks of about equal width
    const int down = min(min(rows.run, boxes / across), Format::fitting_boxes(halvings, across));
    for (int row = 0; row < rows.count; row += down)
        for (int column = 0; column < columns.count; column += across) {
            const Chunk chunk = {columns.level_at(column) * side, rows.level_at(row) * side,
                                 min(across, columns.count - column) * side, min(down, rows.count - row) * side};
            reduce_chunk(params, chunk, halvings, workspace, workspace.level + row * columns.count + column,
                         columns.count);
        }
}

// Bilinear in OpenCV's fixed point: the vertical step truncates each product, then rounds.
static __device__ __forceinline__ uint32_t interpolated(const uint32_t (&quad)[4], int byte, int right, int below) {
    int value[4];
    for (int corner = 0; corner < 4; ++corner) value[corner] = quad[corner] >> 8 * byte & 255;
    const int upper = value[0] * (WEIGHT_ONE - right) + value[1] * right;
    const int lower = value[2] * (WEIGHT_ONE - right) + value[3] * right;
    const int sum = ((WEIGHT_ONE - below) * (upper >> 4) >> 16) + (below * (lower >> 4) >> 16);
    return (sum + 2) >> 2;
}

template <class Format>
static __device__ __forceinline__ void preprocess(const PreprocessParams& params) {
    __shared__ Workspace<Format> workspace;
    const int x = blockIdx.x * TILE + threadIdx.x, y = blockIdx.y * TILE + threadIdx.y;
    if (x == 0 && y == 0 && params.area) *params.area = 0;
    int width = params.width, height = params.height, halvings = 0;
    for (; width >= 2 * params.network_width && height >= 2 * params.network_height; ++halvings)
        width >>= 1, height >>= 1;
    if (halvings > MAX_HALVINGS) return;  // refused by preprocess_params
    if (threadIdx.y == 0) workspace.columns[threadIdx.x] = tap_of(x, width, params.network_width);
    if (threadIdx.y == 1)
        workspace.rows[threadIdx.x] = tap_of(blockIdx.y * TILE + threadIdx.x, height, params.network_height);
    __syncthreads();
    const Axis columns(workspace.columns, width, params.network_width);
    const Axis rows(workspace.rows, height, params.network_height);
    fill_level(params, halvings, columns, rows, workspace);
    if (x >= params.network_width || y >= params.network_height) return;
    const uint32_t* upper = workspace.level + rows.kept_near(threadIdx.y) * columns.count;
    const uint32_t* lower = workspace.level + rows.kept_far(threadIdx.y) * columns.count;
    const int left = columns.kept_near(threadIdx.x), right = columns.kept_far(threadIdx.x);
    const uint32_t quad[4] = {upper[left], upper[right], lower[left], lower[right]};
    uint32_t pixel = 0;
    for (int byte = 0; byte < 3; ++byte)
        pixel |= interpolated(quad, byte, columns.taps[threadIdx.x].weight, rows.taps[threadIdx.y].weight) << 8 * byte;
    pixel = Format::finished(params, pixel);
    unsigned char* target = params.target + 3 * (int64_t(y) * params.network_width + x);
    for (int colour = 0; colour < 3; ++colour) target[colour] = pixel >> 8 * (Format::RED == 0 ? colour : 2 - colour);
}
