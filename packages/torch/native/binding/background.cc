// Backward passes on another thread, so that JavaScript's own goes on: it answers requests, say, while a model trains.
#include "parallel.h"
#include "signals.h"
#include "state.h"

#include <torch/csrc/autograd/autograd.h>

namespace binding {
namespace {

struct Pass {
  State* state;
  napi_async_work work = nullptr;
  napi_deferred deferred = nullptr;
  std::vector<at::Tensor> outputs, gradients;
  bool retain_graph = false;
  int threads = 1;
  std::string failure;
};

void run(napi_env, void* data) {
  Pass& pass = *static_cast<Pass*>(data);
  try {
    keep_signals_away();
    kernels::set_threads(pass.threads);  // every thread of the system counts its own
    torch::autograd::backward(pass.outputs, pass.gradients, pass.retain_graph, false);
  } catch (const c10::Error& error) {
    pass.failure = plain(error.what_without_backtrace());
  } catch (const std::exception& error) {
    pass.failure = plain(error.what());
  } catch (...) {
    pass.failure = "an unknown C++ exception";
  }
  // What the graph held is released here, and not on JavaScript's thread.
  pass.outputs.clear();
  pass.gradients.clear();
}

// Where the environment is ending, nothing can be told any more: statuses are not looked at.
void finish(napi_env env, napi_status, void* data) {
  const std::unique_ptr<Pass> pass(static_cast<Pass*>(data));
  --pass->state->passes;
  napi_delete_async_work(env, pass->work);
  napi_value settled = nullptr;
  if (pass->failure.empty()) {
    napi_get_undefined(env, &settled);
    napi_resolve_deferred(env, pass->deferred, settled);
    return;
  }
  napi_value text = nullptr;
  napi_create_string_utf8(env, pass->failure.c_str(), pass->failure.size(), &text);
  napi_create_error(env, nullptr, text, &settled);
  napi_reject_deferred(env, pass->deferred, settled);
}

// backwardAsync(output, gradient | null, retainGraph) → a promise that is kept when the gradients are there.
napi_value backward_async(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&]() -> napi_value {
    auto pass = std::make_unique<Pass>();
    pass->state = call.state;
    pass->outputs.push_back(call.tensor(0));
    if (!is_missing(env, call.values[1])) pass->gradients.push_back(call.tensor(1));
    pass->retain_graph = read_bool(env, call.values[2], "retainGraph");
    pass->threads = at::get_num_threads();
    napi_value promise;
    check(napi_create_promise(env, &pass->deferred, &promise), env);
    check(napi_create_async_work(env, nullptr, make_string(env, "backward"), run, finish, pass.get(), &pass->work), env);
    check(napi_queue_async_work(env, pass->work), env);
    ++pass->state->passes;
    pass.release();  // finish() deletes it
    return promise;
  });
}

}  // namespace

void register_background(napi_env env, napi_value exports, State* state) {
  define(env, exports, "backwardAsync", backward_async, state);
}

}  // namespace binding
