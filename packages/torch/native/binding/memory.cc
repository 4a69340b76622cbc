// Tensors in and out of typed arrays, their properties, and their release.
#include "state.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <algorithm>
#include <cmath>
#include <cstring>

namespace binding {
namespace {

struct Bytes {
  void* data = nullptr;
  size_t length = 0;
};

Bytes read_bytes(napi_env env, napi_value value) {
  Bytes out;
  bool is_typed = false;
  check(napi_is_typedarray(env, value, &is_typed), env);
  if (!is_typed) throw std::runtime_error("a typed array was expected");
  napi_typedarray_type type;
  size_t count;
  check(napi_get_typedarray_info(env, value, &type, &count, &out.data, nullptr, nullptr), env);
  static constexpr size_t kWidths[] = {1, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8};
  const size_t index = static_cast<size_t>(type);
  out.length = count * (index < 11 ? kWidths[index] : 2);  // what comes after BigUint64Array is Float16Array
  return out;
}

// The bytes that a dense tensor takes; a shape that nothing could hold is noticed before anything is allocated.
size_t bytes_of(const std::vector<int64_t>& sizes, at::ScalarType type) {
  size_t total = c10::elementSize(type);
  for (int64_t size : sizes) {
    if (size < 0) throw std::runtime_error("the shape has a negative size, " + std::to_string(size));
    if (__builtin_mul_overflow(total, static_cast<size_t>(size), &total)) throw std::runtime_error("the shape is too large for any machine");
  }
  return total;
}

// fromTypedArray(array, sizes, scalarType, device) → handle. One copy, straight into the tensor.
napi_value from_typed_array(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, *call.state, [&]() -> napi_value {
    const auto sizes = read_sizes(env, call.values[1], "the shape");
    const auto type = static_cast<at::ScalarType>(read_int32(env, call.values[2], "the dtype"));
    const c10::Device device(read_string(env, call.values[3]));
    // Last: an array that is read above may be one with getters, which could take the memory away.
    const Bytes source = read_bytes(env, call.values[0]);
    const size_t needed = bytes_of(sizes, type);
    if (needed != source.length)
      throw std::runtime_error("the array has " + std::to_string(source.length) + " bytes, but the shape and dtype need " + std::to_string(needed));
    at::Tensor tensor = at::empty(sizes, at::TensorOptions().dtype(type));
    if (type == at::kBool) {  // compiled code may do anything with a bool that is neither 0 nor 1
      const auto* bytes = static_cast<const uint8_t*>(source.data);
      std::transform(bytes, bytes + source.length, tensor.data_ptr<bool>(), [](uint8_t byte) { return byte != 0; });
    } else if (source.length) {
      std::memcpy(tensor.data_ptr(), source.data, source.length);
    }
    return call.handle(device.is_cpu() ? tensor : tensor.to(device));
  });
}

// copyToTypedArray(handle, array): one copy, whatever the strides; the element types must be of one width.
napi_value copy_to_typed_array(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&]() -> napi_value {
    const at::Tensor& source = call.tensor(0);
    if (source.layout() != at::kStrided)
      throw std::runtime_error(std::string("a tensor of the layout ") + c10::str(source.layout()) + " has no rows to read; make it dense first: x.to_dense()");
    // A conjugate may be a flag on the memory of the original.
    const at::Tensor tensor = source.detach().resolve_conj().resolve_neg();
    const Bytes target = read_bytes(env, call.values[1]);
    if (tensor.nbytes() != target.length)
      throw std::runtime_error("the array has " + std::to_string(target.length) + " bytes, but the tensor has " +
                               std::to_string(tensor.nbytes()));
    if (tensor.is_contiguous() && tensor.is_cpu()) {
      if (target.length) std::memcpy(target.data, tensor.data_ptr(), target.length);
    } else if (target.length) {
      at::Tensor view = at::from_blob(target.data, tensor.sizes(), tensor.options().device(at::kCPU));
      view.copy_(tensor);
    }
    return nullptr;
  });
}

napi_value sizes_of(napi_env env, c10::IntArrayRef sizes) {
  const napi_value out = make_array(env, sizes.size());
  for (size_t i = 0; i < sizes.size(); ++i) set_element(env, out, i, make_int64(env, sizes[i]));
  return out;
}

napi_value shape(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&] { return sizes_of(env, call.tensor(0).sizes()); });
}

napi_value strides(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&] { return sizes_of(env, call.tensor(0).strides()); });
}

napi_value scalar_type(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&] { return make_int32(env, static_cast<int32_t>(call.tensor(0).scalar_type())); });
}

napi_value device(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&] { return make_string(env, call.tensor(0).device().str()); });
}

napi_value item(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&] {
    const at::Scalar value = call.tensor(0).item();
    if (value.isBoolean()) return make_bool(env, value.toBool());
    if (!value.isIntegral(false)) return make_double(env, value.toDouble());
    constexpr int64_t kMost = int64_t{1} << 53;  // beyond, numbers of JavaScript skip integers
    const int64_t whole = value.toLong();
    if (whole > kMost || whole < -kMost)
      throw std::runtime_error("item() is " + std::to_string(whole) + ", which a number of JavaScript cannot hold; take it as a bigint: x.read(\"int64\")[0]");
    return make_int64(env, whole);
  });
}

// Returns the bytes as a number.
napi_value tell_collector(napi_env env, int64_t bytes) {
  int64_t total;
  if (bytes != 0) check(napi_adjust_external_memory(env, bytes, &total), env);
  return make_int64(env, bytes);
}

// release(handles) → the bytes that V8 is told less: an array of handles or one handle. What is none is passed by, since errors that
// are under way when a scope ends must not be hidden by another.
napi_value release(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&] {
    const auto release_one = [&](napi_value value) -> int64_t {
      double handle;
      const bool is_handle = napi_get_value_double(env, value, &handle) == napi_ok && handle >= 0 && handle <= INT32_MAX && handle == std::floor(handle);
      return is_handle ? call.state->tensors.release(static_cast<int32_t>(handle)) : 0;
    };
    int64_t told = 0;
    uint32_t length = 0;
    if (napi_get_array_length(env, call.values[0], &length) != napi_ok) return tell_collector(env, -release_one(call.values[0]));
    for (uint32_t i = 0; i < length; ++i) told += release_one(read_element(env, call.values[0], i));
    return tell_collector(env, -told);
  });
}

// tellSize(handle) → the bytes that V8 is told more: of what waits behind a tensor that only its collector will release.
napi_value tell_size(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&] { return tell_collector(env, call.state->tensors.tell(read_int32(env, call.values[0], "the handle"))); });
}

napi_value released_shape(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&]() -> napi_value {
    const auto* sizes = call.state->tensors.released_sizes(read_int32(env, call.values[0], "the handle"));
    return sizes ? sizes_of(env, *sizes) : nullptr;
  });
}

napi_value live_tensors(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&] { return make_int64(env, call.state->tensors.live()); });
}

}  // namespace

void register_memory(napi_env env, napi_value exports, State* state) {
  define(env, exports, "fromTypedArray", from_typed_array, state);
  define(env, exports, "copyToTypedArray", copy_to_typed_array, state);
  define(env, exports, "shape", shape, state);
  define(env, exports, "strides", strides, state);
  define(env, exports, "scalarType", scalar_type, state);
  define(env, exports, "device", device, state);
  define(env, exports, "item", item, state);
  define(env, exports, "release", release, state);
  define(env, exports, "tellSize", tell_size, state);
  define(env, exports, "releasedShape", released_shape, state);
  define(env, exports, "liveTensors", live_tensors, state);
}

}  // namespace binding
