// Settings from the environment, faults, and what every call does first.
#include "double.h"
#include <chrono>
#include <cstdlib>
#include <cstring>
namespace cuda_double {
long env(const char* n, long d) {
    const char* v = getenv(n);
    return v && *v ? atol(v) : d;
}
void set_faults(State& s, const string& spec) {
    s.faults.clear();
    s.fault_count.clear();
    for (size_t p = 0; p < spec.size();) {
        size_t e = spec.find(';', p);
        if (e == string::npos) e = spec.size();
        string t = spec.substr(p, e - p);
        p = e + 1;
        size_t c = t.rfind(':'), q = t.rfind('=');
        if (c == string::npos || q == string::npos || q < c) {
            if (!t.empty()) fprintf(stderr, "cudadouble: bad fault '%s'\n", t.c_str());
            continue;
        }
        string v = t.substr(q + 1);
        bool sl = v.rfind("sleep", 0) == 0;
        s.faults.push_back(
            {t.substr(0, c), atol(t.c_str() + c + 1), t[q - 1] == '+', sl ? 0 : atoi(v.c_str()), sl ? atoi(v.c_str() + 5) : 0});
    }
}
State& S() {
    static State* s = [] {
        State* p = new State;  // leaked on purpose: workers outlive main()
        p->total = (size_t)env("CUDADOUBLE_MEM_MB", 4096) << 20;
        p->cc = env("CUDADOUBLE_CC", 87);
        p->ndev = env("CUDADOUBLE_DEVICES", 1);
        p->delay = env("CUDADOUBLE_DELAY_US", 0);
        p->seed = p->rng = env("CUDADOUBLE_SEED", 0);
        p->sync = env("CUDADOUBLE_SYNC", 0);
        p->lock = env("CUDADOUBLE_LOCK", 0);
        p->integrated = env("CUDADOUBLE_INTEGRATED", 0);
        if (const char* t = getenv("CUDADOUBLE_TRACE")) p->trace = strcmp(t, "-") ? fopen(t, "w") : stderr;
        if (const char* f = getenv("CUDADOUBLE_FAULTS")) set_faults(*p, f);
        return p;
    }();
    return *s;
}
thread_local std::vector<Ctx*> ctx_stack;
thread_local CUstreamCaptureMode thread_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
double now_ms() { return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
string plain(const char* f) {
    string s = f;
    size_t n = s.size();
    if (n > 3 && s[n - 3] == '_' && s[n - 2] == 'v') s.resize(n - 3);
    if (s == "cuGraphInstantiateWithFlags") s = "cuGraphInstantiate";
    return s;
}
// Returns the code (or 0) that the fault list has for this use of `site`; sleeps where told to. Lock held on entry and exit.
CUresult fault(const string& site, Lock& l) {
    State& s = S();
    if (s.faults.empty()) return CUDA_SUCCESS;
    long n = ++s.fault_count[site];
    for (auto f : s.faults)
        if (f.site == site && (n == f.n || (f.onward && n > f.n))) {
            if (f.code) return (CUresult)f.code;
            l.unlock();
            std::this_thread::sleep_for(std::chrono::milliseconds(f.sleep_ms));
            l.lock();
        }
    return CUDA_SUCCESS;
}
CUresult enter(const char* fn, Need need, Lock& l) {
    State& s = S();
    string n = plain(fn);
    s.count[n]++;
    if (s.trace) {
        fprintf(s.trace, "%.3f %s\n", now_ms(), n.c_str());
        fflush(s.trace);
    }
    if (need >= INIT && !s.init) return CUDA_ERROR_NOT_INITIALIZED;
    if (need == CTX) {
        if (ctx_stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
        if (ctx_stack.back()->sticky) return ctx_stack.back()->sticky;
    }
    return fault(n, l);
}
}  // namespace cuda_double
