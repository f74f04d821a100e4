// Host side of one kernel library of the CUDA test double: makes g++ take CUDA sources and tells the double how to run
// their kernels. Include it first, then the kernels' sources, then list the kernels once:
//     CUDADOUBLE_KERNELS(PLAIN(first_kernel), SYNC(second_kernel))
// PLAIN: no __syncthreads (a loop over the threads). SYNC: with __syncthreads (one fiber per CUDA thread, all on one
// thread of the host, so deterministic). __shared__ is static: the double runs one block at a time.
#pragma once
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
static thread_local uint3 threadIdx, blockIdx;
static thread_local dim3 blockDim, gridDim;
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
struct Fiber {
    ucontext_t ctx;
    uint3 tid;
    bool done;
};
struct FiberBlock {
    std::vector<Fiber> f;
    std::vector<char> stacks;
    Fiber* cur = nullptr;
    ucontext_t sched;
    void (*call)(void*) = nullptr;
    void* arg = nullptr;
};
static thread_local FiberBlock* fb = nullptr;
static inline void syncthreads() {
    if (fb) swapcontext(&fb->cur->ctx, &fb->sched);
}
static void fiber_main() {
    fb->call(fb->arg);
    fb->cur->done = true;
    swapcontext(&fb->cur->ctx, &fb->sched);
}
// Runs one block: every fiber to its next barrier (or its end), round after round. An exited thread counts as arrived.
static inline void run_block(FiberBlock& B, unsigned n, dim3 b, size_t stack) {
    for (unsigned t = 0; t < n; t++) {
        Fiber& F = B.f[t];
        F.done = false;
        F.tid = {t % b.x, (t / b.x) % b.y, t / (b.x * b.y)};
        getcontext(&F.ctx);
        F.ctx.uc_stack.ss_sp = &B.stacks[t * stack];
        F.ctx.uc_stack.ss_size = stack;
        F.ctx.uc_link = nullptr;
        makecontext(&F.ctx, fiber_main, 0);
    }
    for (unsigned left = n; left;)
        for (unsigned t = 0; t < n; t++) {
            Fiber& F = B.f[t];
            if (F.done) continue;
            B.cur = &F;
            threadIdx = F.tid;
            swapcontext(&B.sched, &F.ctx);
            if (F.done) left--;
        }
}
template <class F>
void launch_fibers(dim3 g, dim3 b, F&& k) {
    static const size_t stack = 64 << 10;
    unsigned n = b.x * b.y * b.z;
    static FiberBlock B;
    B.f.resize(n);
    if (B.stacks.size() < n * stack) B.stacks.resize(n * stack);  // launches are serialised by the double
    B.call = [](void* p) { (*static_cast<std::remove_reference_t<F>*>(p))(); };
    B.arg = (void*)&k;
    fb = &B;
    gridDim = g;
    blockDim = b;
    for (unsigned z = 0; z < g.z; z++)
        for (unsigned y = 0; y < g.y; y++)
            for (unsigned x = 0; x < g.x; x++) {
                blockIdx = {x, y, z};
                run_block(B, n, b, stack);
            }
    fb = nullptr;
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
