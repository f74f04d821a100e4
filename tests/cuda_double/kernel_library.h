// Host side of one kernel library of the CUDA test double: makes g++ take CUDA sources and tells the double how to run
// their kernels. Include it first, then the kernels' sources, then list the kernels once:
//     CUDADOUBLE_KERNELS(PLAIN(first_kernel), SYNC(second_kernel))
// PLAIN: no __syncthreads (a loop over the threads). SYNC: with __syncthreads (one fiber per CUDA thread, all on one
// thread of the host, so deterministic). __shared__ is static: the double runs one block at a time.
#pragma once
#include <setjmp.h>
#include <ucontext.h>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <utility>
#include <vector>
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __restrict__ __restrict
#define __constant__ static
#define __shared__ static
using std::min; using std::max;
struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
// The double runs one kernel at a time, so these need no thread of their own.
static uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;
template <class T>
static inline T atomicAdd(T* p, T v) {
    return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);
}
extern "C" struct CudaDoubleKernel {  // ABI shared with double.h
    const char* name;
    unsigned nparams, bytes;
    const unsigned *offset, *size;  // bytes = end of the last parameter
    void (*run)(const unsigned grid[3], const unsigned block[3], const void* params);
};
namespace kernel_library {
// One CUDA thread. After its first start it is switched to and from by _setjmp and _longjmp, which make no system call
// (swapcontext makes two), and it is kept for the next block and launch.
struct Fiber {
    ucontext_t start;
    jmp_buf at;
    uint3 tid;
    bool started, done;
};
struct FiberBlock {
    std::vector<Fiber> fibers;
    std::vector<char> stacks;
    Fiber* current = nullptr;
    jmp_buf scheduler;
    void (*call)(void*) = nullptr;
    void* argument = nullptr;
    bool intact = false;  // false while a launch runs: a fault leaves fibers in the middle of their kernel
};
static FiberBlock block;
static const size_t STACK_BYTES = 64 << 10;
static inline void to_scheduler() {
    if (!_setjmp(block.current->at)) _longjmp(block.scheduler, 1);
}
static inline void syncthreads() {
    if (block.current) to_scheduler();
}
static void fiber_main() {
    for (;;) {
        block.call(block.argument);
        block.current->done = true;
        to_scheduler();
    }
}
static inline void make_fibers(unsigned n) {
    block.fibers.assign(n, Fiber{});
    block.stacks.resize(n * STACK_BYTES);
    for (unsigned t = 0; t < n; t++) {
        ucontext_t& start = block.fibers[t].start;
        getcontext(&start);
        start.uc_stack.ss_sp = &block.stacks[t * STACK_BYTES];
        start.uc_stack.ss_size = STACK_BYTES;
        start.uc_link = nullptr;
        makecontext(&start, fiber_main, 0);
    }
}
static __attribute__((noinline)) void resume(Fiber& fiber) {
    block.current = &fiber;
    threadIdx = fiber.tid;
    if (_setjmp(block.scheduler)) return;
    if (fiber.started) _longjmp(fiber.at, 1);
    fiber.started = true;
    setcontext(&fiber.start);
}
// Runs one block: every fiber to its next barrier (or its end), round after round. A thread that has ended counts as
// arrived.
static inline void run_block(unsigned n, dim3 b) {
    for (unsigned t = 0; t < n; t++) {
        block.fibers[t].done = false;
        block.fibers[t].tid = {t % b.x, (t / b.x) % b.y, t / (b.x * b.y)};
    }
    for (unsigned left = n; left;)
        for (Fiber& fiber : block.fibers) {
            if (fiber.done) continue;
            resume(fiber);
            if (fiber.done) left--;
        }
}
template <class F>
void launch_fibers(dim3 g, dim3 b, F&& k) {
    unsigned n = b.x * b.y * b.z;
    if (!block.intact || block.fibers.size() != n) make_fibers(n);
    block.intact = false;
    block.call = [](void* p) { (*static_cast<std::remove_reference_t<F>*>(p))(); };
    block.argument = (void*)&k;
    gridDim = g;
    blockDim = b;
    for (unsigned z = 0; z < g.z; z++)
        for (unsigned y = 0; y < g.y; y++)
            for (unsigned x = 0; x < g.x; x++) {
                blockIdx = {x, y, z};
                run_block(n, b);
            }
    block.current = nullptr;
    block.intact = true;
}
template <class F>
void launch_plain(dim3 g, dim3 b, F&& k) {
    gridDim = g;
    blockDim = b;
    for (unsigned z = 0; z < g.z; z++)
        for (unsigned y = 0; y < g.y; y++)
            for (unsigned x = 0; x < g.x; x++) {
                blockIdx = {x, y, z};
                for (unsigned tz = 0; tz < b.z; tz++)
                    for (unsigned ty = 0; ty < b.y; ty++)
                        for (unsigned tx = 0; tx < b.x; tx++) {
                            threadIdx = {tx, ty, tz};
                            k();
                        }
            }
}
template <auto K, bool Sync>
struct Wrap;
template <class... A, void (*K)(A...), bool Sync>
struct Wrap<K, Sync> {
    static constexpr unsigned N = sizeof...(A);
    struct Layout {
        unsigned off[N ? N : 1]{}, size[N ? N : 1]{}, bytes = 0;
    };
    static constexpr Layout layout() {
        Layout L;
        unsigned o = 0, i = 0;
        ((o = (o + alignof(A) - 1) / alignof(A) * alignof(A), L.off[i] = o, L.size[i++] = sizeof(A), o += sizeof(A)), ...);
        L.bytes = o;
        return L;
    }
    static constexpr Layout L = layout();
    template <size_t... I>
    static void go(dim3 g, dim3 b, const char* p, std::index_sequence<I...>) {
        std::tuple<std::remove_cv_t<A>...> a;
        (std::memcpy((void*)&std::get<I>(a), p + L.off[I], sizeof(A)), ...);
        if constexpr (Sync)
            launch_fibers(g, b, [&] { K(std::get<I>(a)...); });
        else
            launch_plain(g, b, [&] { K(std::get<I>(a)...); });
    }
    static void run(const unsigned g[3], const unsigned b[3], const void* p) {
        go(dim3(g[0], g[1], g[2]), dim3(b[0], b[1], b[2]), (const char*)p, std::make_index_sequence<N>());
    }
    static constexpr CudaDoubleKernel entry(const char* n) { return {n, N, L.bytes, L.off, L.size, run}; }
};
}  // namespace kernel_library
#define __syncthreads() kernel_library::syncthreads()
#define PLAIN(k) kernel_library::Wrap<k, false>::entry(#k)
#define SYNC(k) kernel_library::Wrap<k, true>::entry(#k)
#define CUDADOUBLE_KERNELS(...)                                                                                     \
    extern "C" {                                                                                                    \
    extern const CudaDoubleKernel cudadouble_kernels[] = {__VA_ARGS__, {nullptr, 0, 0, nullptr, nullptr, nullptr}}; \
    }
