// What one JavaScript environment (the main thread or a worker) owns on the native side.
#pragma once

#define NAPI_VERSION 8
#include <node_api.h>

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/version.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace binding {

// A tensor handle is one small integer: the slot in the low 20 bits, the slot's generation in the 11 above. It stays a
// V8 small integer, so that handing it over costs no allocation, and a stale handle is noticed.
class TensorTable {
 public:
  static constexpr int kSlotBits = 20;
  static constexpr int32_t kSlotMask = (1 << kSlotBits) - 1;

  int32_t add(at::Tensor tensor) {
    int32_t slot;
    if (free_.empty()) {
      slot = static_cast<int32_t>(slots_.size());
      if (slot > kSlotMask) throw std::runtime_error("more than 1048575 tensors are alive: release some with scope() or dispose()");
      slots_.emplace_back();
    } else {
      slot = free_.back();
      free_.pop_back();
    }
    slots_[slot].tensor = std::move(tensor);
    ++live_;
    return slot | (slots_[slot].generation << kSlotBits);
  }

  const at::Tensor& get(int32_t handle) const {
    const int32_t slot = handle & kSlotMask;
    if (handle < 0 || slot >= static_cast<int32_t>(slots_.size()) || slots_[slot].generation != (handle >> kSlotBits) ||
        !slots_[slot].tensor.defined())
      throw std::runtime_error("this tensor was released, or belongs to another thread");
    return slots_[slot].tensor;
  }

  // Releases the tensor and remembers its shape for the error that a later use deserves. Returns the bytes that V8 was
  // told of, so that the caller can take them back.
  int64_t release(int32_t handle) {
    const int32_t slot = handle & kSlotMask;
    if (handle < 0 || slot >= static_cast<int32_t>(slots_.size()) || slots_[slot].generation != (handle >> kSlotBits)) return 0;
    Slot& entry = slots_[slot];
    if (!entry.tensor.defined()) return 0;
    Grave& grave = graves_[next_grave_++ % graves_.size()];
    grave.handle = handle;
    grave.sizes.assign(entry.tensor.sizes().begin(), entry.tensor.sizes().end());
    const int64_t told = entry.told_bytes;
    entry.told_bytes = 0;
    entry.tensor = at::Tensor();
    entry.generation = (entry.generation + 1) & 0x7ff;
    free_.push_back(slot);
    --live_;
    return told;
  }

  void remember_told_bytes(int32_t handle, int64_t bytes) { slots_[handle & kSlotMask].told_bytes = bytes; }

  // The sizes of a recently released tensor, or null when too many were released since.
  const c10::SmallVector<int64_t, 5>* released_sizes(int32_t handle) const {
    for (const Grave& grave : graves_)
      if (grave.handle == handle) return &grave.sizes;
    return nullptr;
  }

  int64_t live() const { return live_; }

 private:
  struct Slot {
    at::Tensor tensor;
    int32_t generation = 0;
    int64_t told_bytes = 0;
  };
  struct Grave {
    int32_t handle = -1;
    c10::SmallVector<int64_t, 5> sizes;
  };
  std::vector<Slot> slots_;
  std::vector<int32_t> free_;
  std::array<Grave, 4096> graves_;
  size_t next_grave_ = 0;
  int64_t live_ = 0;
};

enum class Kind { Tensor, Int, Float, Bool, Scalar, String, ScalarType, Layout, MemoryFormat, Device, Generator, List, Unsupported };

// A type of the schema language, reduced to what the converter needs.
struct Type {
  Kind kind = Kind::Unsupported;
  bool optional = false;
  std::shared_ptr<Type> element;  // of a List
  std::string text;               // as the schema prints it
};

struct Argument {
  std::string name;
  Type type;
  bool has_default = false;
  bool keyword_only = false;
  int32_t fixed_length = -1;  // of `int[2]`; a single number stands for all
  int32_t written = -1;       // for returns: index of the argument that this return is
  c10::IValue default_value;
};

struct State;

struct Operator {
  State* state;
  c10::OperatorHandle handle;
  std::vector<Argument> arguments;
  std::vector<Argument> returns;
};

struct State {
  TensorTable tensors;
  std::vector<at::Generator> generators;
  std::vector<std::unique_ptr<Operator>> operators;
  std::vector<c10::IValue> stack;
};

// Conversion (values.cc).
Type describe_type(const c10::TypePtr& type);
std::unique_ptr<Operator> describe_operator(State* state, const c10::OperatorHandle& handle);
void push_argument(napi_env env, State& state, const Argument& argument, napi_value value, std::vector<c10::IValue>& stack);
napi_value from_ivalue(napi_env env, State& state, c10::IValue&& value);
napi_value make_string(napi_env env, const std::string& text);
std::string read_string(napi_env env, napi_value value);
int32_t read_int32(napi_env env, napi_value value, const char* what);
int64_t read_int64(napi_env env, napi_value value, const char* what);
double read_double(napi_env env, napi_value value, const char* what);
bool read_bool(napi_env env, napi_value value, const char* what);
bool is_missing(napi_env env, napi_value value);  // null or undefined
std::vector<int64_t> read_sizes(napi_env env, napi_value value, const char* what);
std::vector<int32_t> read_handles(napi_env env, napi_value value, const char* what);

// Runs `body` and turns every C++ exception into a JavaScript error without C++ frames.
template <typename Body>
napi_value guarded(napi_env env, Body&& body) {
  try {
    return body();
  } catch (const c10::Error& error) {
    napi_throw_error(env, "TORCH", error.what_without_backtrace());
  } catch (const std::exception& error) {
    napi_throw_error(env, "TORCH", error.what());
  } catch (...) {
    napi_throw_error(env, "TORCH", "an unknown C++ exception");
  }
  return nullptr;
}

struct Call {
  static constexpr size_t kMost = 8;
  napi_env env;
  State* state;
  size_t count = kMost;
  napi_value values[kMost];

  Call(napi_env environment, napi_callback_info info) : env(environment) {
    void* data = nullptr;
    napi_get_cb_info(env, info, &count, values, nullptr, &data);
    state = static_cast<State*>(data);
    for (size_t i = count; i < kMost; ++i) napi_get_undefined(env, &values[i]);
  }
  const at::Tensor& tensor(size_t i) const { return state->tensors.get(read_int32(env, values[i], "a tensor handle")); }
  napi_value handle(at::Tensor tensor) const {
    napi_value result;
    napi_create_int32(env, state->tensors.add(std::move(tensor)), &result);
    return result;
  }
};

void define(napi_env env, napi_value target, const char* name, napi_callback callback, void* data);

// Each file registers its own functions.
void register_calls(napi_env env, napi_value exports, State* state);
void register_memory(napi_env env, napi_value exports, State* state);
void register_autograd(napi_env env, napi_value exports, State* state);
void register_library(napi_env env, napi_value exports, State* state);

}  // namespace binding
