// How planes are cut into tiles, each the work of one block of CUDA threads: tile_sums.h.
#pragma once

#include "../local_std.h"

#include <algorithm>
#include <cstdint>

namespace zncc {

constexpr int kTileThreads = 128;
constexpr int kTilePerThread = 4;  // columns beside each other
constexpr int kTileColumns = kTileThreads * kTilePerThread;
// A warp takes the prefix sums of the columns of its 32 threads.
constexpr int kSegment = 32 * kTilePerThread;
constexpr int kSegments = kTileColumns / kSegment;
// A line of shared memory holds every fourth column beside each other, in four parts, so that threads beside each other
// read and write beside each other; and a place behind the last column.
constexpr int kPart = kTileThreads + 1;
constexpr int kTileLine = kTilePerThread * kPart;
// Wider windows are summed by prefix sums of a warp's columns, narrower ones by adding up its threads' sums.
constexpr int kNarrowWindow = 40;
// Wider windows leave a tile too few columns of its own.
constexpr int64_t kMaxTileWindow = 384;
// Of a large card. A constant, so that results do not change with their number.
constexpr int64_t kProcessors = 128;
// Blocks that a processor computes at once of the kernel that leaves a sum for each tile, for which others make room.
constexpr int kPairBlocks = 3;

// Rows [top, bottom) and columns [left, left + columns) of a plane of the result.
struct Tile {
  int64_t index, plane, top, bottom, left;
  int columns;
};

// How `planes` planes of a result, rows x columns each, are cut into tiles: where they are large, into as many as a large
// card computes at once, `at_once` on each of its processors.
struct TileGrid {
  int64_t planes, rows, columns, strip, width, strips, tiles;

  TileGrid(int64_t planes, int64_t rows, int64_t columns, int64_t h, int64_t w, int64_t at_once)
      : planes(planes), rows(rows), columns(columns) {
    // Tiles begin at every fourth column, so that four pixels are read at once wherever the rows are aligned for that.
    const int64_t widest = (kTileColumns - w + 1) / kTilePerThread * kTilePerThread;
    tiles = (columns + widest - 1) / widest;
    width = std::min(widest, (columns / tiles / kTilePerThread + 1) * kTilePerThread);
    // The h - 1 rows above a strip are summed for nothing; a tall strip remembers rounding errors for long. No tile is left
    // over that all others would have to wait for.
    const int64_t shortest = std::max<int64_t>(16, h), tallest = std::max<int64_t>(256, h);
    const int64_t most = at_once * kProcessors, all = rows * tiles * planes;
    const int64_t rounds = std::max<int64_t>(1, (all + most * tallest - 1) / (most * tallest));
    strip = std::min(rows, std::max(shortest, (all + most * rounds - 1) / (most * rounds)));
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
