// Entry of the addon: one state an environment, and settings of the process that libtorch users on a CPU want.
#include "state.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace binding {

void define(napi_env env, napi_value target, const char* name, napi_callback callback, void* data) {
  napi_value function;
  check(napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, data, &function), env);
  set_property(env, target, name, function);
}

namespace {

// glibc gives blocks over 128 KiB back to the kernel at once and faults them in anew at the next step, which more than
// doubles the time of a convolution step. Large blocks are kept instead.
void keep_large_blocks() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

napi_value init(napi_env env, napi_value exports) {
  keep_large_blocks();
  return guarded(env, [&] {
    auto owned = std::make_unique<State>();
    check(napi_set_instance_data(env, owned.get(), [](napi_env, void* data, void*) { delete static_cast<State*>(data); }, nullptr), env);
    State* state = owned.release();
    set_property(env, exports, "version", make_string(env, TORCH_VERSION));
    register_calls(env, exports, state);
    register_memory(env, exports, state);
    register_autograd(env, exports, state);
    register_library(env, exports, state);
    return exports;
  });
}

}  // namespace
}  // namespace binding

NAPI_MODULE_INIT() { return binding::init(env, exports); }
