// Entry of the addon: one state an environment; what the addon was built with; settings of the process.
#include "signals.h"
#include "simd.h"
#include "state.h"

#include <c10/util/Logging.h>

#include <functional>
#include <string>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace binding {

void define(napi_env env, napi_value target, const char* name, napi_callback callback, void* data) {
  napi_value function;
  check(napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, data, &function), env);
  set_property(env, target, name, function);
}

void register_distributed(napi_env env, napi_value exports, State* state);
void register_buckets(napi_env env, napi_value exports, State* state);

namespace {

// keepLargeBlocks() → the size in bytes up to which malloc keeps blocks, or 0 where it is not glibc's.
//
// glibc gives blocks over 128 KiB back to the kernel at once and faults them in anew at the next step, which more than
// doubles the time of a convolution step. Before 2.35 it refuses a threshold above 32 MiB, and goes by sizes that it has seen
// until it is told one: so that is told then. The others would switch that off by themselves and leave 128 KiB.
napi_value keep_large_blocks(napi_env env, napi_callback_info) {
  int64_t kept = 0;
#ifdef __GLIBC__
  for (const int size : {1 << 30, 32 << 20}) {
    if (mallopt(M_MMAP_THRESHOLD, size) == 0) continue;
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    mallopt(M_TOP_PAD, 64 << 20);
    kept = size;
    break;
  }
#endif
  napi_value out;
  napi_create_int64(env, kept, &out);
  return out;
}

// libtorch puts the stack of C++ into each of its errors, which takes milliseconds to name all frames; none is ever shown (`guarded`).
void leave_out_stacks() {
  static const bool done = [] {
    c10::SetStackTraceFetcher(std::function<std::string()>([] { return std::string(); }));
    return true;
  }();
  (void)done;
}

napi_value init(napi_env env, napi_value exports) {
  return guarded(env, [&] {
    keep_signals_away();
    leave_out_stacks();
    auto owned = std::make_unique<State>();
    check(napi_set_instance_data(env, owned.get(), [](napi_env, void* data, void*) { delete static_cast<State*>(data); }, nullptr), env);
    State* state = owned.release();
    set_property(env, exports, "version", make_string(env, TORCH_VERSION));
    set_property(env, exports, "compiler", make_string(env, kernels::compiler()));
    set_property(env, exports, "instructionSet", make_string(env, kernels::name_of(kernels::instruction_set())));
    define(env, exports, "keepLargeBlocks", keep_large_blocks, state);
    register_calls(env, exports, state);
    register_memory(env, exports, state);
    register_autograd(env, exports, state);
    register_background(env, exports, state);
    register_library(env, exports, state);
    register_distributed(env, exports, state);
    register_buckets(env, exports, state);
    return exports;
  });
}

}  // namespace
}  // namespace binding

NAPI_MODULE_INIT() { return binding::init(env, exports); }
