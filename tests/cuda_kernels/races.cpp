// Every CUDA thread of a block as a thread of its own, __syncthreads as a barrier, for g++ -fsanitize=thread: a missing
// barrier is a data race. -DWITHOUT_BARRIERS takes them out of the kernels, to show that races are found.
#include <algorithm>
#include <barrier>
#include <cmath>
#include <cstdint>
#include <thread>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static  // one block at a time
using std::max;
using std::min;

struct Extent {
    unsigned x, y, z;
};
static thread_local Extent threadIdx, blockIdx, blockDim;
static std::barrier<>* block_barrier;

template <class T>
static T atomicAdd(T* address, T value) {
    return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}

#ifdef WITHOUT_BARRIERS
#define __syncthreads()
#else
#define __syncthreads() block_barrier->arrive_and_wait()
#endif
#include "../../runtime/cuda/kernels/kernels.cu"

template <class Params>
static void launch(Extent grid, Extent block, void (*kernel)(Params), const Params& params) {
    const unsigned count = block.x * block.y;
    std::barrier<> barrier(count);
    block_barrier = &barrier;
    std::vector<std::thread> threads;
    for (unsigned number = 0; number < count; ++number)
        threads.emplace_back([=, &params, &barrier] {
            blockDim = block;
            threadIdx = {number % block.x, number / block.x, 0};
            for (unsigned y = 0; y < grid.y; ++y)
                for (unsigned x = 0; x < grid.x; ++x) {
                    blockIdx = {x, y, 0};
                    kernel(params);
                    barrier.arrive_and_wait();  // blocks share one static workspace here
                }
        });
    for (auto& thread : threads) thread.join();
}

int main() {
    constexpr int sizes[][4] = {{40, 33, 20, 18}, {70, 66, 20, 18}, {150, 140, 17, 17}, {500, 30, 16, 16}};
    for (const auto& [width, height, network_width, network_height] : sizes) {
        const int pitch = 4 * width + 1;
        std::vector<unsigned char> source(pitch * height + 1), chroma(2 * width * height + 3);
        std::vector<unsigned char> target(3 * network_width * network_height);
        unsigned area = 1;
        const PreprocessParams params = {source.data() + 1, chroma.data() + 3, chroma.data() + 1, target.data(), &area,
                                         pitch, 2 * width, 0, 0, width, height, network_width, network_height, 16, 1 << 21, 1, 1, 1, 1};
        const Extent grid = {(network_width + 15u) / 16, (network_height + 15u) / 16, 1}, block = {16, 16, 1};
        for (auto kernel : {edgeseg_preprocess_bgr, edgeseg_preprocess_bgrx, edgeseg_preprocess_nv12, edgeseg_preprocess_i420})
            launch(grid, block, kernel, params);
    }
    std::vector<float> probability(3 * 3000, 0.7f);
    std::vector<unsigned char> mask(3000);
    unsigned area = 0;
    for (int channels : {1, 3})
        launch({3, 1, 1}, {256, 1, 1}, edgeseg_mask, {probability.data(), mask.data(), &area, channels, 3000, 0.5f, 0});
    return area == 3000 ? 0 : 1;
}
