// Module images (what do the real bytes hold?) and launches of the kernels' host builds.
#include "double.h"
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <fstream>
namespace cuda_double {
const uint32_t FATBIN = 0xBA55ED50, FATBINC = 0x466243B1;
const uint16_t EM_CUDA_ = 190;
int elf_sm(const Elf64_Ehdr* e) {
    unsigned f = e->e_flags;
    unsigned hi = (f >> 8) & 0xff, lo = f & 0xff;
    return e->e_ident[EI_ABIVERSION] >= 8 ? hi : lo;
}
void elf_kernels(const char* p, std::map<string, unsigned>& out) {
    auto e = (const Elf64_Ehdr*)p;
    auto sh = (const Elf64_Shdr*)(p + e->e_shoff);
    const char* nm = p + sh[e->e_shstrndx].sh_offset;
    for (int i = 0; i < e->e_shnum; i++) {
        string n = nm + sh[i].sh_name;
        if (n.rfind(".nv.info.", 0)) continue;
        unsigned bytes = ~0u;
        const unsigned char* a = (const unsigned char*)p + sh[i].sh_offset;
        size_t len = sh[i].sh_size;
        for (size_t o = 0; o + 4 <= len;) {
            unsigned fmt = a[o], at = a[o + 1], v = a[o + 2] | a[o + 3] << 8;
            if (fmt == 3 && at == 0x19) bytes = v;
            o += 4 + (fmt == 4 ? v : 0);
        }  // EIATTR_CBANK_PARAM_SIZE
        out[n.substr(9)] = bytes;
    }
}
CUresult read_image(const void* img, Module& m) {
    uint32_t magic;
    memcpy(&magic, img, 4);
    const char* p = (const char*)img;
    int cc = S().cc;
    if (magic == FATBINC) {
        memcpy(&p, p + 8, 8);
        memcpy(&magic, p, 4);
    }
    if (!memcmp(p, ELFMAG, 4)) {
        auto e = (const Elf64_Ehdr*)p;
        if (e->e_machine != EM_CUDA_) return CUDA_ERROR_INVALID_IMAGE;
        int sm = elf_sm(e);
        if (sm / 10 != cc / 10 || sm % 10 > cc % 10) return CUDA_ERROR_NO_BINARY_FOR_GPU;
        elf_kernels(p, m.in_image);
        m.names_known = true;
        return CUDA_SUCCESS;
    }
    if (magic == FATBIN) {
        uint16_t hs;
        uint64_t size;
        memcpy(&hs, p + 6, 2);
        memcpy(&size, p + 8, 8);
        bool usable = false;
        const char *q = p + hs, *end = q + size;
        while (q + 64 <= end) {
            uint16_t kind;
            uint32_t h, arch;
            uint64_t n;
            memcpy(&kind, q, 2);
            memcpy(&h, q + 4, 4);
            memcpy(&n, q + 8, 8);
            memcpy(&arch, q + 28, 4);
            if (h < 64) break;
            if (kind == 1 && (int)arch <= cc) usable = true;  // PTX: the driver would compile it
            if (kind == 2 && (int)arch / 10 == cc / 10 && (int)arch % 10 <= cc % 10) {
                usable = true;
                if (!memcmp(q + h, ELFMAG, 4)) {
                    elf_kernels(q + h, m.in_image);
                    m.names_known = true;
                }
            }  // (compressed entries: names stay unknown)
            q += h + n;
        }
        return usable ? CUDA_SUCCESS : CUDA_ERROR_NO_BINARY_FOR_GPU;
    }
    string t(p, strnlen(p, 1 << 24));
    if (t.find(".version") == string::npos) return CUDA_ERROR_INVALID_IMAGE;  // PTX text
    for (size_t i = 0; (i = t.find(".entry", i)) != string::npos;) {
        i += 6;
        size_t a = t.find_first_not_of(" \t\n", i), b = t.find_first_of(" (\n\t", a);
        m.in_image[t.substr(a, b - a)] = ~0u;
    }
    m.names_known = true;
    return CUDA_SUCCESS;
}
std::vector<void*> kernel_libs;
const CudaDoubleKernel* host_kernel(const string& name) {
    static std::map<string, const CudaDoubleKernel*>* t = [] {
        auto* r = new std::map<string, const CudaDoubleKernel*>;
        string v = getenv("CUDADOUBLE_KERNELS") ? getenv("CUDADOUBLE_KERNELS") : "";
        for (size_t p = 0; p < v.size();) {
            size_t e = v.find(':', p);
            if (e == string::npos) e = v.size();
            string f = v.substr(p, e - p);
            p = e + 1;
            void* h = dlopen(f.c_str(), RTLD_NOW | RTLD_LOCAL);
            auto* k = h ? (const CudaDoubleKernel*)dlsym(h, "cudadouble_kernels") : nullptr;
            if (!k) {
                fprintf(stderr, "cudadouble: cannot use kernel library %s: %s\n", f.c_str(), dlerror());
                continue;
            }
            kernel_libs.push_back(h);
            for (; k->name; k++) (*r)[k->name] = k;
        }
        return r;
    }();
    auto i = t->find(name);
    return i == t->end() ? nullptr : i->second;
}
CUresult make_launch(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shmem, void** kp,
                     void** extra, std::shared_ptr<Launch>& out) {
    auto* F = (Func*)f;
    if (!F) return CUDA_ERROR_INVALID_HANDLE;
    bool known = false;
    for (Module* m : S().modules) known |= m == F->m;
    if (!known) return CUDA_ERROR_INVALID_HANDLE;
    if (!gx || !gy || !gz || !bx || !by || !bz || (uint64_t)bx * by * bz > 1024 || bz > 64 || gy > 65535 || gz > 65535 || shmem > 49152)
        return CUDA_ERROR_INVALID_VALUE;
    auto L = std::make_shared<Launch>();
    L->k = F->k;
    unsigned g[] = {gx, gy, gz}, b[] = {bx, by, bz};
    memcpy(L->g, g, 12);
    memcpy(L->b, b, 12);
    L->params.resize(F->k->bytes);
    L->f = f;
    for (unsigned i = 0; i < F->k->nparams; i++) L->pointers.push_back(&L->params[F->k->offset[i]]);
    if (kp && extra) return CUDA_ERROR_INVALID_VALUE;
    if (kp)
        for (unsigned i = 0; i < F->k->nparams; i++) memcpy(&L->params[F->k->offset[i]], kp[i], F->k->size[i]);
    else if (extra) {
        void* buf = nullptr;
        size_t n = 0;
        for (void** e = extra; *e != CU_LAUNCH_PARAM_END; e += 2)
            if (*e == CU_LAUNCH_PARAM_BUFFER_POINTER)
                buf = e[1];
            else if (*e == CU_LAUNCH_PARAM_BUFFER_SIZE)
                n = *(size_t*)e[1];
            else
                return CUDA_ERROR_INVALID_VALUE;
        if (n != F->k->bytes) {
            fprintf(stderr, "cudadouble: %s takes %u bytes of parameters, got %zu\n", F->k->name, F->k->bytes, n);
            return CUDA_ERROR_INVALID_VALUE;
        }
        memcpy(L->params.data(), buf, n);
        L->buffer = {nullptr};  // filled by cuGraphKernelNodeGetParams, once the launch lies where it stays
    } else if (F->k->bytes)
        return CUDA_ERROR_INVALID_VALUE;
    out = L;
    return CUDA_SUCCESS;
}
}  // namespace cuda_double
API cuModuleLoadDataEx(CUmodule* o, const void* img, unsigned count, CUjit_option* options, void** values) {
    for (unsigned i = 0; i < count; i++)  // the driver says how much it has written to the logs: nothing
        if (options[i] == CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES || options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES) values[i] = nullptr;
    ENTER(CTX);
    if (!img) return CUDA_ERROR_INVALID_VALUE;
    auto m = std::make_unique<Module>();
    if (CUresult r = read_image(img, *m)) return r;
    s.modules.insert(m.get());
    *o = (CUmodule)m.release();
    return CUDA_SUCCESS;
}
API cuModuleLoadData(CUmodule* o, const void* img) {
    { ENTER(CTX); }
    return cuModuleLoadDataEx(o, img, 0, nullptr, nullptr);
}
API cuModuleLoad(CUmodule* o, const char* path) {
    { ENTER(CTX); }
    std::ifstream f(path, std::ios::binary);
    if (!f) return CUDA_ERROR_FILE_NOT_FOUND;
    string d((std::istreambuf_iterator<char>(f)), {});
    return cuModuleLoadDataEx(o, d.data(), 0, nullptr, nullptr);
}
API cuModuleUnload(CUmodule h) {
    ENTER(CTX);
    if (!s.modules.count((Module*)h)) return CUDA_ERROR_INVALID_HANDLE;
    s.modules.erase((Module*)h);
    delete (Module*)h;
    return CUDA_SUCCESS;
}
API cuModuleGetFunction(CUfunction* o, CUmodule h, const char* name) {
    ENTER(CTX);
    if (!s.modules.count((Module*)h)) return CUDA_ERROR_INVALID_HANDLE;
    auto& m = *(Module*)h;
    auto in = m.in_image.find(name);
    if (m.names_known && in == m.in_image.end()) return CUDA_ERROR_NOT_FOUND;
    const CudaDoubleKernel* k = host_kernel(name);
    if (!k) {
        fprintf(stderr, "cudadouble: kernel %s is in the image but in no library of CUDADOUBLE_KERNELS\n", name);
        return CUDA_ERROR_NOT_FOUND;
    }
    if (m.names_known && in->second != ~0u && in->second != k->bytes) {
        fprintf(stderr, "cudadouble: %s: the image takes %u bytes of parameters, the host build %u (stale build?)\n", name, in->second,
                k->bytes);
        return CUDA_ERROR_INVALID_IMAGE;
    }
    auto& f = m.funcs[name];
    if (!f) f.reset(new Func{k, &m});
    *o = (CUfunction)f.get();
    return CUDA_SUCCESS;
}
// A __constant__ or __device__ variable, where the kernel library exports it (kernel header: #define __constant__ extern "C").
API cuModuleGetGlobal(CUdeviceptr* p, size_t* n, CUmodule h, const char* name) {
    ENTER(CTX);
    if (!s.modules.count((Module*)h)) return CUDA_ERROR_INVALID_HANDLE;
    host_kernel("");
    for (void* lib : kernel_libs)
        if (void* a = dlsym(lib, name)) {
            Dl_info i;
            const Elf64_Sym* e = nullptr;
            dladdr1(a, &i, (void**)&e, RTLD_DL_SYMENT);
            size_t sz = e ? e->st_size : 0;
            s.registered[(uintptr_t)a] = sz;
            if (p) *p = (CUdeviceptr)a;
            if (n) *n = sz;
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_NOT_FOUND;
}
API cuFuncGetAttribute(int* v, CUfunction_attribute a, CUfunction) {
    ENTER(CTX);
    *v = a == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ? 1024 : 0;
    return CUDA_SUCCESS;
}
API cuFuncSetAttribute(CUfunction, CUfunction_attribute, int) {
    ENTER(CTX);
    return CUDA_SUCCESS;
}
API cuFuncSetBlockShape(CUfunction, int x, int y, int z) {
    ENTER(CTX);
    return x > 0 && y > 0 && z > 0 && (long)x * y * z <= 1024 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}  // deprecated, but pycuda calls it at every launch
API cuFuncSetSharedSize(CUfunction, unsigned) {
    ENTER(CTX);
    return CUDA_SUCCESS;
}
API cuFuncSetCacheConfig(CUfunction, CUfunc_cache) {
    ENTER(CTX);
    return CUDA_SUCCESS;
}
API cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned sh, CUstream h,
                   void** kp, void** ex) {
    ENTER(CTX);
    std::shared_ptr<Launch> L;
    if (CUresult r = make_launch(f, gx, gy, gz, bx, by, bz, sh, kp, ex, L)) return r;
    return submit(h, kernel_node(L), l);
}
API cuLaunchKernelEx(const CUlaunchConfig* c, CUfunction f, void** kp, void** ex) {
    ENTER(CTX);
    std::shared_ptr<Launch> L;
    if (CUresult r =
            make_launch(f, c->gridDimX, c->gridDimY, c->gridDimZ, c->blockDimX, c->blockDimY, c->blockDimZ, c->sharedMemBytes, kp, ex, L))
        return r;
    return submit(c->hStream, kernel_node(L), l);
}
