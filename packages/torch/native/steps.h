// Work in steps, each of which needs the whole of the one before.
#pragma once

#include "parallel.h"

#include <atomic>
#include <memory>

#ifdef __linux__
#include <sched.h>
#endif

namespace kernels {

// Threads take pieces of a step as they come to it. One that starts late, or whose processor is busy with something else, holds up the
// others by no more than the piece that it has: there is no barrier at which all must arrive.
class Steps {
  // Each on a line of the cache.
  struct alignas(64) Step {
    std::atomic<int64_t> taken{0}, done{0};
  };

 public:
  Steps(int64_t steps, int64_t threads) : steps_(new Step[steps]), pieces_(threads == 1 ? 1 : kPieces * threads) {}

  // One thread's way through all steps. Every thread asks for the same ones in the same order.
  class Walk {
   public:
    explicit Walk(const Steps& all) : step_(all.steps_.get()), pieces_(all.pieces_) {}

    // Calls f(first, last) for parts of [0, count), and returns when all threads together have done the whole. `f` must not throw.
    template <typename F>
    void operator()(int64_t count, const F& f) {
      Step& step = *step_++;
      const int64_t pieces = std::min(count, pieces_);
      for (int64_t i; (i = step.taken.fetch_add(1, std::memory_order_relaxed)) < pieces;) {
        f(count * i / pieces, count * (i + 1) / pieces);
        step.done.fetch_add(1, std::memory_order_release);
      }
      for (int spins = 0; step.done.load(std::memory_order_acquire) < pieces; ++spins) rest(spins);
    }

   private:
    Step* step_;
    const int64_t pieces_;
  };

 private:
  // A thread's pieces of a step: more than one, so that a slower one takes less; few, since a piece is read from its beginning to its end.
  static constexpr int64_t kPieces = 2;
  static constexpr int kSpins = 1000;

  static void rest(int spins) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
#ifdef __linux__
    if (spins >= kSpins) sched_yield();
#endif
  }

  const std::unique_ptr<Step[]> steps_;
  const int64_t pieces_;
};

}  // namespace kernels
