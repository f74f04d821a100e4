// Device and pinned memory, copies and fills.
#include "double.h"
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
namespace cuda_double {
static bool on_device(CUdeviceptr p, size_t n) {
    auto& d = S().dev;
    auto i = d.upper_bound(p);
    if (i == d.begin()) return false;
    --i;
    return p + n <= i->first + i->second.size;
}
static bool in_map(std::map<uintptr_t, size_t>& m, uintptr_t p, size_t n) {
    auto i = m.upper_bound(p);
    if (i == m.begin()) return false;
    --i;
    return p + n <= i->first + i->second;
}
static bool is_pinned(const void* p, size_t n) { return in_map(S().pinned, (uintptr_t)p, n) || in_map(S().registered, (uintptr_t)p, n); }
static bool dev_ok(CUdeviceptr p, size_t n) { return on_device(p, n) || is_pinned((void*)p, n); }
static CUresult dev_alloc(CUdeviceptr* out, size_t n) {
    State& s = S();
    if (!n || !out) return CUDA_ERROR_INVALID_VALUE;
    if (s.used + n > s.total) return CUDA_ERROR_OUT_OF_MEMORY;
    size_t pg = 4096, body = (n + 255) / 256 * 256, len = (body + pg - 1) / pg * pg + pg;
    char* m = (char*)mmap(nullptr, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
    mprotect(m + len - pg, pg, PROT_NONE);
    char* u = m + len - pg - body;
    memset(u, 0xA5, body);
    s.dev[(uintptr_t)u] = {m, len, n};
    if (s.lock && !s.touching) protect(s.dev[(uintptr_t)u], PROT_NONE);
    s.used += n;
    *out = (CUdeviceptr)u;
    return CUDA_SUCCESS;
}
static CUresult copy(CUdeviceptr d, CUdeviceptr sr, size_t n, CUstream h, bool async, bool src_host, bool dst_host, Lock& l) {
    if (!n) return CUDA_SUCCESS;
    if ((!dst_host && !dev_ok(d, n)) || (!src_host && !dev_ok(sr, n))) return CUDA_ERROR_INVALID_VALUE;
    void *D = (void*)d, *R = (void*)sr;
    if (!async) {
        NO_CAPTURE;
        return submit_and_wait(node(CU_GRAPH_NODE_TYPE_MEMCPY, "copy", [=] { memmove(D, R, n); }), l);
    }
    auto st = is_null(h) ? S().legacy : find(h);
    bool capturing = st && st->cap;
    if (!capturing && src_host && !is_pinned(R, n)) {
        auto v = std::make_shared<std::vector<char>>((char*)R, (char*)R + n);
        return submit(h, node(CU_GRAPH_NODE_TYPE_MEMCPY, "copy", [=] { memmove(D, v->data(), n); }), l);
    }  // staged: pageable H2D reads its source at once
    CUresult r = submit(h, node(CU_GRAPH_NODE_TYPE_MEMCPY, "copy", [=] { memmove(D, R, n); }), l);
    if (!r && !capturing && st && dst_host && !is_pinned(D, n)) {
        drain(st, l);
        r = after(l);
    }  // pageable D2H returns when done
    return r;
}
static CUresult copy2d(const CUDA_MEMCPY2D* p, CUstream h, bool async, Lock& l) {
    auto at = [&](CUmemorytype t, const void* host, CUdeviceptr dev, size_t x, size_t y, size_t pitch, char*& out, bool& is_host) {
        size_t pt = pitch ? pitch : p->WidthInBytes;
        if (t == CU_MEMORYTYPE_ARRAY || (pt < x + p->WidthInBytes)) return false;
        is_host = t == CU_MEMORYTYPE_HOST || (t == CU_MEMORYTYPE_UNIFIED && !on_device((CUdeviceptr)host, 1));
        out = (t == CU_MEMORYTYPE_DEVICE ? (char*)dev : (char*)host) + y * pt + x;
        return is_host || !p->Height || dev_ok((CUdeviceptr)out, (p->Height - 1) * pt + p->WidthInBytes);
    };
    char *sp, *dp;
    bool sh, dh;
    if (!at(p->srcMemoryType, p->srcHost, p->srcDevice, p->srcXInBytes, p->srcY, p->srcPitch, sp, sh) ||
        !at(p->dstMemoryType, p->dstHost, p->dstDevice, p->dstXInBytes, p->dstY, p->dstPitch, dp, dh))
        return CUDA_ERROR_INVALID_VALUE;
    size_t w = p->WidthInBytes, H = p->Height, sp_ = p->srcPitch ? p->srcPitch : w, dp_ = p->dstPitch ? p->dstPitch : w;
    if (!async) NO_CAPTURE;
    auto n = node(CU_GRAPH_NODE_TYPE_MEMCPY, "copy", [=] {
        for (size_t y = 0; y < H; y++) memmove(dp + y * dp_, sp + y * sp_, w);
    });
    return async ? submit(h, n, l) : submit_and_wait(n, l);
}
template <class T>
static CUresult fill(CUdeviceptr d, size_t pitch, T v, size_t w, size_t h, CUstream st, Lock& l) {
    if (!w || !h) return CUDA_SUCCESS;
    if (!dev_ok(d, (h - 1) * pitch + w * sizeof(T))) return CUDA_ERROR_INVALID_VALUE;
    return submit(st,
                  node(CU_GRAPH_NODE_TYPE_MEMSET, "memset",
                       [=] {
                           for (size_t y = 0; y < h; y++) {
                               T* p = (T*)(d + y * pitch);
                               std::fill(p, p + w, v);
                           }
                       }),
                  l);
}
}  // namespace cuda_double
API cuMemAlloc(CUdeviceptr* p, size_t n) {
    ENTER(CTX);
    NO_CAPTURE;
    return dev_alloc(p, n);
}
API cuMemAllocManaged(CUdeviceptr* p, size_t n, unsigned) {
    ENTER(CTX);
    NO_CAPTURE;
    return dev_alloc(p, n);
}
API cuMemAllocPitch(CUdeviceptr* p, size_t* pitch, size_t w, size_t h, unsigned el) {
    ENTER(CTX);
    NO_CAPTURE;
    if (!w || !h || (el != 4 && el != 8 && el != 16)) return CUDA_ERROR_INVALID_VALUE;
    *pitch = (w + 511) / 512 * 512;
    return dev_alloc(p, *pitch * h);
}
API cuMemFree(CUdeviceptr p) {
    ENTER(CTX);
    NO_CAPTURE;
    if (!p) return CUDA_SUCCESS;
    if (!s.dev.count(p)) return CUDA_ERROR_INVALID_VALUE;
    Alloc a = s.dev[p];
    s.dev.erase(p);
    if (s.lock) protect(a, PROT_READ | PROT_WRITE);  // queued work may still use it
    s.used -= a.size;
    when_idle([a] {
        madvise(a.map, a.maplen, MADV_DONTNEED);
        mprotect(a.map, a.maplen, PROT_NONE);
    });
    return CUDA_SUCCESS;
}  // address space kept: later use of it faults
API cuMemGetInfo(size_t* f, size_t* t) {
    ENTER(CTX);
    *f = s.total - s.used;
    *t = s.total;
    return CUDA_SUCCESS;
}
API cuMemGetAddressRange(CUdeviceptr* b, size_t* n, CUdeviceptr p) {
    ENTER(CTX);
    if (!on_device(p, 1)) return CUDA_ERROR_NOT_FOUND;
    auto i = --s.dev.upper_bound(p);
    if (b) *b = i->first;
    if (n) *n = i->second.size;
    return CUDA_SUCCESS;
}
API cuPointerGetAttribute(void* out, CUpointer_attribute attribute, CUdeviceptr p) {
    ENTER(CTX);
    if (!dev_ok(p, 1)) return CUDA_ERROR_INVALID_VALUE;
    if (attribute != CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL) return CUDA_ERROR_NOT_SUPPORTED;
    *(int*)out = 0;
    return CUDA_SUCCESS;
}
API cuMemHostAlloc(void** p, size_t n, unsigned) {
    ENTER(CTX);
    NO_CAPTURE;
    if (!n) return CUDA_ERROR_INVALID_VALUE;
    if (posix_memalign(p, 4096, n)) return CUDA_ERROR_OUT_OF_MEMORY;
    memset(*p, 0xA5, n);
    s.pinned[(uintptr_t)*p] = n;
    return CUDA_SUCCESS;
}
API cuMemAllocHost(void** p, size_t n) { return cuMemHostAlloc(p, n, 0); }
API cuMemFreeHost(void* p) {
    ENTER(CTX);
    NO_CAPTURE;
    if (!s.pinned.count((uintptr_t)p)) return CUDA_ERROR_INVALID_VALUE;
    s.pinned.erase((uintptr_t)p);
    when_idle([p] { free(p); });
    return CUDA_SUCCESS;
}
API cuMemHostRegister(void* p, size_t n, unsigned) {
    ENTER(CTX);
    if (!p || !n) return CUDA_ERROR_INVALID_VALUE;
    if (s.registered.count((uintptr_t)p)) return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
    s.registered[(uintptr_t)p] = n;
    return CUDA_SUCCESS;
}
API cuMemHostUnregister(void* p) {
    ENTER(CTX);
    return s.registered.erase((uintptr_t)p) ? CUDA_SUCCESS : CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
}
API cuMemHostGetDevicePointer(CUdeviceptr* d, void* p, unsigned) {
    ENTER(CTX);
    if (!is_pinned(p, 1)) return CUDA_ERROR_INVALID_VALUE;
    *d = (CUdeviceptr)p;
    return CUDA_SUCCESS;
}
API cuMemHostGetFlags(unsigned* f, void*) {
    ENTER(CTX);
    *f = 0;
    return CUDA_SUCCESS;
}
API cuMemcpyHtoD(CUdeviceptr d, const void* p, size_t n) {
    ENTER(CTX);
    return copy(d, (CUdeviceptr)p, n, 0, false, true, false, l);
}
API cuMemcpyDtoH(void* d, CUdeviceptr p, size_t n) {
    ENTER(CTX);
    return copy((CUdeviceptr)d, p, n, 0, false, false, true, l);
}
API cuMemcpyDtoD(CUdeviceptr d, CUdeviceptr p, size_t n) {
    ENTER(CTX);
    return copy(d, p, n, 0, false, false, false, l);
}
API cuMemcpyHtoDAsync(CUdeviceptr d, const void* p, size_t n, CUstream h) {
    ENTER(CTX);
    return copy(d, (CUdeviceptr)p, n, h, true, true, false, l);
}
API cuMemcpyDtoHAsync(void* d, CUdeviceptr p, size_t n, CUstream h) {
    ENTER(CTX);
    return copy((CUdeviceptr)d, p, n, h, true, false, true, l);
}
API cuMemcpyDtoDAsync(CUdeviceptr d, CUdeviceptr p, size_t n, CUstream h) {
    ENTER(CTX);
    return copy(d, p, n, h, true, false, false, l);
}
API cuMemcpyAsync(CUdeviceptr d, CUdeviceptr p, size_t n, CUstream h) {
    ENTER(CTX);
    return copy(d, p, n, h, true, !on_device(p, 1), !on_device(d, 1), l);
}
API cuMemcpy2D(const CUDA_MEMCPY2D* p) {
    ENTER(CTX);
    return copy2d(p, 0, false, l);
}
API cuMemcpy2DUnaligned(const CUDA_MEMCPY2D* p) {
    ENTER(CTX);
    return copy2d(p, 0, false, l);
}
API cuMemcpy2DAsync(const CUDA_MEMCPY2D* p, CUstream h) {
    ENTER(CTX);
    return copy2d(p, h, true, l);
}
#define MEMSET(bits, T)                                                                          \
    API cuMemsetD##bits(CUdeviceptr d, T v, size_t n) {                                          \
        ENTER(CTX);                                                                              \
        NO_CAPTURE;                                                                              \
        return fill<T>(d, 0, v, n, 1, 0, l);                                                     \
    }                                                                                            \
    API cuMemsetD##bits##Async(CUdeviceptr d, T v, size_t n, CUstream h) {                       \
        ENTER(CTX);                                                                              \
        return fill<T>(d, 0, v, n, 1, h, l);                                                     \
    }                                                                                            \
    API cuMemsetD2D##bits##Async(CUdeviceptr d, size_t p, T v, size_t w, size_t n, CUstream h) { \
        ENTER(CTX);                                                                              \
        return fill<T>(d, p, v, w, n, h, l);                                                     \
    }
MEMSET(8, unsigned char)
MEMSET(16, unsigned short)
MEMSET(32, unsigned int)
