// Compiles kernels by NVRTC and launches them.
#ifdef HAS_CUDA
#include "program.h"

#include <ATen/DynamicLibrary.h>
#include <nvrtc.h>

#include <memory>
#include <vector>

namespace cuda_kernels {
namespace {

// libtorch's stub of NVRTC has no header in its packages, so the libraries are asked for the functions: libtorch's own depends on
// the NVRTC that it came with.
#define FUNCTION(library, name) decltype(&::name) name = reinterpret_cast<decltype(&::name)>(library.sym(#name))

struct Driver {
  at::DynamicLibrary library{"libcuda.so.1", nullptr, true};
  FUNCTION(library, cuGetErrorString);
  FUNCTION(library, cuDeviceGet);
  FUNCTION(library, cuDeviceGetAttribute);
  FUNCTION(library, cuDevicePrimaryCtxRetain);
  FUNCTION(library, cuCtxGetCurrent);
  FUNCTION(library, cuCtxSetCurrent);
  FUNCTION(library, cuThreadExchangeStreamCaptureMode);
  FUNCTION(library, cuModuleLoadData);
  FUNCTION(library, cuModuleGetFunction);
  FUNCTION(library, cuLaunchKernel);

  void check(CUresult result, const std::string& what) const {
    if (result == CUDA_SUCCESS) return;
    const char* why = nullptr;
    cuGetErrorString(result, &why);
    TORCH_CHECK(false, what, ": ", why ? why : "an error that the driver does not know", " (", static_cast<int>(result), ")");
  }
};
const Driver& driver() {
  static const auto* made = new Driver;
  return *made;
}

struct Compiler {
  at::DynamicLibrary library{"libcaffe2_nvrtc.so", nullptr, true};
  FUNCTION(library, nvrtcVersion);
  FUNCTION(library, nvrtcGetErrorString);
  FUNCTION(library, nvrtcGetNumSupportedArchs);
  FUNCTION(library, nvrtcGetSupportedArchs);
  FUNCTION(library, nvrtcCreateProgram);
  FUNCTION(library, nvrtcCompileProgram);
  FUNCTION(library, nvrtcDestroyProgram);
  FUNCTION(library, nvrtcGetProgramLogSize);
  FUNCTION(library, nvrtcGetProgramLog);
  FUNCTION(library, nvrtcGetCUBINSize);
  FUNCTION(library, nvrtcGetCUBIN);
  FUNCTION(library, nvrtcGetPTXSize);
  FUNCTION(library, nvrtcGetPTX);
  std::unique_ptr<at::DynamicLibrary> builtins;

  // NVRTC opens a library of its own by name alone. Packages have it where only libtorch looks, which therefore opens it first.
  Compiler() {
    int major = 0, minor = 0;
    check(nvrtcVersion(&major, &minor), "the version of NVRTC");
    const std::string name = "libnvrtc-builtins.so." + std::to_string(major) + "." + std::to_string(minor);
    try {
      builtins = std::make_unique<at::DynamicLibrary>(name.c_str(), nullptr, true);
    } catch (const std::exception&) {
      // NVRTC may find it all the same, or says by itself what it misses.
    }
  }

  void check(nvrtcResult result, const std::string& what) const {
    TORCH_CHECK(result == NVRTC_SUCCESS, what, ": ", nvrtcGetErrorString(result));
  }

  // The newest architecture that both know.
  int architecture(int device) const {
    int count = 0, found = 0;
    check(nvrtcGetNumSupportedArchs(&count), "the architectures of NVRTC");
    std::vector<int> known(count);
    check(nvrtcGetSupportedArchs(known.data()), "the architectures of NVRTC");
    for (const int each : known)
      if (each <= device && each > found) found = each;
    TORCH_CHECK(found > 0, "NVRTC does not compile for devices as old as sm_", device);
    return found;
  }
};
const Compiler& compiler() {
  static const auto* made = new Compiler;
  return *made;
}

// Loading a module is forbidden while a graph is recorded, unless the thread says that it knows what it does.
struct Relaxed {
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
  Relaxed() { driver().check(driver().cuThreadExchangeStreamCaptureMode(&mode), "the mode of recording"); }
  ~Relaxed() { driver().cuThreadExchangeStreamCaptureMode(&mode); }
};

}  // namespace

// Machine code, or PTX for a device that is newer than NVRTC.
std::string Program::compiled(CUdevice device) const {
  int major = 0, minor = 0;
  driver().check(driver().cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device), "the device's capability");
  driver().check(driver().cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device), "the device's capability");
  const Compiler& nvrtc = compiler();
  const int own = 10 * major + minor, known = nvrtc.architecture(own);
  const std::string target = std::string("--gpu-architecture=") + (own == known ? "sm_" : "compute_") + std::to_string(known);
  const char* options[] = {"--std=c++17", target.c_str()};
  nvrtcProgram program;
  nvrtc.check(nvrtc.nvrtcCreateProgram(&program, text_, name_, 0, nullptr, nullptr), name_);
  const std::unique_ptr<nvrtcProgram, void (*)(nvrtcProgram*)> owner(&program, [](nvrtcProgram* each) { compiler().nvrtcDestroyProgram(each); });
  size_t size = 0;
  if (const nvrtcResult result = nvrtc.nvrtcCompileProgram(program, 2, options); result != NVRTC_SUCCESS) {
    nvrtc.check(nvrtc.nvrtcGetProgramLogSize(program, &size), name_);
    std::string log(size, '\0');
    nvrtc.check(nvrtc.nvrtcGetProgramLog(program, log.data()), name_);
    TORCH_CHECK(false, "NVRTC does not compile ", name_, " with ", target, ": ", nvrtc.nvrtcGetErrorString(result), "\n", log.c_str());
  }
  nvrtc.check(own == known ? nvrtc.nvrtcGetCUBINSize(program, &size) : nvrtc.nvrtcGetPTXSize(program, &size), name_);
  std::string code(size, '\0');
  nvrtc.check(own == known ? nvrtc.nvrtcGetCUBIN(program, code.data()) : nvrtc.nvrtcGetPTX(program, code.data()), name_);
  return code;
}

Program::Module& Program::module_of(c10::DeviceIndex index) {
  const auto found = modules_.find(index);
  if (found != modules_.end()) return found->second;
  const Relaxed relaxed;
  CUdevice device;
  Module made{};
  driver().check(driver().cuDeviceGet(&device, index), "the device");
  driver().check(driver().cuDevicePrimaryCtxRetain(&made.context, device), "the device's context");
  driver().check(driver().cuCtxSetCurrent(made.context), "the device's context");
  const std::string code = compiled(device);
  driver().check(driver().cuModuleLoadData(&made.module, code.data()), std::string("loading ") + name_);
  return modules_.emplace(index, std::move(made)).first->second;
}

bool Program::loads(c10::DeviceIndex device) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (failed_) return false;
  std::string why;
  try {
    module_of(device);
    return true;
  } catch (const c10::Error& error) {
    why = error.what_without_backtrace();
  } catch (const std::exception& error) {
    why = error.what();
  }
  failed_ = true;
  TORCH_WARN("libtorch's operators stand in for ", name_, ", which cannot be used here: ", why);
  return false;
}

void Program::launch_with(const std::string& kernel, Extent grid, Extent block, void** args) {
  const c10::cuda::CUDAStream stream = c10::cuda::getCurrentCUDAStream();
  CUfunction function;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    Module& module = module_of(stream.device_index());
    // A thread that has launched nothing yet, such as autograd's, may have no context.
    CUcontext current = nullptr;
    driver().check(driver().cuCtxGetCurrent(&current), "the context");
    if (current != module.context) driver().check(driver().cuCtxSetCurrent(module.context), "the device's context");
    CUfunction& kept = module.functions[kernel];
    if (kept == nullptr) driver().check(driver().cuModuleGetFunction(&kept, module.module, kernel.c_str()), kernel);
    function = kept;
  }
  const auto number = [](int64_t value) { return static_cast<unsigned>(value); };
  driver().check(driver().cuLaunchKernel(function, number(grid.x), number(grid.y), number(grid.z), number(block.x), number(block.y),
                                         number(block.z), 0, stream.stream(), args, nullptr),
                 "launching " + kernel);
}

}  // namespace cuda_kernels
#endif
