// Stream capture and graphs.
#include "double.h"
#include <cstring>
API cuStreamBeginCapture(CUstream h, CUstreamCaptureMode mode) {
    ENTER(CTX);
    if (is_null(h)) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    auto st = find(h);
    if (!st) return CUDA_ERROR_INVALID_HANDLE;
    if (st->cap) return CUDA_ERROR_ILLEGAL_STATE;
    auto* c = new Capture{new Graph, st.get(), mode, std::this_thread::get_id(), false, ++s.capid};
    s.captures.insert(c);
    st->cap = c;
    st->front.clear();
    return CUDA_SUCCESS;
}
API cuStreamEndCapture(CUstream h, CUgraph* o) {
    ENTER(CTX);
    auto st = is_null(h) ? nullptr : find(h);
    if (!st || !st->cap) return CUDA_ERROR_ILLEGAL_STATE;
    Capture* c = st->cap;
    if (c->origin != st.get()) return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
    *o = nullptr;
    std::set<Node*> seen;
    std::vector<Node*> todo(st->front.begin(), st->front.end());
    while (!todo.empty()) {
        Node* n = todo.back();
        todo.pop_back();
        if (seen.insert(n).second) todo.insert(todo.end(), n->deps.begin(), n->deps.end());
    }
    CUresult r = c->invalid ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED
                 : c->thread != std::this_thread::get_id() && c->mode != CU_STREAM_CAPTURE_MODE_RELAXED
                     ? CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD
                 : seen.size() != c->graph->nodes.size() ? CUDA_ERROR_STREAM_CAPTURE_UNJOINED
                                                         : CUDA_SUCCESS;
    for (auto& p : s.streams)
        if (p.second->cap == c) {
            p.second->cap = nullptr;
            p.second->front.clear();
        }
    if (r)
        delete c->graph;
    else {
        s.graphs.insert(c->graph);
        *o = (CUgraph)c->graph;
    }
    s.captures.erase(c);
    return r;
}  // (c itself is kept: an event may still name it)
API cuStreamIsCapturing(CUstream h, CUstreamCaptureStatus* o) {
    ENTER(CTX);
    auto st = is_null(h) ? nullptr : find(h);
    *o = !st || !st->cap    ? CU_STREAM_CAPTURE_STATUS_NONE
         : st->cap->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                            : CU_STREAM_CAPTURE_STATUS_ACTIVE;
    return CUDA_SUCCESS;
}
API cuStreamGetCaptureInfo(CUstream h, CUstreamCaptureStatus* o, cuuint64_t* id, CUgraph* g, const CUgraphNode** d,
                           const CUgraphEdgeData** ed, size_t* n) {
    ENTER(CTX);
    auto st = is_null(h) ? nullptr : find(h);
    Capture* c = st ? st->cap : nullptr;
    *o = !c ? CU_STREAM_CAPTURE_STATUS_NONE : c->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED : CU_STREAM_CAPTURE_STATUS_ACTIVE;
    if (id && c) *id = c->id;
    if (g && c) *g = (CUgraph)c->graph;
    if (d) *d = nullptr;
    if (ed) *ed = nullptr;
    if (n) *n = 0;
    return CUDA_SUCCESS;
}
API cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode* m) {
    ENTER(INIT);
    std::swap(*m, thread_mode);
    return CUDA_SUCCESS;
}
API cuGraphInstantiate(CUgraphExec* o, CUgraph h, unsigned long long) {
    ENTER(CTX);
    auto* g = (Graph*)h;
    if (!s.graphs.count(g)) return CUDA_ERROR_INVALID_VALUE;
    auto* x = new GraphExec;
    for (auto& n : g->nodes) {
        auto c = std::make_shared<Node>(*n);
        if (c->launch) c->launch = std::make_shared<Launch>(*c->launch);
        x->nodes.push_back(c);
        x->of[n.get()] = c;
    }
    s.execs.insert(x);
    *o = (CUgraphExec)x;
    return CUDA_SUCCESS;
}
API cuGraphInstantiateWithParams(CUgraphExec* o, CUgraph h, CUDA_GRAPH_INSTANTIATE_PARAMS* p) {
    p->result_out = CUDA_GRAPH_INSTANTIATE_SUCCESS;
    return cuGraphInstantiate(o, h, p->flags);
}
API cuGraphUpload(CUgraphExec h, CUstream) {
    ENTER(CTX);
    return s.execs.count((GraphExec*)h) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
API cuGraphLaunch(CUgraphExec h, CUstream st) {
    ENTER(CTX);
    auto* x = (GraphExec*)h;
    if (!s.execs.count(x)) return CUDA_ERROR_INVALID_VALUE;
    std::vector<Node> run;
    for (auto& n : x->nodes) {
        run.push_back(*n);
        if (n->launch) run.back().launch = std::make_shared<Launch>(*n->launch);
    }  // a snapshot: later parameter updates do not reach it
    auto v = std::make_shared<std::vector<Node>>(std::move(run));
    return submit(st,
                  node(CU_GRAPH_NODE_TYPE_GRAPH, "graph",
                       [=] {
                           for (auto& n : *v) run_node(n);
                       }),
                  l);
}
API cuGraphExecKernelNodeSetParams(CUgraphExec h, CUgraphNode n, const CUDA_KERNEL_NODE_PARAMS* p) {
    ENTER(CTX);
    auto* x = (GraphExec*)h;
    if (!s.execs.count(x) || !x->of.count((Node*)n)) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Launch> L;
    if (CUresult r = make_launch(p->func, p->gridDimX, p->gridDimY, p->gridDimZ, p->blockDimX, p->blockDimY, p->blockDimZ,
                                 p->sharedMemBytes, p->kernelParams, p->extra, L))
        return r;
    auto& changed = *x->of[(Node*)n];
    *changed.launch = *L;
    changed.site = "kernel/" + string(L->k->name);
    return CUDA_SUCCESS;
}
API cuGraphExecDestroy(CUgraphExec h) {
    ENTER(CTX);
    if (!s.execs.erase((GraphExec*)h)) return CUDA_ERROR_INVALID_VALUE;
    delete (GraphExec*)h;
    return CUDA_SUCCESS;
}
API cuGraphDestroy(CUgraph h) {
    ENTER(CTX);
    if (!s.graphs.erase((Graph*)h)) return CUDA_ERROR_INVALID_VALUE;
    delete (Graph*)h;
    return CUDA_SUCCESS;
}
API cuGraphGetNodes(CUgraph h, CUgraphNode* o, size_t* n) {
    ENTER(CTX);
    auto* g = (Graph*)h;
    if (!s.graphs.count(g)) return CUDA_ERROR_INVALID_VALUE;
    if (o)
        for (size_t i = 0; i < *n && i < g->nodes.size(); i++) o[i] = (CUgraphNode)g->nodes[i].get();
    else
        *n = g->nodes.size();
    return CUDA_SUCCESS;
}
API cuGraphGetRootNodes(CUgraph h, CUgraphNode* o, size_t* n) {
    ENTER(CTX);
    auto* g = (Graph*)h;
    if (!s.graphs.count(g)) return CUDA_ERROR_INVALID_VALUE;
    size_t found = 0;
    for (auto& x : g->nodes) {
        if (!x->deps.empty()) continue;
        if (o && found < *n) o[found] = (CUgraphNode)x.get();
        found++;
    }
    if (!o) *n = found;
    return CUDA_SUCCESS;
}
API cuGraphKernelNodeGetParams(CUgraphNode h, CUDA_KERNEL_NODE_PARAMS* p) {
    ENTER(CTX);
    auto* n = (Node*)h;
    if (!n->launch) return CUDA_ERROR_INVALID_VALUE;
    auto& L = *n->launch;
    *p = {};
    p->func = L.f;
    p->gridDimX = L.g[0], p->gridDimY = L.g[1], p->gridDimZ = L.g[2];
    p->blockDimX = L.b[0], p->blockDimY = L.b[1], p->blockDimZ = L.b[2];
    // The graph's own copies, in the form that the launch had: pycuda gives `extra`. As in the driver, whoever sets the other
    // form must clear this one.
    if (L.buffer.empty()) {
        for (unsigned i = 0; i < L.k->nparams; i++) L.pointers[i] = &L.params[L.k->offset[i]];
        p->kernelParams = L.pointers.data();
        return CUDA_SUCCESS;
    }
    L.buffer_bytes = L.params.size();
    L.buffer = {CU_LAUNCH_PARAM_BUFFER_POINTER, L.params.data(), CU_LAUNCH_PARAM_BUFFER_SIZE, &L.buffer_bytes, CU_LAUNCH_PARAM_END};
    p->extra = L.buffer.data();
    return CUDA_SUCCESS;
}
API cuGraphNodeGetType(CUgraphNode n, CUgraphNodeType* t) {
    ENTER(CTX);
    *t = ((Node*)n)->type;
    return CUDA_SUCCESS;
}
