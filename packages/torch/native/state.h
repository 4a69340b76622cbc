// What one JavaScript environment (the main thread or a worker) owns on the native side.
#pragma once

#define NAPI_VERSION 8
#include <node_api.h>

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>
#include <torch/version.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

namespace binding {

// A tensor handle is one small integer: the slot in the low 20 bits, the slot's generation in the 11 above. It stays a
// V8 small integer, so that handing it over costs no allocation, and a stale handle is noticed.
class TensorTable {
 public:
  static constexpr int kSlotBits = 20;
  static constexpr int32_t kSlotMask = (1 << kSlotBits) - 1;
  static constexpr int32_t kGenerations = 1 << 11;
  // Free slots wait in a queue that is kept this long: a generation comes back to its slot after two million releases, not
  // after the 2,048 of a slot that is taken again at once.
  static constexpr int32_t kFreeSlots = 1024;

  int32_t add(at::Tensor tensor) {
    int32_t slot;
    if (free_count_ < kFreeSlots && slots_.size() <= static_cast<size_t>(kSlotMask)) {
      slot = static_cast<int32_t>(slots_.size());
      slots_.emplace_back();
    } else if (free_count_ > 0) {
      slot = first_free_;
      first_free_ = slots_[slot].next_free;
      --free_count_;
    } else {
      throw std::runtime_error("more than 1048575 tensors are alive: release some with scope() or dispose()");
    }
    slots_[slot].tensor = std::move(tensor);
    ++live_;
    const int32_t handle = slot | (slots_[slot].generation << kSlotBits);
    unclaimed_.push_back(handle);
    return handle;
  }

  const at::Tensor& get(int32_t handle) const {
    const Slot* slot = find(handle);
    if (slot == nullptr) throw std::runtime_error("this tensor was released, or belongs to another thread");
    return slot->tensor;
  }

  // Releases the tensor and remembers its shape for the error that a later use deserves. Returns the bytes that V8 was
  // told of, so that the caller can take them back.
  int64_t release(int32_t handle) {
    Slot* slot = find(handle);
    if (slot == nullptr) return 0;
    Grave& grave = graves_[next_grave_++ % graves_.size()];
    grave.handle = handle;
    grave.sizes.assign(slot->tensor.sizes().begin(), slot->tensor.sizes().end());
    const int64_t told = forget(*slot);
    slot->tensor = at::Tensor();
    slot->generation = (slot->generation + 1) % kGenerations;
    const int32_t index = handle & kSlotMask;
    (free_count_ == 0 ? first_free_ : slots_[last_free_].next_free) = index;
    last_free_ = index;
    ++free_count_;
    --live_;
    return told;
  }

  // Notes that V8 is told of the memory behind a handle. Returns the bytes to tell: those of the storage, once however many
  // views there are of it, and none where no memory can be named (sparse and opaque tensors, the device meta).
  int64_t tell(int32_t handle) {
    Slot* slot = find(handle);
    if (slot == nullptr || slot->told != nullptr || !slot->tensor.has_storage() || slot->tensor.is_meta()) return 0;
    const c10::Storage& storage = slot->tensor.storage();
    slot->told = storage.unsafeGetStorageImpl();
    Told& entry = told_[slot->told];
    if (entry.handles++ > 0) return 0;
    entry.storage = storage.getWeakStorageImpl();
    entry.bytes = static_cast<int64_t>(storage.nbytes());
    return entry.bytes;
  }

  // The sizes of a recently released tensor, or null when too many were released since.
  const c10::SmallVector<int64_t, 5>* released_sizes(int32_t handle) const {
    for (const Grave& grave : graves_)
      if (grave.handle == handle) return &grave.sizes;
    return nullptr;
  }

  int64_t live() const { return live_; }

  // Handles that are made while it lives are released by its end unless they are claimed: nobody hears of those that were made
  // before one that fails.
  class Claim {
   public:
    explicit Claim(TensorTable& table) : table_(table), start_(table.unclaimed_.size()) {}
    Claim(const Claim&) = delete;
    ~Claim() {
      for (size_t i = start_; i < table_.unclaimed_.size(); ++i) table_.release(table_.unclaimed_[i]);
      table_.unclaimed_.resize(start_);
    }
    void all() { table_.unclaimed_.resize(start_); }

   private:
    TensorTable& table_;
    const size_t start_;
  };

 private:
  struct Slot {
    at::Tensor tensor;
    int32_t generation = 0;
    int32_t next_free = -1;
    c10::StorageImpl* told = nullptr;
  };
  struct Grave {
    int32_t handle = -1;
    c10::SmallVector<int64_t, 5> sizes;
  };
  // The weak reference keeps the address from being given to another storage, e.g. after set_().
  struct Told {
    c10::weak_intrusive_ptr<c10::StorageImpl> storage{c10::intrusive_ptr<c10::StorageImpl>()};
    int64_t handles = 0;
    int64_t bytes = 0;
  };

  const Slot* find(int32_t handle) const {
    const int32_t slot = handle & kSlotMask;
    if (handle < 0 || slot >= static_cast<int32_t>(slots_.size()) || slots_[slot].generation != (handle >> kSlotBits) ||
        !slots_[slot].tensor.defined())
      return nullptr;
    return &slots_[slot];
  }
  Slot* find(int32_t handle) { return const_cast<Slot*>(static_cast<const TensorTable*>(this)->find(handle)); }

  int64_t forget(Slot& slot) {
    const auto entry = slot.told == nullptr ? told_.end() : told_.find(slot.told);
    slot.told = nullptr;
    if (entry == told_.end() || --entry->second.handles > 0) return 0;
    const int64_t bytes = entry->second.bytes;
    told_.erase(entry);
    return bytes;
  }

  std::vector<Slot> slots_;
  int32_t first_free_ = -1, last_free_ = -1, free_count_ = 0;
  std::vector<int32_t> unclaimed_;
  std::unordered_map<c10::StorageImpl*, Told> told_;
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
  int passes = 0;  // backward passes that are under way on other threads
};

// JavaScript has thrown already, or will not run any more (a worker that is being terminated).
struct Thrown : std::exception {};

// Throws where a call into JavaScript failed: what it was to fill in is not filled in.
void check(napi_status status, napi_env env);

// libtorch's message without C++ frames and without the list of all backends that do have a kernel.
std::string plain(std::string message);

// Conversion (values.cc).
Type describe_type(const c10::TypePtr& type);
std::unique_ptr<Operator> describe_operator(State* state, const c10::OperatorHandle& handle);
void push_argument(napi_env env, State& state, const Argument& argument, napi_value value, std::vector<c10::IValue>& stack);
napi_value from_ivalue(napi_env env, State& state, c10::IValue&& value);
napi_value make_string(napi_env env, const std::string& text);
napi_value make_int32(napi_env env, int32_t number);
napi_value make_int64(napi_env env, int64_t number);
napi_value make_double(napi_env env, double number);
napi_value make_bool(napi_env env, bool flag);
napi_value make_null(napi_env env);
napi_value make_object(napi_env env);
napi_value make_array(napi_env env, size_t length);
void set_element(napi_env env, napi_value array, size_t index, napi_value value);
void set_property(napi_env env, napi_value object, const char* name, napi_value value);
std::string read_string(napi_env env, napi_value value);
// False for what is no number. Not by napi_get_value_int32, for which Deno takes `undefined` and texts for 0: they would be the tensor 0.
bool get_handle(napi_env env, napi_value value, int32_t* out);
int32_t read_int32(napi_env env, napi_value value, const char* what);
int64_t read_int64(napi_env env, napi_value value, const char* what);
double read_double(napi_env env, napi_value value, const char* what);
bool read_bool(napi_env env, napi_value value, const char* what);
bool is_missing(napi_env env, napi_value value);  // null or undefined
napi_value read_element(napi_env env, napi_value array, uint32_t index);
std::vector<int64_t> read_sizes(napi_env env, napi_value value, const char* what);
std::vector<int32_t> read_handles(napi_env env, napi_value value, const char* what);

// Runs `body` and turns every C++ exception into a JavaScript error without C++ frames.
template <typename Body>
napi_value guarded(napi_env env, Body&& body) {
  try {
    return body();
  } catch (const Thrown&) {
  } catch (const c10::Error& error) {
    napi_throw_error(env, "TORCH", plain(error.what_without_backtrace()).c_str());
  } catch (const std::exception& error) {
    napi_throw_error(env, "TORCH", plain(error.what()).c_str());
  } catch (...) {
    napi_throw_error(env, "TORCH", "an unknown C++ exception");
  }
  return nullptr;
}

// The same for a body that makes handles: when it fails, they are released.
template <typename Body>
napi_value guarded(napi_env env, State& state, Body&& body) {
  return guarded(env, [&]() -> napi_value {
    TensorTable::Claim made(state.tensors);
    napi_value out = body();
    made.all();
    return out;
  });
}

struct Call {
  static constexpr size_t kMost = 8;
  napi_env env;
  State* state = nullptr;
  size_t count = kMost;
  napi_value values[kMost];

  Call(napi_env environment, napi_callback_info info) : env(environment) {
    void* data = nullptr;
    if (napi_get_cb_info(env, info, &count, values, nullptr, &data) != napi_ok)
      napi_fatal_error("@iqvae/torch", NAPI_AUTO_LENGTH, "a callback without its data", NAPI_AUTO_LENGTH);
    state = static_cast<State*>(data);  // missing values are filled in as undefined
  }
  const at::Tensor& tensor(size_t i) const { return state->tensors.get(read_int32(env, values[i], "a tensor handle")); }
  napi_value handle(at::Tensor tensor) const { return make_int32(env, state->tensors.add(std::move(tensor))); }
};

void define(napi_env env, napi_value target, const char* name, napi_callback callback, void* data);

// Each file registers its own functions.
void register_calls(napi_env env, napi_value exports, State* state);
void register_memory(napi_env env, napi_value exports, State* state);
void register_autograd(napi_env env, napi_value exports, State* state);
void register_background(napi_env env, napi_value exports, State* state);
void register_library(napi_env env, napi_value exports, State* state);

}  // namespace binding
