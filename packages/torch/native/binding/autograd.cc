// What is no operator: backward, gradient mode, autocast, generators, threads, devices.
#include "parallel.h"
#include "state.h"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <mutex>

namespace binding {
namespace {

std::vector<at::Tensor> tensors_of(Call& call, size_t index, const char* what) {
  std::vector<at::Tensor> out;
  if (is_missing(call.env, call.values[index])) return out;
  for (int32_t handle : read_handles(call.env, call.values[index], what)) out.push_back(call.state->tensors.get(handle));
  return out;
}

// backward(outputs, outputGradients | null, retainGraph): accumulates into the leaves.
napi_value backward(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&]() -> napi_value {
    torch::autograd::backward(tensors_of(call, 0, "the outputs"), tensors_of(call, 1, "the output gradients"),
                              read_bool(env, call.values[2], "retainGraph"), false);
    return nullptr;
  });
}

// grad(outputs, inputs, outputGradients | null, retainGraph, createGraph) → handles, null where unused.
napi_value grad(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, *call.state, [&]() -> napi_value {
    auto gradients = torch::autograd::grad(tensors_of(call, 0, "the outputs"), tensors_of(call, 1, "the inputs"),
                                           tensors_of(call, 2, "the output gradients"), read_bool(env, call.values[3], "retainGraph"),
                                           read_bool(env, call.values[4], "createGraph"), true);
    const napi_value out = make_array(env, gradients.size());
    for (size_t i = 0; i < gradients.size(); ++i)
      set_element(env, out, i, gradients[i].defined() ? call.handle(std::move(gradients[i])) : make_null(env));
    return out;
  });
}

// Gradients that another thread adds to are neither whole nor safe to touch.
void check_no_pass(const Call& call) {
  TORCH_CHECK(call.state->passes == 0, "a backward pass is under way; await backwardAsync() before gradients are read or changed");
}

napi_value get_grad(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, *call.state, [&]() -> napi_value {
    check_no_pass(call);
    const at::Tensor& gradient = call.tensor(0).grad();
    return gradient.defined() ? call.handle(gradient) : nullptr;
  });
}

// setGrad(handle, gradient | null): what PyTorch refuses is refused. A backward pass would add to it without looking.
napi_value set_grad(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&]() -> napi_value {
    check_no_pass(call);
    const at::Tensor& owner = call.tensor(0);
    if (is_missing(env, call.values[1])) {
      owner.mutable_grad() = at::Tensor();
      return nullptr;
    }
    const at::Tensor gradient = call.tensor(1);
    TORCH_CHECK(!gradient.is_same(owner), "a tensor cannot be its own gradient");
    TORCH_CHECK(gradient.sizes() == owner.sizes() && gradient.scalar_type() == owner.scalar_type() && gradient.device() == owner.device(),
                "the gradient of ", owner.scalar_type(), " ", owner.sizes(), " on ", owner.device(), " must have its shape, dtype and device, but is ",
                gradient.scalar_type(), " ", gradient.sizes(), " on ", gradient.device());
    owner.mutable_grad() = gradient;
    return nullptr;
  });
}

napi_value requires_grad(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&] { return make_bool(env, call.tensor(0).requires_grad()); });
}

napi_value set_requires_grad(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&]() -> napi_value {
    call.tensor(0).requires_grad_(read_bool(env, call.values[1], "requiresGrad"));
    return nullptr;
  });
}

// setGradMode(enabled) → what it was
napi_value set_grad_mode(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&] {
    const bool before = c10::GradMode::is_enabled();
    c10::GradMode::set_enabled(read_bool(env, call.values[0], "enabled"));
    return make_bool(env, before);
  });
}

thread_local std::vector<std::unique_ptr<c10::InferenceMode>> inference_guards;

napi_value push_inference_mode(napi_env env, napi_callback_info) {
  return guarded(env, [&]() -> napi_value {
    inference_guards.push_back(std::make_unique<c10::InferenceMode>(true));
    return nullptr;
  });
}

napi_value pop_inference_mode(napi_env env, napi_callback_info) {
  return guarded(env, [&]() -> napi_value {
    if (inference_guards.empty()) throw std::runtime_error("there is no inference mode to leave");
    inference_guards.pop_back();
    return nullptr;
  });
}

// setAutocast(enabled, deviceType, scalarType) → [whether it was enabled, its scalar type before]. The cache of cast weights
// lives until cleared.
napi_value set_autocast(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&] {
    const bool enabled = read_bool(env, call.values[0], "enabled");
    const c10::Device device(read_string(env, call.values[1]));
    const auto type = static_cast<at::ScalarType>(read_int32(env, call.values[2], "the dtype"));
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
    const bool before = at::autocast::is_autocast_enabled(device.type());
    const at::ScalarType type_before = at::autocast::get_autocast_dtype(device.type());
    at::autocast::set_autocast_dtype(device.type(), type);  // may refuse the dtype: first, so that nothing is half set
    at::autocast::set_autocast_enabled(device.type(), enabled);
#else
    bool before;
    at::ScalarType type_before;
    if (device.is_cpu()) {
      type_before = at::autocast::get_autocast_cpu_dtype();
      before = at::autocast::is_cpu_enabled();
      at::autocast::set_autocast_cpu_dtype(type);  // may refuse the dtype: first, so that nothing is half set
      at::autocast::set_cpu_enabled(enabled);
    } else {
      type_before = at::autocast::get_autocast_gpu_dtype();
      before = at::autocast::is_enabled();
      at::autocast::set_enabled(enabled);
      at::autocast::set_autocast_gpu_dtype(type);
    }
#endif
    const napi_value out = make_array(env, 2);
    set_element(env, out, 0, make_bool(env, before));
    set_element(env, out, 1, make_int32(env, static_cast<int32_t>(type_before)));
    return out;
  });
}

napi_value clear_autocast_cache(napi_env env, napi_callback_info) {
  return guarded(env, [&]() -> napi_value {
    at::autocast::clear_cache();
    return nullptr;
  });
}

at::Generator default_generator(const c10::Device& device) { return at::globalContext().defaultGenerator(device); }

// The default generators belong to the process: workers, and operators that draw, may use them at the same time.
template <typename Use>
auto alone(at::Generator generator, const Use& use) {
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return use(generator);
}

// createGenerator(device, seed) → index
napi_value create_generator(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&] {
    const c10::Device device(read_string(env, call.values[0]));
    at::Generator generator = alone(default_generator(device), [](at::Generator& source) { return source.clone(); });
    generator.set_current_seed(static_cast<uint64_t>(read_int64(env, call.values[1], "the seed")));
    size_t index = 0;  // a slot that was given back is used again
    while (index < call.state->generators.size() && call.state->generators[index].defined()) ++index;
    if (index == call.state->generators.size()) call.state->generators.emplace_back();
    call.state->generators[index] = generator;
    return make_int32(env, static_cast<int32_t>(index));
  });
}

napi_value release_generator(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&]() -> napi_value {
    call.state->generators.at(static_cast<size_t>(read_int32(env, call.values[0], "the generator"))) = at::Generator();
    return nullptr;
  });
}

// A generator by index, or the default one of a device by name.
at::Generator named_generator(Call& call) {
  int32_t index;
  if (get_handle(call.env, call.values[0], &index)) return call.state->generators.at(static_cast<size_t>(index));
  return default_generator(c10::Device(read_string(call.env, call.values[0])));
}

napi_value generator_state(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, *call.state,
                 [&] { return call.handle(alone(named_generator(call), [](at::Generator& generator) { return generator.get_state(); })); });
}

napi_value set_generator_state(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&]() -> napi_value {
    alone(named_generator(call), [&](at::Generator& generator) { generator.set_state(call.tensor(1)); });
    return nullptr;
  });
}

napi_value seed_generator(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&]() -> napi_value {
    const auto seed = static_cast<uint64_t>(read_int64(env, call.values[1], "the seed"));
    alone(named_generator(call), [&](at::Generator& generator) { generator.set_current_seed(seed); });
    return nullptr;
  });
}

napi_value set_threads(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&]() -> napi_value {
    kernels::set_threads(read_int32(env, call.values[0], "the thread count"));
    return nullptr;
  });
}

napi_value threads(napi_env env, napi_callback_info) {
  return guarded(env, [&] { return make_int32(env, at::get_num_threads()); });
}

napi_value cuda_devices(napi_env env, napi_callback_info) {
  return guarded(env, [&] {
    return make_int64(env, at::hasCUDA() ? static_cast<int64_t>(at::detail::getCUDAHooks().getNumGPUs()) : 0);
  });
}

}  // namespace

void register_autograd(napi_env env, napi_value exports, State* state) {
  define(env, exports, "backward", backward, state);
  define(env, exports, "grad", grad, state);
  define(env, exports, "getGrad", get_grad, state);
  define(env, exports, "setGrad", set_grad, state);
  define(env, exports, "requiresGrad", requires_grad, state);
  define(env, exports, "setRequiresGrad", set_requires_grad, state);
  define(env, exports, "setGradMode", set_grad_mode, state);
  define(env, exports, "pushInferenceMode", push_inference_mode, state);
  define(env, exports, "popInferenceMode", pop_inference_mode, state);
  define(env, exports, "setAutocast", set_autocast, state);
  define(env, exports, "clearAutocastCache", clear_autocast_cache, state);
  define(env, exports, "createGenerator", create_generator, state);
  define(env, exports, "releaseGenerator", release_generator, state);
  define(env, exports, "generatorState", generator_state, state);
  define(env, exports, "setGeneratorState", set_generator_state, state);
  define(env, exports, "seedGenerator", seed_generator, state);
  define(env, exports, "setThreads", set_threads, state);
  define(env, exports, "threads", threads, state);
  define(env, exports, "cudaDevices", cuda_devices, state);
}

}  // namespace binding
