// CUDA graphs as operators: what was launched while one was recorded is launched again at once, without its calls.
#include <c10/core/Device.h>
#include <torch/library.h>

#ifdef HAS_CUDA
#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/Event.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <map>
#include <memory>
#include <mutex>
#endif

namespace {

#ifdef HAS_CUDA

using c10::cuda::CUDAStream;

struct Recording {
  explicit Recording(c10::DeviceIndex device)
      : before(c10::cuda::getCurrentCUDAStream(device)), own(c10::cuda::getStreamFromPool(false, device)) {}
  at::cuda::CUDAGraph graph;
  const CUDAStream before, own;  // graphs cannot be recorded on the default stream
};

// Of the process, by number. Never destroyed by the C++ runtime, which would end CUDA before them.
struct Recordings {
  std::mutex mutex;
  std::map<int64_t, std::shared_ptr<Recording>> all;
  int64_t next = 0;
};
Recordings& recordings() {
  static auto* made = new Recordings;
  return *made;
}

std::shared_ptr<Recording> find(int64_t number) {
  const std::lock_guard<std::mutex> lock(recordings().mutex);
  const auto found = recordings().all.find(number);
  TORCH_CHECK(found != recordings().all.end(), "there is no CUDA graph ", number);
  return found->second;
}

// One stream waits for what the other was given so far.
void follow(const CUDAStream& later, const CUDAStream& earlier) {
  c10::Event event(c10::DeviceType::CUDA);
  event.record(earlier.unwrap());
  event.block(later.unwrap());
}

int64_t graph_open(c10::Device device) {
  TORCH_CHECK(device.is_cuda() && device.has_index(), "a CUDA graph needs a device such as cuda:0, but got ", device);
  const c10::cuda::CUDAGuard guard(device);
  auto made = std::make_shared<Recording>(device.index());
  follow(made->own, made->before);
  c10::cuda::setCurrentCUDAStream(made->own);
  const std::lock_guard<std::mutex> lock(recordings().mutex);
  recordings().all.emplace(recordings().next, std::move(made));
  return recordings().next++;
}

void graph_begin(int64_t number) {
  const auto recording = find(number);
  const c10::cuda::CUDAGuard guard(recording->own.device());
  recording->graph.capture_begin();
}

void graph_end(int64_t number) {
  const auto recording = find(number);
  const c10::cuda::CUDAGuard guard(recording->own.device());
  recording->graph.capture_end();
}

void graph_close(int64_t number) {
  const auto recording = find(number);
  const c10::cuda::CUDAGuard guard(recording->own.device());
  follow(recording->before, recording->own);
  c10::cuda::setCurrentCUDAStream(recording->before);
}

void graph_replay(int64_t number) {
  const auto recording = find(number);
  const c10::cuda::CUDAGuard guard(recording->own.device());
  recording->graph.replay();
}

void graph_release(int64_t number) {
  const std::lock_guard<std::mutex> lock(recordings().mutex);
  recordings().all.erase(number);
}

bool available() { return true; }

#else

[[noreturn]] void absent() {
  TORCH_CHECK(false, "the addon was built without CUDA graphs: it needs a libtorch with CUDA, and CUDA's headers "
                     "(pip install nvidia-cuda-crt nvidia-cuda-cccl, or a CUDA toolkit), then npm run setup");
}
int64_t graph_open(c10::Device) { absent(); }
void graph_begin(int64_t) { absent(); }
void graph_end(int64_t) { absent(); }
void graph_close(int64_t) { absent(); }
void graph_replay(int64_t) { absent(); }
void graph_release(int64_t) { absent(); }
bool available() { return false; }

#endif

}  // namespace

TORCH_LIBRARY_FRAGMENT(cuda_graph, m) {
  m.def("available() -> bool", available);
  m.def("open(Device device) -> int", graph_open);
  m.def("begin(int graph) -> ()", graph_begin);
  m.def("end(int graph) -> ()", graph_end);
  m.def("close(int graph) -> ()", graph_close);
  m.def("replay(int graph) -> ()", graph_replay);
  m.def("release(int graph) -> ()", graph_release);
}
