// The driver, its devices and contexts, the loader that cuda-bindings uses, and control for tests.
#include "double.h"
#include <cstring>
#include <cudaProfiler.h>
#include <dlfcn.h>
#include <sys/mman.h>
namespace cuda_double {
CUresult attribute(int a, int* v) {
    static const std::map<int, int> t = {{CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024},
                                         {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, 1024},
                                         {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, 1024},
                                         {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, 64},
                                         {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, 2147483647},
                                         {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, 65535},
                                         {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, 65535},
                                         {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, 49152},
                                         {CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32},
                                         {CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 1},
                                         {CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1},
                                         {CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY, 1},
                                         {CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT, 1},
                                         {CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED, 1},
                                         {CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS, 0},
                                         {CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT, 512},
                                         {CU_DEVICE_ATTRIBUTE_MAX_PITCH, 2147483647},
                                         {CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 1000000}};
    if (a <= 0 || a >= CU_DEVICE_ATTRIBUTE_MAX) return CUDA_ERROR_INVALID_VALUE;
    if (a == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
        *v = S().cc / 10;
    else if (a == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)
        *v = S().cc % 10;
    else if (a == CU_DEVICE_ATTRIBUTE_INTEGRATED)
        *v = S().integrated;
    else {
        auto i = t.find(a);
        *v = i == t.end() ? 0 : i->second;
    }
    return CUDA_SUCCESS;
}
bool bad_dev(CUdevice d) { return d < 0 || d >= S().ndev; }
}  // namespace cuda_double
API cuInit(unsigned flags) {
    ENTER(NONE);
    if (flags) return CUDA_ERROR_INVALID_VALUE;
    if (!s.ndev) return CUDA_ERROR_NO_DEVICE;
    s.init = true;
    return CUDA_SUCCESS;
}
API cuDriverGetVersion(int* v) {
    ENTER(NONE);
    *v = 13000;
    return CUDA_SUCCESS;
}
API cuGetErrorString(CUresult r, const char** o) {
    switch (r) {
#define C(n, t) \
    case n: *o = t; return CUDA_SUCCESS;
        C(CUDA_SUCCESS, "no error")
        C(CUDA_ERROR_INVALID_VALUE, "invalid argument") C(CUDA_ERROR_OUT_OF_MEMORY, "out of memory")
            C(CUDA_ERROR_NOT_INITIALIZED, "initialization error") C(CUDA_ERROR_NO_DEVICE, "no CUDA-capable device is detected")
                C(CUDA_ERROR_INVALID_DEVICE, "invalid device ordinal") C(CUDA_ERROR_INVALID_IMAGE, "device kernel image is invalid") C(
                    CUDA_ERROR_INVALID_CONTEXT, "invalid device context") C(CUDA_ERROR_NO_BINARY_FOR_GPU,
                                                                            "no kernel image is available for execution on the device")
                    C(CUDA_ERROR_INVALID_HANDLE, "invalid resource handle") C(CUDA_ERROR_NOT_FOUND, "named symbol not found") C(
                        CUDA_ERROR_NOT_READY, "device not ready") C(CUDA_ERROR_ILLEGAL_ADDRESS, "an illegal memory access was encountered")
                        C(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "too many resources requested for launch")
                            C(CUDA_ERROR_LAUNCH_TIMEOUT, "the launch timed out and was terminated")
                                C(CUDA_ERROR_LAUNCH_FAILED, "unspecified launch failure")
                                    C(CUDA_ERROR_NOT_SUPPORTED, "operation not supported (by the CUDA test double)") C(
                                        CUDA_ERROR_FILE_NOT_FOUND, "file not found") C(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
                                                                                       "operation not permitted when stream is capturing")
                                        C(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "operation failed due to a previous error during capture")
                                            C(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "capturing stream has unjoined work")
                                                C(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT,
                                                  "operation would make the legacy stream depend on a capturing blocking stream")
                                                    C(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "capture was not initiated in this stream")
                                                        C(CUDA_ERROR_CAPTURED_EVENT,
                                                          "operation not permitted on an event last recorded in a capturing stream")
                                                            C(CUDA_ERROR_ECC_UNCORRECTABLE, "uncorrectable ECC error encountered")
                                                                C(CUDA_ERROR_UNKNOWN, "unknown error")
#undef C
                                                                    default : {
            static thread_local char b[40];
            snprintf(b, sizeof b, "CUDA error %d (test double)", (int)r);
            *o = b;
            return CUDA_SUCCESS;
        }
    }
}
API cuGetErrorName(CUresult r, const char** o) {
    static thread_local char b[24];
    snprintf(b, sizeof b, "CUresult_%d", (int)r);
    *o = b;
    return CUDA_SUCCESS;
}
API cuDeviceGetCount(int* n) {
    ENTER(INIT);
    *n = s.ndev;
    return CUDA_SUCCESS;
}
API cuDeviceGet(CUdevice* d, int i) {
    ENTER(INIT);
    if (bad_dev(i)) return CUDA_ERROR_INVALID_DEVICE;
    *d = i;
    return CUDA_SUCCESS;
}
API cuDeviceGetName(char* b, int n, CUdevice d) {
    ENTER(INIT);
    if (bad_dev(d)) return CUDA_ERROR_INVALID_DEVICE;
    snprintf(b, n, "CUDA test double (host CPU)");
    return CUDA_SUCCESS;
}
API cuDeviceTotalMem(size_t* n, CUdevice d) {
    ENTER(INIT);
    if (bad_dev(d)) return CUDA_ERROR_INVALID_DEVICE;
    *n = s.total;
    return CUDA_SUCCESS;
}
API cuDeviceGetAttribute(int* v, CUdevice_attribute a, CUdevice d) {
    ENTER(INIT);
    if (bad_dev(d)) return CUDA_ERROR_INVALID_DEVICE;
    return attribute(a, v);
}
API cuDeviceComputeCapability(int* a, int* b, CUdevice d) {
    ENTER(INIT);
    if (bad_dev(d)) return CUDA_ERROR_INVALID_DEVICE;
    *a = s.cc / 10;
    *b = s.cc % 10;
    return CUDA_SUCCESS;
}
API cuDeviceGetPCIBusId(char* b, int n, CUdevice d) {
    ENTER(INIT);
    snprintf(b, n, "0000:%02x:00.0", d);
    return CUDA_SUCCESS;
}
API cuDeviceCanAccessPeer(int* v, CUdevice, CUdevice) {
    ENTER(INIT);
    *v = 0;
    return CUDA_SUCCESS;
}
// ---- contexts
API cuDevicePrimaryCtxRetain(CUcontext* c, CUdevice d) {
    ENTER(INIT);
    if (bad_dev(d)) return CUDA_ERROR_INVALID_DEVICE;
    s.primary.retained++;
    *c = (CUcontext)&s.primary;
    return CUDA_SUCCESS;
}
API cuDevicePrimaryCtxRelease(CUdevice d) {
    ENTER(INIT);
    if (bad_dev(d)) return CUDA_ERROR_INVALID_DEVICE;
    if (!s.primary.retained) return CUDA_ERROR_INVALID_CONTEXT;
    if (!ctx_stack.empty() && ctx_stack.back() == &s.primary && s.primary.retained == 1) ctx_stack.pop_back();
    s.primary.retained--;
    return CUDA_SUCCESS;
}
API cuDevicePrimaryCtxReset(CUdevice d) {
    ENTER(INIT);
    if (bad_dev(d)) return CUDA_ERROR_INVALID_DEVICE;
    s.primary.sticky = CUDA_SUCCESS;
    return CUDA_SUCCESS;
}
API cuDevicePrimaryCtxGetState(CUdevice d, unsigned* f, int* a) {
    ENTER(INIT);
    if (bad_dev(d)) return CUDA_ERROR_INVALID_DEVICE;
    *f = 0;
    *a = s.primary.retained > 0;
    return CUDA_SUCCESS;
}
API cuCtxCreate(CUcontext* c, CUctxCreateParams*, unsigned, CUdevice d) {
    ENTER(INIT);
    if (bad_dev(d)) return CUDA_ERROR_INVALID_DEVICE;
    auto* x = new Ctx;
    x->primary = false;
    s.others.insert(x);
    ctx_stack.push_back(x);
    *c = (CUcontext)x;
    return CUDA_SUCCESS;
}
API cuCtxDestroy(CUcontext c) {
    ENTER(INIT);
    auto* x = (Ctx*)c;
    if (!s.others.erase(x)) return CUDA_ERROR_INVALID_CONTEXT;
    if (!ctx_stack.empty() && ctx_stack.back() == x) ctx_stack.pop_back();
    delete x;
    return CUDA_SUCCESS;
}
API cuCtxDetach(CUcontext c) {
    return (Ctx*)c == &S().primary ? cuDevicePrimaryCtxRelease(0) : cuCtxDestroy(c);
}  // pycuda's ~context() calls it on a primary context that was never detach()ed
API cuCtxPushCurrent(CUcontext c) {
    ENTER(INIT);
    if (!c) return CUDA_ERROR_INVALID_CONTEXT;
    ctx_stack.push_back((Ctx*)c);
    return CUDA_SUCCESS;
}
API cuCtxPopCurrent(CUcontext* c) {
    ENTER(INIT);
    if (ctx_stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
    if (c) *c = (CUcontext)ctx_stack.back();
    ctx_stack.pop_back();
    return CUDA_SUCCESS;
}
API cuCtxGetCurrent(CUcontext* c) {
    ENTER(INIT);
    *c = ctx_stack.empty() ? nullptr : (CUcontext)ctx_stack.back();
    return CUDA_SUCCESS;
}
API cuCtxSetCurrent(CUcontext c) {
    ENTER(INIT);
    if (!ctx_stack.empty()) ctx_stack.pop_back();
    if (c) ctx_stack.push_back((Ctx*)c);
    return CUDA_SUCCESS;
}
API cuCtxGetDevice(CUdevice* d) {
    ENTER(INIT);
    if (ctx_stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
    *d = 0;
    return CUDA_SUCCESS;
}
API cuCtxGetApiVersion(CUcontext, unsigned* v) {
    ENTER(INIT);
    *v = 13000;
    return CUDA_SUCCESS;
}
API cuCtxSynchronize(void) {
    ENTER(CTX);
    NO_CAPTURE;
    drain_all(l);
    return after(l);
}
API cuCtxGetStreamPriorityRange(int* lo, int* hi) {
    ENTER(CTX);
    if (lo) *lo = 0;
    if (hi) *hi = -5;
    return CUDA_SUCCESS;
}
API cuCtxGetLimit(size_t* v, CUlimit) {
    ENTER(CTX);
    *v = 0;
    return CUDA_SUCCESS;
}
API cuCtxSetLimit(CUlimit, size_t) {
    ENTER(CTX);
    return CUDA_SUCCESS;
}
API cuProfilerStart(void) {
    ENTER(CTX);
    return CUDA_SUCCESS;
}
API cuProfilerStop(void) {
    ENTER(CTX);
    return CUDA_SUCCESS;
}
// ---- the loader that cuda-bindings uses: a plain name -> this library's newest variant of it (nothing else is offered)
API cuGetProcAddress(const char* name, void** fn, int, cuuint64_t, CUdriverProcAddressQueryResult* st) {
    static const char* suffix[] = {"_v4", "_v3", "_v2", ""};
    static void* self = [] {
        Dl_info i;
        dladdr((void*)&cuInit, &i);
        return dlopen(i.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    }();
    *fn = nullptr;
    string n = strcmp(name, "cuGraphInstantiate") ? name : "cuGraphInstantiateWithFlags";
    for (auto x : suffix)
        if ((*fn = dlsym(self, (n + x).c_str()))) break;
    if (st) *st = *fn ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    return *fn ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
// ---- control for tests
#define CONTROL extern "C" __attribute__((visibility("default")))
CONTROL int cudadouble_is_double() { return 1; }
CONTROL void cudadouble_faults(const char* spec) {
    Lock l(S().m);
    set_faults(S(), spec);
}
CONTROL long cudadouble_count(const char* call) {
    Lock l(S().m);
    return S().count[call];
}
CONTROL void cudadouble_reset_counts() {
    Lock l(S().m);
    S().count.clear();
}
CONTROL long cudadouble_live_allocs() {
    Lock l(S().m);
    return S().dev.size() + S().pinned.size();
}
// Registered host ranges, streams, events, modules, graphs and their executables that nobody gave back.
CONTROL long cudadouble_live_handles() {
    Lock l(S().m);
    State& s = S();
    return s.registered.size() + s.streams.size() + s.events.size() + s.modules.size() + s.graphs.size() + s.execs.size();
}
CONTROL long cudadouble_live_bytes() {
    Lock l(S().m);
    return S().used;
}
CONTROL void cudadouble_fail(int code) {
    poison_ctx((CUresult)code);
}  // what a kernel fault does: a sticky error (for stand-ins running as host functions)
// A setting of the environment, changed in a running process: the name without CUDADOUBLE_, in lower case. 0 where unknown.
CONTROL int cudadouble_set(const char* name, long value) {
    Lock l(S().m);
    State& s = S();
    string n = name;
    if (n == "delay_us")
        s.delay = value;
    else if (n == "seed")
        s.seed = s.rng = value;
    else if (n == "integrated")
        s.integrated = value;
    else if (n == "devices")
        s.ndev = value;
    else if (n == "mem_mb")
        s.total = (size_t)value << 20;
    else if (n == "lock") {
        s.lock = value;
        for (auto& d : s.dev) protect(d.second, value && !s.touching ? PROT_NONE : PROT_READ | PROT_WRITE);
    } else
        return 0;
    return 1;
}
// What only a new process does on a GPU: the context works again after a sticky error.
CONTROL void cudadouble_heal() {
    Lock l(S().m);
    S().primary.sticky = CUDA_SUCCESS;
}
