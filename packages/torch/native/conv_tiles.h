// Tiles of 2 × 2 outputs, as Winograd's F(2×2, 3×3) takes them: of images [B, H, W, C], padded by a pixel.
#pragma once

#include <cstdint>

namespace kernels {

struct Grid {
  int64_t images, height, width;
  int64_t across() const { return (width + 1) / 2; }
  int64_t down() const { return (height + 1) / 2; }
  int64_t tiles() const { return images * down() * across(); }
};

struct Tile {
  int64_t image, row, column;  // its upper left output
};

inline Tile tile_at(const Grid& grid, int64_t n) {
  const int64_t across = grid.across(), down = grid.down();
  return {n / (across * down), 2 * (n / across % down), 2 * (n % across)};
}

// Channels of a pixel of [B, H, W, C], or `outside`.
template <typename T>
T* pixel(T* x, const Grid& grid, int64_t channels, const Tile& tile, int64_t row, int64_t column, T* outside) {
  const int64_t y = tile.row + row, z = tile.column + column;
  if (y < 0 || y >= grid.height || z < 0 || z >= grid.width) return outside;
  return x + ((tile.image * grid.height + y) * grid.width + z) * channels;
}

}  // namespace kernels
