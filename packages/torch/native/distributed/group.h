// The group of processes that this one is in, for what sends messages to it.
#pragma once

#include <ATen/core/Tensor.h>

#ifdef HAS_C10D
#define USE_C10D_GLOO
#ifdef HAS_NCCL
#define USE_C10D_NCCL
#endif

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#ifdef HAS_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <torch/version.h>

#include <memory>
#include <string>
#include <vector>
#endif

namespace distributed {

// @throws that this libtorch has no c10d
[[noreturn]] void absent();

#ifdef HAS_C10D

#if TORCH_VERSION_MAJOR >= 2
using Backend = c10d::Backend;
#else
using Backend = c10d::ProcessGroup;
#endif
using Work = c10::intrusive_ptr<c10d::Work>;

class Shared;

struct Group {
  int64_t rank = 0, size = 1;
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<Backend> gloo, nccl;  // Gloo is for tensors on the CPU, and for all where there is no NCCL
  std::shared_ptr<Shared> shared;          // for sums on the CPU, where all ranks are on this machine
};

// Of the process: threads of Node.js share it. Never destroyed by the C++ runtime, which would end libtorch's threads in any order.
Group*& current();

// @throws where the process is in none; `op` is what needs it
Group& group(const char* op);

Backend& backend_of(Group& group, const at::Tensor& tensor);

// Waits for all. @throws what the first of those that failed has thrown
void finish(std::vector<Work>& works);

// As stores keep it.
inline std::vector<uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }
inline std::string text_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

// A number for a list of numbers. As `value`, from 1 to 8191: a thousand times that is still a whole number in float32.
class Signature {
 public:
  void mix(int64_t value) { hash_ = (hash_ ^ static_cast<uint64_t>(value)) * 1099511628211u; }
  void mix(const at::Tensor& tensor) {
    for (const auto& values : {tensor.sizes(), tensor.strides()})
      for (const int64_t value : values) mix(value);
  }
  double value() const { return static_cast<double>(hash_ % 8191 + 1); }
  uint64_t hash() const { return hash_; }

 private:
  uint64_t hash_ = 14695981039346656037u;
};

// @throws that other ranks have come with other tensors
[[noreturn]] void are_unlike(const char* op);

// @throws where the sum of all ranks' signatures is not `own` of each. Not looked at on a GPU, which it would stop.
void check_signature(const char* op, const at::Tensor& sum, double own);

#endif

}  // namespace distributed
