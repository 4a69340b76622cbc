// at::parallel_for without the compiler's OpenMP. GCC's pragmas would be the same; clang's bring a runtime of their own, and so
// a second set of threads beside libtorch's. This is the entry that GCC compiles pragmas to. All OpenMP runtimes on Linux have
// it, and it is looked up when the library is loaded, in the runtime that libtorch uses.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>

#ifdef __linux__
extern "C" {
void GOMP_parallel(void (*body)(void*), void* data, unsigned threads, unsigned flags);
int omp_get_num_threads();
int omp_get_thread_num();
int omp_in_parallel();
void omp_set_num_threads(int threads);
}
#endif

namespace kernels {

// at::set_num_threads, but for its pool of mobile kernels, which takes milliseconds to resize and is not used here.
inline void set_threads(int threads) {
#ifdef __linux__
  if (threads > 0) omp_set_num_threads(threads);
  if (at::get_num_threads() == threads) return;
#endif
  at::set_num_threads(threads);
}

// Calls f(first, last) for parts of [begin, end), each of at least `grain` but for the last, on up to at::get_num_threads()
// threads. `f` must not throw, nor call libtorch's operators.
template <typename F>
void parallel_for(int64_t begin, int64_t end, int64_t grain, const F& f) {
  if (begin >= end) return;
#ifdef __linux__
  const int64_t parts = std::min<int64_t>(at::get_num_threads(), (end - begin) / std::max<int64_t>(grain, 1));
  if (parts > 1 && !omp_in_parallel()) {
    struct Work {
      int64_t begin, end;
      const F& f;
    } work{begin, end, f};
    const auto part = [](void* data) {
      const Work& all = *static_cast<Work*>(data);
      const int64_t size = all.end - all.begin, threads = omp_get_num_threads(), thread = omp_get_thread_num();
      const int64_t first = all.begin + size * thread / threads, last = all.begin + size * (thread + 1) / threads;
      if (first < last) all.f(first, last);
    };
    GOMP_parallel(part, &work, static_cast<unsigned>(parts), 0);
    return;
  }
#endif
  f(begin, end);
}

// Within a part of `parallel_for` whose work calls libtorch's operators: they, and oneDNN, must not count on more threads.
class SingleThread {
 public:
  SingleThread() : before_(at::get_num_threads()) { set(1); }  // libtorch sets its own number when a thread first asks
  ~SingleThread() { set(before_); }

 private:
  static void set(int threads) {
#ifdef __linux__
    omp_set_num_threads(threads);
#endif
  }
  const int before_;
};

}  // namespace kernels
