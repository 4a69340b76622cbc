// CUDA C++ that is compiled for a device when it is first launched there.
#pragma once

#include <c10/cuda/CUDAStream.h>
#include <cuda.h>

#include <map>
#include <mutex>
#include <string>

namespace cuda_kernels {

struct Extent {
  int64_t x, y = 1, z = 1;
};

// Of the process: the C++ runtime must not destroy it, which would end CUDA before its modules.
class Program {
 public:
  Program(const char* name, const char* text) : name_(name), text_(text) {}

  // Whether it can be launched on a device. Where it cannot be compiled or loaded, a warning says why, once.
  bool loads(c10::DeviceIndex device);

  // On the current stream of the current device. The arguments must be exactly of the kernel's types.
  template <typename... Args>
  void launch(const std::string& kernel, Extent grid, Extent block, Args... args) {
    void* pointers[] = {&args...};
    launch_with(kernel, grid, block, pointers);
  }

 private:
  struct Module {
    CUcontext context;
    CUmodule module;
    std::map<std::string, CUfunction> functions;
  };

  void launch_with(const std::string& kernel, Extent grid, Extent block, void** args);
  Module& module_of(c10::DeviceIndex device);
  std::string compiled(CUdevice device) const;

  const char *const name_, *const text_;
  std::mutex mutex_;
  bool failed_ = false;
  std::map<c10::DeviceIndex, Module> modules_;
};

}  // namespace cuda_kernels
