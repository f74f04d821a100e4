// Streams and events.
#include "double.h"
#include <algorithm>
#include <thread>
API cuStreamCreateWithPriority(CUstream* o, unsigned f, int prio) {
    ENTER(CTX);
    NO_CAPTURE;
    auto st = std::make_shared<Stream>();
    st->flags = f;
    st->prio = prio;
    *o = (CUstream)st.get();
    s.streams[*o] = st;
    if (!s.sync) std::thread(worker, st).detach();
    return CUDA_SUCCESS;
}
API cuStreamCreate(CUstream* o, unsigned f) {
    { ENTER(CTX); }
    return cuStreamCreateWithPriority(o, f, 0);
}
API cuStreamDestroy(CUstream h) {
    ENTER(CTX);
    auto st = find(h);
    if (!st) return CUDA_ERROR_INVALID_HANDLE;
    st->stop = true;
    s.leaving.push_back(st);
    s.streams.erase(h);
    s.cv.notify_all();
    return CUDA_SUCCESS;
}
API cuStreamSynchronize(CUstream h) {
    ENTER(CTX);
    if (is_null(h)) {
        NO_CAPTURE;
        drain_all(l, true);
        return after(l);
    }
    auto st = find(h);
    if (!st) return CUDA_ERROR_INVALID_HANDLE;
    if (st->cap) {
        invalidate(st->cap);
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    drain(st, l);
    return after(l);
}
API cuStreamQuery(CUstream h) {
    ENTER(CTX);
    if (is_null(h)) {
        for (auto& p : all_streams(true))
            if (!idle(*p)) return CUDA_ERROR_NOT_READY;
        return CUDA_SUCCESS;
    }
    auto st = find(h);
    if (!st) return CUDA_ERROR_INVALID_HANDLE;
    if (st->cap) {
        invalidate(st->cap);
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    return idle(*st) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}
API cuStreamGetFlags(CUstream h, unsigned* f) {
    ENTER(CTX);
    auto st = find(h);
    *f = st ? st->flags : 0;
    return CUDA_SUCCESS;
}
API cuStreamGetPriority(CUstream h, int* p) {
    ENTER(CTX);
    auto st = find(h);
    *p = st ? st->prio : 0;
    return CUDA_SUCCESS;
}
API cuStreamGetCtx(CUstream, CUcontext* c) {
    ENTER(CTX);
    *c = (CUcontext)ctx_stack.back();
    return CUDA_SUCCESS;
}
API cuLaunchHostFunc(CUstream h, CUhostFn fn, void* u) {
    ENTER(CTX);
    return submit(h, node(CU_GRAPH_NODE_TYPE_HOST, "host", [=] { fn(u); }), l);
}
API cuStreamWaitEvent(CUstream h, CUevent ev, unsigned) {
    ENTER(CTX);
    auto i = s.events.find(ev);
    if (i == s.events.end()) return CUDA_ERROR_INVALID_HANDLE;
    auto e = i->second;
    if (e->cap) {
        if (!s.captures.count(e->cap)) return CUDA_ERROR_INVALID_VALUE;
        auto st = find(h);
        if (!st) return CUDA_ERROR_INVALID_HANDLE;
        if (st->cap && st->cap != e->cap) return CUDA_ERROR_STREAM_CAPTURE_MERGE;
        st->cap = e->cap;
        st->front.insert(e->front.begin(), e->front.end());
        return CUDA_SUCCESS;
    }  // fork or join inside a capture
    if (auto st = find(h))
        if (st->cap) {
            invalidate(st->cap);
            return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
        }
    uint64_t t = e->asked;
    if (!t) return CUDA_SUCCESS;
    return submit(h,
                  node(CU_GRAPH_NODE_TYPE_EMPTY, "event",
                       [=] {
                           Lock k(S().m);
                           S().cv.wait(k, [&] { return e->done(t); });
                       }),
                  l);
}
// ---- events
API cuEventCreate(CUevent* o, unsigned f) {
    ENTER(CTX);
    auto e = std::make_shared<Event>();
    e->flags = f;
    *o = (CUevent)e.get();
    s.events[*o] = e;
    return CUDA_SUCCESS;
}
API cuEventDestroy(CUevent h) {
    ENTER(CTX);
    return s.events.erase(h) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}
API cuEventRecord(CUevent h, CUstream st) {
    ENTER(CTX);
    auto i = s.events.find(h);
    if (i == s.events.end()) return CUDA_ERROR_INVALID_HANDLE;
    auto e = i->second;
    if (auto p = is_null(st) ? nullptr : find(st))
        if (p->cap) {
            e->cap = p->cap;
            e->front = p->front;
            return CUDA_SUCCESS;
        }
    e->cap = nullptr;
    uint64_t t = ++e->asked;
    e->underway.insert(t);
    CUresult submitted = submit(st,
                  node(CU_GRAPH_NODE_TYPE_EVENT_RECORD, "event",
                       [=] {
                           Lock k(S().m);
                           e->underway.erase(t);
                           if (t == e->asked) e->at = now_ms();
                           S().cv.notify_all();
                       }),
                  l);
    if (submitted != CUDA_SUCCESS) e->underway.erase(t);
    return submitted;
}
// External: inside a capture the record becomes a node of the graph instead of a dependency; refused outside of one.
API cuEventRecordWithFlags(CUevent h, CUstream st, unsigned flags) {
    if (!(flags & CU_EVENT_RECORD_EXTERNAL)) return cuEventRecord(h, st);
    ENTER(CTX);
    auto i = s.events.find(h);
    if (i == s.events.end()) return CUDA_ERROR_INVALID_HANDLE;
    auto p = is_null(st) ? nullptr : find(st);
    if (!p || !p->cap) return CUDA_ERROR_INVALID_VALUE;
    auto e = i->second;
    return submit(st,
                  node(CU_GRAPH_NODE_TYPE_EVENT_RECORD, "record",
                       [=] {
                           Lock k(S().m);
                           ++e->asked;
                           e->at = now_ms();
                           S().cv.notify_all();
                       }),
                  l);
}
API cuEventSynchronize(CUevent h) {
    ENTER(CTX);
    auto i = s.events.find(h);
    if (i == s.events.end()) return CUDA_ERROR_INVALID_HANDLE;
    auto e = i->second;
    if (e->cap) {
        if (s.captures.count(e->cap)) invalidate(e->cap);
        return CUDA_ERROR_CAPTURED_EVENT;
    }
    uint64_t t = e->asked;
    s.cv.wait(l, [&] { return e->done(t); });
    return after(l);
}
API cuEventQuery(CUevent h) {
    ENTER(CTX);
    auto i = s.events.find(h);
    if (i == s.events.end()) return CUDA_ERROR_INVALID_HANDLE;
    auto& e = i->second;
    if (e->cap) {
        if (s.captures.count(e->cap)) invalidate(e->cap);
        return CUDA_ERROR_CAPTURED_EVENT;
    }
    return e->done(e->asked) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}
API cuEventElapsedTime(float* ms, CUevent a, CUevent b) {
    ENTER(CTX);
    auto i = s.events.find(a), j = s.events.find(b);
    if (i == s.events.end() || j == s.events.end()) return CUDA_ERROR_INVALID_HANDLE;
    Event &x = *i->second, &y = *j->second;
    if (((x.flags | y.flags) & CU_EVENT_DISABLE_TIMING) || !x.asked || !y.asked) return CUDA_ERROR_INVALID_HANDLE;
    if (!x.done(x.asked) || !y.done(y.asked)) return CUDA_ERROR_NOT_READY;
    *ms = (float)(y.at - x.at);
    return CUDA_SUCCESS;
}
