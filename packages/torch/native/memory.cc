// Tensors in and out of typed arrays, their properties, and their release.
#include "state.h"

#include <ATen/CPUFunctions.h>
#include <algorithm>
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
  napi_is_typedarray(env, value, &is_typed);
  if (!is_typed) throw std::runtime_error("a typed array was expected");
  napi_typedarray_type type;
  size_t count;
  napi_get_typedarray_info(env, value, &type, &count, &out.data, nullptr, nullptr);
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
  return guarded(env, [&]() -> napi_value {
    const Bytes source = read_bytes(env, call.values[0]);
    const auto sizes = read_sizes(env, call.values[1], "the shape");
    const auto type = static_cast<at::ScalarType>(read_int32(env, call.values[2], "the dtype"));
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
    const c10::Device device(read_string(env, call.values[3]));
    return call.handle(device.is_cpu() ? tensor : tensor.to(device));
  });
}

// copyToTypedArray(handle, array): one copy, whatever the strides; the element types must be of one width.
napi_value copy_to_typed_array(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&]() -> napi_value {
    // A conjugate may be a flag on the memory of the original.
    const at::Tensor tensor = call.tensor(0).detach().resolve_conj().resolve_neg();
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
  napi_value out;
  napi_create_array_with_length(env, sizes.size(), &out);
  for (size_t i = 0; i < sizes.size(); ++i) {
    napi_value item;
    napi_create_int64(env, sizes[i], &item);
    napi_set_element(env, out, i, item);
  }
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
  return guarded(env, [&] {
    napi_value out;
    napi_create_int32(env, static_cast<int32_t>(call.tensor(0).scalar_type()), &out);
    return out;
  });
}

napi_value device(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&] { return make_string(env, call.tensor(0).device().str()); });
}

napi_value item(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&] {
    const at::Scalar value = call.tensor(0).item();
    napi_value out;
    if (value.isBoolean())
      napi_get_boolean(env, value.toBool(), &out);
    else if (value.isIntegral(false))
      napi_create_int64(env, value.toLong(), &out);
    else
      napi_create_double(env, value.toDouble(), &out);
    return out;
  });
}

// release(handles): an array of handles or one handle.
napi_value release(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&]() -> napi_value {
    int64_t told = 0;
    int32_t one;
    if (napi_get_value_int32(env, call.values[0], &one) == napi_ok) {
      told = call.state->tensors.release(one);
    } else {
      for (int32_t handle : read_handles(env, call.values[0], "the handles")) told += call.state->tensors.release(handle);
    }
    if (told) {
      int64_t total;
      napi_adjust_external_memory(env, -told, &total);
    }
    return nullptr;
  });
}

// tellSize(handle): tells V8 how many bytes wait behind a tensor that only its collector will release.
napi_value tell_size(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&]() -> napi_value {
    const at::Tensor& tensor = call.tensor(0);
    const int64_t bytes = tensor.is_meta() ? 0 : static_cast<int64_t>(tensor.nbytes());
    call.state->tensors.remember_told_bytes(read_int32(env, call.values[0], "the handle"), bytes);
    int64_t total;
    napi_adjust_external_memory(env, bytes, &total);
    return nullptr;
  });
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
  napi_value out;
  napi_create_int64(env, call.state->tensors.live(), &out);
  return out;
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
