// An addon of its own, without libtorch: opens libraries by their paths. What is opened so is found by its name afterward, so that an addon
// that was built on another machine takes the libtorch of this one.
#include <dlfcn.h>
#include <node_api.h>

#include <string>

static napi_value open_library(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value path;
  size_t length = 0;
  if (napi_get_cb_info(env, info, &count, &path, nullptr, nullptr) != napi_ok || count < 1 ||
      napi_get_value_string_utf8(env, path, nullptr, 0, &length) != napi_ok) {
    napi_throw_type_error(env, nullptr, "open(path): the path must be a text");
    return nullptr;
  }
  std::string text(length, '\0');
  napi_get_value_string_utf8(env, path, &text[0], length + 1, &length);
  if (dlopen(text.c_str(), RTLD_LAZY) == nullptr) napi_throw_error(env, nullptr, dlerror());
  return nullptr;
}

NAPI_MODULE_INIT() {
  napi_value function;
  if (napi_create_function(env, "open", NAPI_AUTO_LENGTH, open_library, nullptr, &function) == napi_ok)
    napi_set_named_property(env, exports, "open", function);
  return exports;
}
