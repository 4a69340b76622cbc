// Gradients of many tensors as few messages, which travel while the backward pass computes those that are left.
#include "distributed/group.h"
#include "distributed/shared.h"
#include "state.h"

#ifdef HAS_C10D
#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>
#endif

namespace binding {
namespace {

#ifdef HAS_C10D

using at::Tensor;
using namespace distributed;
using torch::autograd::variable_list;

constexpr const char* kOp = "GradientBuckets";

// Parameters in the order given, in buckets that are filled up one after the other. The layout follows from the parameters alone, and
// never from when gradients came: where three or more add up, it decides how they round, and a training that goes on must round alike.
//
// A gradient is copied once, into its bucket, divided by the number of ranks on the way; from then on it is that part of the bucket.
//
// Where all ranks are on one machine, buckets lie in memory that all see, and are added up there at the end of the step: the way back
// leaves no core idle that could do it before.
class Buckets {
 public:
  Buckets(std::vector<Tensor> parameters, int64_t bytes) : parameters_(std::move(parameters)) {
    TORCH_CHECK(bytes > 0, kOp, " expects a size of buckets above 0 bytes, but got ", bytes);
    TORCH_CHECK(!parameters_.empty(), kOp, " expects at least one parameter");
    scale_ = at::scalar_tensor(1.0 / static_cast<double>(group(kOp).size));
    shared_ = group(kOp).shared;
    for (const Tensor& parameter : parameters_)
      TORCH_CHECK(parameter.is_leaf() && parameter.requires_grad() && parameter.scalar_type() == at::kFloat && parameter.layout() == at::kStrided,
                  kOp, " expects float32 leaves that require a gradient, but got ", parameter.scalar_type(), " ", parameter.sizes());
    lay_out(bytes);
    ready_.assign(parameters_.size(), false);
    for (size_t i = 0; i < parameters_.size(); ++i) {
      accumulators_.push_back(torch::autograd::impl::grad_accumulator(parameters_[i]));
      hooks_.push_back(accumulators_[i]->add_post_hook(std::make_unique<torch::autograd::utils::LambdaPostHook>(
          [this, i](const variable_list& outputs, const variable_list&) {
            arrived(i);
            return outputs;
          })));
    }
  }

  Buckets(const Buckets&) = delete;

  ~Buckets() {
    for (size_t i = 0; i < hooks_.size(); ++i) accumulators_[i]->del_post_hook(hooks_[i]);
    drain();
  }

  void arm() {
    const std::lock_guard<std::mutex> lock(mutex_);
    drain();
    armed_ = true;
    next_ = 0;
    ready_.assign(parameters_.size(), false);
    for (Bucket& bucket : buckets_) bucket.arrived = 0;
  }

  void wait() {
    const std::lock_guard<std::mutex> lock(mutex_);
    TORCH_CHECK(armed_, kOp, ".finish() needs arm() before the backward pass");
    armed_ = false;
    const at::NoGradGuard no_grad;
    if (!failure_ && shares() && add_up_shared()) return;
    if (!failure_) {
      try {
        for (; next_ < buckets_.size(); ++next_) send(buckets_[next_]);
      } catch (...) {
        failure_ = std::current_exception();
      }
    }
    const std::exception_ptr failure = drain();
    if (failure) std::rethrow_exception(failure);
    for (const Bucket& bucket : buckets_)
      if (bucket.arrived > 0) check_signature(kOp, bucket.buffer.select(0, bucket.buffer.numel() - 1), bucket.signature);
  }

 private:
  struct Bucket {
    Tensor buffer;  // the gradients of its parameters, and a signature
    size_t begin = 0, end = 0, arrived = 0;
    int64_t count = 0, at = 0;  // of values, and where they begin in the memory that all see
    double signature = 0;
  };

  void lay_out(int64_t bytes) {
    int64_t total = 0;
    for (size_t begin = 0, end; begin < parameters_.size(); begin = end) {
      Bucket bucket;
      for (end = begin; end < parameters_.size(); ++end) {
        const Tensor& parameter = parameters_[end];
        if (parameter.device() != parameters_[begin].device()) break;
        if (bucket.count > 0 && (bucket.count + parameter.numel()) * static_cast<int64_t>(sizeof(float)) > bytes) break;
        bucket.count += parameter.numel();
      }
      bucket.begin = begin;
      bucket.end = end;
      bucket.at = total;
      total += (bucket.count / kLine + 1) * kLine;
      buckets_.push_back(std::move(bucket));
    }
    const bool on_cpu = std::all_of(parameters_.begin(), parameters_.end(), [](const Tensor& one) { return one.is_cpu(); });
    if (shared_ != nullptr && on_cpu) own_ = Block::make(total * sizeof(float));
    if (!on_cpu) shared_ = nullptr;
    for (size_t i = 0; i < buckets_.size(); ++i) allocate(i);
  }

  void allocate(size_t number) {
    Bucket& bucket = buckets_[number];
    const auto options = parameters_[bucket.begin].options().requires_grad(false);
    bucket.buffer = own_ == nullptr ? at::zeros({bucket.count + 1}, options)
                                    : at::from_blob(own_->values() + bucket.at, {bucket.count + 1}, [kept = own_](void*) {}, options);
    int64_t at = 0;
    for (size_t i = bucket.begin; i < bucket.end; ++i) {
      // Laid like the parameter where that leaves no gaps, so that the optimizer goes over both as they lie.
      const Tensor row = bucket.buffer.narrow(0, at, parameters_[i].numel());
      const bool dense = parameters_[i].is_non_overlapping_and_dense();
      views_.push_back(dense ? row.as_strided(parameters_[i].sizes(), parameters_[i].strides()) : row.view(parameters_[i].sizes()));
      bucket_of_.push_back(number);
      at += parameters_[i].numel();
    }
  }

  // Whether gradients are to be added up in memory that all ranks see. It was that of the group before, where they are of one that was left.
  bool shares() const { return shared_ != nullptr && shared_ == group(kOp).shared; }

  // Returns false, on all ranks, where there is not enough of such memory on any.
  bool add_up_shared() {
    Signature all;
    for (const Bucket& bucket : buckets_) all.mix(bucket.arrived == 0 ? 0 : signature_of(bucket).hash());
    if (!shared_->agree(all.hash())) are_unlike(kOp);
    if (blocks_.empty()) blocks_ = shared_->exchange(own_);
    if (blocks_.empty()) {
      shared_ = nullptr;
      return false;
    }
    for (const Bucket& bucket : buckets_)
      if (bucket.arrived > 0) shared_->sum_blocks(blocks_, bucket.at, bucket.count);
    shared_->meet();
    return true;
  }

  // On the thread of the backward pass, which must not hear of failures by an exception: wait() tells.
  void arrived(size_t i) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!armed_ || failure_) return;
    try {
      const at::NoGradGuard no_grad;
      const Tensor& gradient = parameters_[i].grad();
      if (!gradient.defined()) return;
      TORCH_CHECK(!ready_[i], kOp, " got a gradient twice: arm() goes before the last backward pass of a step");
      Tensor view = views_[i];
      at::mul_out(view, gradient, scale_);
      parameters_[i].mutable_grad() = view;
      ready_[i] = true;
      ++buckets_[bucket_of_[i]].arrived;
      // In their order, for all ranks must send alike.
      while (!shares() && next_ < buckets_.size() && is_full(buckets_[next_])) send(buckets_[next_++]);
    } catch (...) {
      failure_ = std::current_exception();
    }
  }

  static bool is_full(const Bucket& bucket) { return bucket.arrived == bucket.end - bucket.begin; }

  // What tells whether all ranks have the same gradients. What comes of the place of one that is not there is read by nobody.
  Signature signature_of(const Bucket& bucket) const {
    Signature signature;
    for (size_t i = bucket.begin; i < bucket.end; ++i) {
      signature.mix(parameters_[i]);
      signature.mix(ready_[i]);
    }
    return signature;
  }

  // A bucket without any gradient is none on all ranks.
  void send(Bucket& bucket) {
    if (bucket.arrived == 0) return;
    bucket.signature = signature_of(bucket).value();
    bucket.buffer.select(0, bucket.buffer.numel() - 1).fill_(bucket.signature);
    std::vector<Tensor> message = {bucket.buffer};
    works_.push_back(backend_of(group(kOp), bucket.buffer).allreduce(message));
  }

  // Waits for all that is under way, which still writes to the buckets. Returns what went wrong.
  std::exception_ptr drain() {
    std::exception_ptr failure = failure_;
    failure_ = nullptr;
    try {
      finish(works_);
    } catch (...) {
      if (!failure) failure = std::current_exception();
    }
    works_.clear();
    return failure;
  }

  const std::vector<Tensor> parameters_;
  Tensor scale_;
  std::vector<Bucket> buckets_;
  std::vector<Tensor> views_;
  std::vector<size_t> bucket_of_;
  // Other pointers in other versions.
  std::vector<decltype(torch::autograd::impl::grad_accumulator(std::declval<Tensor>()))> accumulators_;
  std::vector<uintptr_t> hooks_;
  std::mutex mutex_;
  bool armed_ = false;
  std::vector<bool> ready_;
  size_t next_ = 0;
  std::vector<Work> works_;
  std::exception_ptr failure_;
  std::shared_ptr<Shared> shared_;              // null where gradients are sent
  std::shared_ptr<Block> own_;                  // the memory of the buckets
  std::vector<std::shared_ptr<Block>> blocks_;  // that of all ranks, once they have met
};

std::map<int32_t, std::shared_ptr<Buckets>>& all_buckets() {
  static auto* all = new std::map<int32_t, std::shared_ptr<Buckets>>;
  return *all;
}

std::mutex& table() {
  static auto* mutex = new std::mutex;
  return *mutex;
}

std::shared_ptr<Buckets> read_buckets(Call& call) {
  const std::lock_guard<std::mutex> lock(table());
  const auto found = all_buckets().find(read_int32(call.env, call.values[0], "buckets"));
  TORCH_CHECK(found != all_buckets().end(), kOp, ": these were released");
  return found->second;
}

#endif

// createBuckets(parameters, bytes of each) → number. From now on gradients are looked at as they come.
napi_value create_buckets(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&]() -> napi_value {
#ifdef HAS_C10D
    std::vector<Tensor> parameters;
    for (const int32_t handle : read_handles(env, call.values[0], "parameters")) parameters.push_back(call.state->tensors.get(handle));
    auto made = std::make_shared<Buckets>(std::move(parameters), read_int64(env, call.values[1], "bytes"));
    const std::lock_guard<std::mutex> lock(table());
    static int32_t last = 0;
    all_buckets()[++last] = std::move(made);
    return make_int32(env, last);
#else
    distributed::absent();
#endif
  });
}

// armBuckets(number): the next backward pass is the last of a step.
napi_value arm_buckets(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&]() -> napi_value {
#ifdef HAS_C10D
    read_buckets(call)->arm();
#endif
    return nullptr;
  });
}

// finishBuckets(number): waits until all gradients are the means over all ranks.
napi_value finish_buckets(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&]() -> napi_value {
#ifdef HAS_C10D
    read_buckets(call)->wait();
#endif
    return nullptr;
  });
}

napi_value release_buckets(napi_env env, napi_callback_info info) {
  Call call(env, info);
  return guarded(env, [&]() -> napi_value {
#ifdef HAS_C10D
    const std::lock_guard<std::mutex> lock(table());
    all_buckets().erase(read_int32(env, call.values[0], "buckets"));
#endif
    return nullptr;
  });
}

}  // namespace

void register_buckets(napi_env env, napi_value exports, State* state) {
  define(env, exports, "createBuckets", create_buckets, state);
  define(env, exports, "armBuckets", arm_buckets, state);
  define(env, exports, "finishBuckets", finish_buckets, state);
  define(env, exports, "releaseBuckets", release_buckets, state);
}

}  // namespace binding
