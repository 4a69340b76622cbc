// Libraries with operators of others: what they register when they are loaded is found by the dispatcher like libtorch's own.
#include "state.h"

#include <dlfcn.h>

namespace binding {
namespace {

// loadLibrary(path): loads a shared library for the life of the process. A second time nothing happens.
napi_value load_library(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&]() -> napi_value {
    const std::string path = read_string(env, call.values[0]);
    if (dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr) {
      const char* reason = dlerror();
      throw std::runtime_error(reason == nullptr ? path + " cannot be loaded" : reason);
    }
    return nullptr;
  });
}

}  // namespace

void register_library(napi_env env, napi_value exports, State* state) { define(env, exports, "loadLibrary", load_library, state); }

}  // namespace binding
