// The state of the CUDA test double and what its files share. TESTS ONLY; never install it beside a real driver.
// The settings are described in README.md.
#pragma once
#include <cuda.h>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>
extern "C" struct CudaDoubleKernel {
    const char* name;
    unsigned nparams, bytes;
    const unsigned *offset, *size;
    void (*run)(const unsigned[3], const unsigned[3], const void*);
};
using std::string;
using Lock = std::unique_lock<std::mutex>;
namespace cuda_double {
struct Ctx {
    int retained = 0;
    bool primary = true;
    CUresult sticky = CUDA_SUCCESS;
};
struct Launch {
    const CudaDoubleKernel* k = nullptr;
    unsigned g[3], b[3];
    std::vector<char> params;
    CUfunction f = nullptr;
    std::vector<void*> pointers;
    size_t buffer_bytes = 0;    // of one buffer with all parameters
    std::vector<void*> buffer;  // the launch's `extra`, where it came so
};
struct Node {
    CUgraphNodeType type;
    string site;
    std::function<void()> fn;
    std::shared_ptr<Launch> launch;
    std::set<Node*> deps;
};
using NodeP = std::shared_ptr<Node>;
struct Graph {
    std::vector<NodeP> nodes;
};
struct GraphExec {
    std::vector<NodeP> nodes;
    std::map<Node*, NodeP> of;
};
struct Stream;
struct Capture {
    Graph* graph;
    Stream* origin;
    CUstreamCaptureMode mode;
    std::thread::id thread;
    bool invalid = false;
    unsigned long long id;
};
struct Stream;
using Ticket = std::pair<std::shared_ptr<Stream>, uint64_t>;  // "everything that stream had been given by then"
struct Item {
    NodeP n;
    std::vector<Ticket> wait;
};
struct Stream {
    std::deque<Item> q;
    uint64_t given = 0, done = 0;
    bool stop = false;
    unsigned flags = 0;
    int prio = 0;
    Capture* cap = nullptr;
    std::set<Node*> front;
};
struct Event {
    unsigned flags = 0;
    uint64_t asked = 0;           // records so far: each is waited for by its own number,
    std::set<uint64_t> underway;  // for records of one event on two streams may be done in any order
    double at = -1;
    bool done(uint64_t record) const { return !underway.count(record); }
    Capture* cap = nullptr;
    std::set<Node*> front;
};
struct Module;
struct Func {
    const CudaDoubleKernel* k;
    Module* m;
    int maxdyn = 0;
};
struct Module {
    std::map<string, unsigned> in_image;
    bool names_known = false;
    std::map<string, std::unique_ptr<Func>> funcs;
};
struct Alloc {
    char* map;
    size_t maplen, size;
};
struct Fault {
    string site;
    long n;
    bool onward;
    int code;
    int sleep_ms;
};
struct State {
    std::mutex m;
    std::condition_variable cv;
    std::mutex kernels;  // kernels: one kernel at a time ("one SM": static __shared__)
    bool init = false;
    Ctx primary;
    std::set<Ctx*> others;
    std::map<CUstream, std::shared_ptr<Stream>> streams;
    std::map<CUevent, std::shared_ptr<Event>> events;
    std::set<Module*> modules;
    std::set<Graph*> graphs;
    std::set<GraphExec*> execs;
    std::set<Capture*> captures;
    std::shared_ptr<Stream> legacy;
    std::vector<std::shared_ptr<Stream>> leaving;  // the NULL stream; destroyed streams still at work
    std::map<uintptr_t, Alloc> dev;
    std::map<uintptr_t, size_t> pinned, registered;
    size_t used = 0;
    unsigned long long capid = 0;
    std::map<string, long> count;
    std::vector<Fault> faults;
    std::map<string, long> fault_count;
    FILE* trace = nullptr;
    size_t total;
    int cc, ndev, delay;
    long seed;
    uint64_t rng;
    bool lock;
    int touching = 0;
    bool sync;
    bool integrated;
};
// state.cpp
State& S();
void set_faults(State& s, const string& spec);
double now_ms();
extern thread_local std::vector<Ctx*> ctx_stack;
extern thread_local CUstreamCaptureMode thread_mode;
CUresult fault(const string& site, Lock& l);
enum Need { NONE, INIT, CTX };
CUresult enter(const char* fn, Need need, Lock& l);
// running.cpp: operations, streams' workers, what a capture forbids
void poison_ctx(CUresult r);
void protect(const Alloc& a, int prot);
void run_node(const Node& n);
void worker(std::shared_ptr<Stream> st);
bool idle(const Stream& st);
void drain(const std::shared_ptr<Stream>& st, Lock& l);
std::vector<std::shared_ptr<Stream>> all_streams(bool blocking_only);
void drain_all(Lock& l, bool blocking_only = false);
void when_idle(std::function<void()> free_it);
bool is_null(CUstream h);
std::shared_ptr<Stream> find(CUstream h);
void invalidate(Capture* c);
CUresult unsafe_in_capture();
CUresult after(Lock& l);
CUresult submit(CUstream h, NodeP n, Lock& l);
CUresult submit_and_wait(NodeP n, Lock& l);
NodeP node(CUgraphNodeType t, const char* site, std::function<void()> fn);
NodeP kernel_node(std::shared_ptr<Launch> L);
// images.cpp: module images and the kernels' host builds
CUresult make_launch(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shmem, void** kp,
                     void** extra, std::shared_ptr<Launch>& out);
bool bad_dev(CUdevice d);
}  // namespace cuda_double
using namespace cuda_double;
#define API extern "C" __attribute__((visibility("default"))) CUresult
#define ENTER(need) \
    Lock l(S().m);  \
    State& s = S(); \
    (void)s;        \
    if (CUresult e_ = enter(__func__, need, l)) return e_
#define NO_CAPTURE \
    if (CUresult e_ = unsafe_in_capture()) return e_
