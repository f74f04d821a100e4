// Running operations: kernels with fault guards, streams as worker threads, capture.
#include "double.h"
#include <algorithm>
#include <chrono>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
namespace cuda_double {
thread_local sigjmp_buf* kernel_jmp = nullptr;
void on_segv(int sig, siginfo_t*, void*) {
    if (kernel_jmp) siglongjmp(*kernel_jmp, 1);
    signal(sig, SIG_DFL);
    raise(sig);
}
// Runs a kernel. An access outside every allocation that hits a guard page becomes CUDA_ERROR_ILLEGAL_ADDRESS, as on a GPU.
CUresult run_kernel(const Launch& L) {
    std::lock_guard<std::mutex> one(S().kernels);
    static char alt[64 << 10];
    stack_t ss{}, oss{};
    ss.ss_sp = alt;
    ss.ss_size = sizeof alt;
    sigaltstack(&ss, &oss);
    struct sigaction sa{}, o1, o2;
    sa.sa_sigaction = on_segv;
    sa.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &sa, &o1);
    sigaction(SIGBUS, &sa, &o2);
    sigjmp_buf jb;
    volatile CUresult r = CUDA_SUCCESS;
    if (sigsetjmp(jb, 1) == 0) {
        kernel_jmp = &jb;
        L.k->run(L.g, L.b, L.params.data());
    } else
        r = CUDA_ERROR_ILLEGAL_ADDRESS;
    kernel_jmp = nullptr;
    sigaction(SIGSEGV, &o1, nullptr);
    sigaction(SIGBUS, &o2, nullptr);
    if (oss.ss_sp || (oss.ss_flags & SS_DISABLE)) sigaltstack(&oss, nullptr);
    return r;
}
void poison_ctx(CUresult r) {
    Lock l(S().m);
    if (!S().primary.sticky) S().primary.sticky = r;
    S().cv.notify_all();
}
// CUDADOUBLE_LOCK=1: device pages are readable only while some operation runs, so host code that follows a device pointer
// crashes (almost always: any time that the device is idle), as it does on a discrete GPU.
void protect(const Alloc& a, int prot) { mprotect(a.map, a.maplen - 4096, prot); }
struct Touch {
    bool on;
    Touch(bool on_) : on(on_ && S().lock) {
        Lock l(S().m);
        if (on && S().touching++ == 0)
            for (auto& d : S().dev) protect(d.second, PROT_READ | PROT_WRITE);
    }
    ~Touch() {
        Lock l(S().m);
        if (on && --S().touching == 0)
            for (auto& d : S().dev) protect(d.second, PROT_NONE);
    }
};
void run_node(const Node& n) {
    {
        Lock l(S().m);
        if (S().primary.sticky && n.site != "event") return;
        if (CUresult e = fault(n.site, l)) {
            if (!S().primary.sticky) S().primary.sticky = e;
            S().cv.notify_all();
            return;
        }
    }
    Touch touch(n.site != "event" && n.site != "graph");
    if (n.launch) {
        if (CUresult r = run_kernel(*n.launch)) poison_ctx(r);
    } else
        n.fn();
}
void worker(std::shared_ptr<Stream> st) {
    State& s = S();
    ctx_stack = {&s.primary};
    Lock l(s.m);
    for (;;) {
        s.cv.wait(l, [&] { return !st->q.empty() || st->stop; });
        if (st->q.empty()) return;
        Item it = std::move(st->q.front());
        st->q.pop_front();
        for (auto& w : it.wait) s.cv.wait(l, [&] { return w.first->done >= w.second; });
        long us = s.delay;
        if (us && s.seed) {
            s.rng = s.rng * 6364136223846793005ull + 1442695040888963407ull;
            us = (s.rng >> 33) % (us + 1);
        }
        l.unlock();
        if (us && it.n->site != "event") std::this_thread::sleep_for(std::chrono::microseconds(us));
        run_node(*it.n);
        it = {};
        l.lock();
        st->done++;
        s.cv.notify_all();
    }
}
bool idle(const Stream& st) { return st.done == st.given; }
void give(const std::shared_ptr<Stream>& st, NodeP n, std::vector<Ticket> wait = {}) {
    st->given++;
    st->q.push_back({n, std::move(wait)});
    S().cv.notify_all();
}
void drain(const std::shared_ptr<Stream>& st, Lock& l) {
    auto keep = st;
    uint64_t t = keep->given;
    S().cv.wait(l, [&] { return keep->done >= t; });
}
std::vector<std::shared_ptr<Stream>> all_streams(bool blocking_only) {
    State& s = S();
    std::vector<std::shared_ptr<Stream>> v;
    s.leaving.erase(std::remove_if(s.leaving.begin(), s.leaving.end(), [](auto& x) { return idle(*x); }), s.leaving.end());
    for (auto& p : s.streams) v.push_back(p.second);
    v.insert(v.end(), s.leaving.begin(), s.leaving.end());
    if (blocking_only) v.erase(std::remove_if(v.begin(), v.end(), [](auto& x) { return x->flags & CU_STREAM_NON_BLOCKING; }), v.end());
    if (s.legacy) v.push_back(s.legacy);
    return v;
}
void drain_all(Lock& l, bool blocking_only) {
    for (auto& st : all_streams(blocking_only)) drain(st, l);
}
// Runs `free_it` once all work queued so far is over. (CUDA's free calls wait for that; waiting here would deadlock with pycuda,
// which holds the GIL in them, when a queued host function needs the GIL.)
void when_idle(std::function<void()> free_it) {
    std::shared_ptr<void> last(nullptr, [free_it](void*) { free_it(); });
    for (auto& st : all_streams(false))
        if (!idle(*st)) give(st, std::make_shared<Node>(Node{CU_GRAPH_NODE_TYPE_EMPTY, "event", [last] {}, nullptr, {}}));
}
bool is_null(CUstream h) { return h == nullptr || h == CU_STREAM_LEGACY || h == CU_STREAM_PER_THREAD; }
std::shared_ptr<Stream> find(CUstream h) {
    auto i = S().streams.find(h);
    return i == S().streams.end() ? nullptr : i->second;
}
void invalidate(Capture* c) { c->invalid = true; }
// Calls that CUDA forbids while a capture is under way (allocation, synchronising, legacy stream): error, and the capture dies.
CUresult unsafe_in_capture() {
    for (Capture* c : S().captures)
        if (c->mode != CU_STREAM_CAPTURE_MODE_RELAXED && thread_mode != CU_STREAM_CAPTURE_MODE_RELAXED &&
            (c->mode == CU_STREAM_CAPTURE_MODE_GLOBAL
                 ? thread_mode == CU_STREAM_CAPTURE_MODE_GLOBAL || c->thread == std::this_thread::get_id()
                 : c->thread == std::this_thread::get_id())) {
            invalidate(c);
            return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
        }
    return CUDA_SUCCESS;
}
CUresult after(Lock& l) { return ctx_stack.empty() ? CUDA_SUCCESS : ctx_stack.back()->sticky; }
CUresult submit(CUstream h, NodeP n, Lock& l) {
    State& s = S();
    if (is_null(h)) {
        for (Capture* c : s.captures)
            if (!(c->origin->flags & CU_STREAM_NON_BLOCKING)) {
                invalidate(c);
                return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
            }
        if (s.sync) {
            l.unlock();
            run_node(*n);
            l.lock();
            return CUDA_SUCCESS;
        }
        if (!s.legacy) {
            s.legacy = std::make_shared<Stream>();
            std::thread(worker, s.legacy).detach();
        }
        std::vector<Ticket> w;
        for (auto& st : all_streams(true))
            if (st != s.legacy && !idle(*st)) w.push_back({st, st->given});
        give(s.legacy, n, w);
        return CUDA_SUCCESS;
    }  // legacy: after all blocking streams' work ...
    auto st = find(h);
    if (!st) return CUDA_ERROR_INVALID_HANDLE;
    if (st->cap) {
        if (st->cap->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
        if (n->site == "event") return CUDA_SUCCESS;
        n->deps = st->front;
        st->cap->graph->nodes.push_back(n);
        st->front = {n.get()};
        return CUDA_SUCCESS;
    }
    if (s.sync) {
        l.unlock();
        run_node(*n);
        l.lock();
        return CUDA_SUCCESS;
    }
    std::vector<Ticket> w;
    if (s.legacy && !(st->flags & CU_STREAM_NON_BLOCKING) && !idle(*s.legacy))
        w.push_back({s.legacy, s.legacy->given});  // ... and blocking streams after the legacy work
    give(st, n, w);
    return CUDA_SUCCESS;
}
CUresult submit_and_wait(NodeP n, Lock& l) {
    if (CUresult r = submit(nullptr, n, l)) return r;
    if (S().legacy) drain(S().legacy, l);
    return after(l);
}
NodeP node(CUgraphNodeType t, const char* site, std::function<void()> fn) {
    auto n = std::make_shared<Node>();
    n->type = t;
    n->site = site;
    n->fn = std::move(fn);
    return n;
}
NodeP kernel_node(std::shared_ptr<Launch> L) {
    auto n = node(CU_GRAPH_NODE_TYPE_KERNEL, ("kernel/" + string(L->k->name)).c_str(), nullptr);
    n->launch = L;
    return n;
}
}  // namespace cuda_double
