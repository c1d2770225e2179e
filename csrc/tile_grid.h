// How planes are cut into tiles, each the work of one block of CUDA threads: tile_sums.h.
#pragma once

#include "local_std.h"

#include <algorithm>
#include <cstdint>

namespace zncc {

constexpr int kTileThreads = 256;
constexpr int kTilePerThread = 2;
constexpr int kTileColumns = kTileThreads * kTilePerThread;
constexpr int kSegment = 32;
constexpr int kSegments = kTileColumns / kSegment;
// One double more for each segment, so that threads that each scan one never meet in a bank of shared memory.
constexpr int kTileLine = kTileColumns + kSegments;
// Wider windows leave a tile too few columns of its own.
constexpr int64_t kMaxTileWindow = 384;
// Enough blocks to fill the largest card; a constant, so that results are the same on every card.
constexpr int64_t kWantedTiles = 1024;
// Rows [top, bottom) and columns [left, left + columns) of a plane of the result.
struct Tile {
  int64_t index, plane, top, bottom, left;
  int columns;
};

// How `planes` planes of a result, rows x columns each, are cut into tiles. Depends on nothing else.
struct TileGrid {
  int64_t planes, rows, columns, strip, width, strips, tiles;

  TileGrid(int64_t planes, int64_t rows, int64_t columns, int64_t h, int64_t w)
      : planes(planes), rows(rows), columns(columns) {
    const int64_t widest = kTileColumns - w + 1;
    tiles = (columns + widest - 1) / widest;
    width = (columns + tiles - 1) / tiles;
    // The h - 1 rows above a strip are summed for nothing; a tall strip remembers rounding errors for long.
    const int64_t wanted = (rows * tiles * planes + kWantedTiles - 1) / kWantedTiles;
    const int64_t shortest = std::max<int64_t>(16, h), tallest = std::max<int64_t>(256, h);
    strip = std::min(rows, std::min(tallest, std::max(shortest, wanted)));
    strips = (rows + strip - 1) / strip;
  }

  ZNCC_HOST_DEVICE int64_t count() const { return planes * strips * tiles; }

  ZNCC_HOST_DEVICE Tile tile(int64_t index) const {
    const int64_t of_plane = index % (strips * tiles), top = of_plane / tiles * strip, left = of_plane % tiles * width;
    const int64_t bottom = top + strip < rows ? top + strip : rows;
    const int64_t right = left + width < columns ? left + width : columns;
    return {index, index / (strips * tiles), top, bottom, left, static_cast<int>(right - left)};
  }
};

}  // namespace zncc
