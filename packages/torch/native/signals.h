// Keeps handlers of signals off the threads that compute.
//
// Some of oneDNN's generated kernels (`sgemm` with 128 columns on AVX-512, with 256 on AVX2) run out of registers and use the stack
// pointer for data. A handler that runs on such a thread then writes its frame into a tensor, or into what malloc keeps beside it:
// Ctrl-C during a product broke the heap. So threads that compute block all signals from outside, and one that does nothing else
// takes them. libuv's handlers may run on any thread, and children that Node.js starts have no mask.
#pragma once

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <initializer_list>
#include <memory>

namespace binding {

// A thread that takes the signals of the process, or false where none can be had. The library has to stay, since the thread's code is in it.
inline bool start_signal_thread() {
  Dl_info here;
  if (dladdr(reinterpret_cast<void*>(&start_signal_thread), &here) == 0) return false;
  if (dlopen(here.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE) == nullptr) return false;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  const int failed = pthread_create(
      &thread, &attributes,
      [](void*) -> void* {
        sigset_t none;
        sigemptyset(&none);
        pthread_sigmask(SIG_SETMASK, &none, nullptr);
        for (;;) pause();
      },
      nullptr);
  pthread_attr_destroy(&attributes);
  return failed == 0;
}

// Where a thread's handlers run that ask for it. Not used where somebody has given the thread another one.
class HandlerStack {
 public:
  HandlerStack() {
    stack_t present;
    if (sigaltstack(nullptr, &present) != 0 || (present.ss_flags & SS_DISABLE) == 0) return;
    stack_t mine{};
    mine.ss_size = kBytes;
    mine.ss_sp = bytes_.get();
    sigaltstack(&mine, nullptr);
  }
  ~HandlerStack() {
    stack_t present;
    if (sigaltstack(nullptr, &present) != 0 || present.ss_sp != bytes_.get()) return;
    present.ss_flags = SS_DISABLE;
    sigaltstack(&present, nullptr);
  }

 private:
  static constexpr size_t kBytes = 1 << 16;
  std::unique_ptr<char[]> bytes_{new char[kBytes]};
};

// Called by each thread that computes. Threads that it starts inherit the mask, OpenMP's among them.
inline void keep_signals_away() {
  static const bool started = start_signal_thread();
  if (!started) return;  // nobody would hear of Ctrl-C
  sigset_t signals;
  sigfillset(&signals);
  // Faults are of the thread that made them. SIGPROF is sent to the thread that is looked at, and V8's handler takes another stack.
  for (const int kept : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF}) sigdelset(&signals, kept);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  static thread_local HandlerStack stack;
}

}  // namespace binding
