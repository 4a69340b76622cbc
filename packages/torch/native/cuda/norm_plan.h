// How the kernels of norm_kernels.h are laid over images [B, pixels, C].
#pragma once

#include <algorithm>
#include <cstdint>

namespace cuda_kernels {

struct NormPlan {
  unsigned across, lanes;  // of a block: vectors of channels, pixels side by side
  unsigned blocks, tiles;  // of a grid: of an image's pixels, of its channels
  int steps;               // pixels of a thread
  int64_t chunks() const { return static_cast<int64_t>(blocks) * lanes; }
};

// About 2^18 threads fill the largest devices. Each leaves two sums a channel, which must stay few beside the pixels that it reads.
inline NormPlan norm_plan(int64_t images, int64_t rows, int64_t channels, int64_t vector) {
  constexpr int64_t kThreads = 256, kFilled = int64_t{1} << 18;
  const int64_t vectors = channels / vector, tiles = (vectors + kThreads - 1) / kThreads, across = (vectors + tiles - 1) / tiles;
  const int64_t lanes = std::min(kThreads / across, rows);
  const int64_t steps = std::clamp<int64_t>(images * rows * vectors / kFilled, 16, 256), pixels = lanes * steps;
  return {static_cast<unsigned>(across), static_cast<unsigned>(lanes), static_cast<unsigned>((rows + pixels - 1) / pixels),
          static_cast<unsigned>(tiles), static_cast<int>(steps)};
}

// Into how many sums `count` of them are added up at once: one thread would wait for memory too often.
inline int64_t norm_parts(int64_t count) { return count > 64 ? (count + 31) / 32 : 1; }

}  // namespace cuda_kernels
