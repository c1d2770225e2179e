// What the pair metric reads and writes, on any device. Formulas: pair_metric.h.
#pragma once

#include "cpu/warp.h"
#include "pair_metric.h"

#include <cstdint>

namespace zncc {

// Pixels along the side of a block of scores.
constexpr int64_t kScoreBlock = 32;
// Of a frame of which only every so many tiles count; whole blocks of scores.
constexpr int64_t kStepRows = 64, kStepColumns = 128;

// A grid of cells over the windows, by the place of a window's first pixel. Where `inside`, only windows that lie wholly
// in a cell count.
struct CellGrid {
  int64_t top = 0, left = 0, height = 1, width = 1, rows = 0, columns = 0;
  bool inside = false;
};

// The shift that spreads every step-th tile over a frame: near the golden section of the step, and without a common
// divisor, so that every row and every column of tiles has its turn.
inline int64_t tile_shift(int64_t step) {
  const auto divisor = [](int64_t a, int64_t b) {
    while (b != 0) {
      const int64_t rest = a % b;
      a = b;
      b = rest;
    }
    return a;
  };
  int64_t shift = (step * 618 + 500) / 1000;
  while (divisor(shift, step) != 1) {
    ++shift;
  }
  return shift;
}

struct PairMetricShape {
  WarpShape warp;  // of the moving image; frame_height x frame_width is the fixed frame
  int64_t h;       // side of the windows, pixels
  MetricWeights by;
  CellGrid cells;
  int64_t step;     // every which tile counts; 1 for the whole frame
  int64_t shift;    // from a row of tiles to the next, of those that count: tile_shift(step)
  bool projective;  // whether the last row of the matrix may change

  ZNCC_HOST_DEVICE int64_t height() const { return warp.frame_height; }
  ZNCC_HOST_DEVICE int64_t width() const { return warp.frame_width; }
  ZNCC_HOST_DEVICE int64_t map_height() const { return height() - h + 1; }
  ZNCC_HOST_DEVICE int64_t map_width() const { return width() - h + 1; }
  ZNCC_HOST_DEVICE int64_t blocks_across() const { return (width() + kScoreBlock - 1) / kScoreBlock; }
  ZNCC_HOST_DEVICE int64_t blocks_down() const { return (height() + kScoreBlock - 1) / kScoreBlock; }
  // Whether a tile counts.
  ZNCC_HOST_DEVICE bool counts(int64_t row, int64_t column) const { return (column + row * shift) % step == 0; }
};

// What is read, (H, W) of the fixed frame but for the knots and the moving image's own planes; nullptr where there is none.
template <typename Map>
struct PairMetricInput {
  const Map* fixed;
  const Map* knots;
  const Map* field;            // (H, W, 2): added to x and y where there is no matrix
  const uint8_t* fixed_mask;   // valid pixels
  const Map* moving_mask;      // of the moving frame, one where valid, sampled linearly
  const Map* fixed_measured;   // share that was measured
  const Map* moving_measured;  // of the moving frame, sampled linearly
  const Map* weight;           // of each window, (H-h+1, W-w+1)
};

// Sums of W, W e, W z, W e z and W z with the second eps over the windows of a cell.
constexpr int kCellPlanes = 5;

// What is written; nullptr where it is not wanted.
template <typename Map>
struct PairMetricOutput {
  double* sums;       // W, W e, W z, W e z of all windows; edge of all pixels
  double* cells;      // (kCellPlanes, rows, columns)
  double* scores;     // (9, blocks down, blocks across)
  double* curvature;  // (9, 9)
  Map* z;             // (H-h+1, W-w+1)
  Map* w;             // W e
  Map* pixels;        // (5, H, W): D gx, D gy, and s (*) 1 times q gx^2, q gx gy, q gy^2
};

constexpr int kSums = 5;

// The moments of a matrix gradient G = (a x, a y, a, b x, b y, b, c x, c y, c): of each pair of a, b, c (a a, a b, b b,
// a c, b c, c c) the sums with 1, x, x^2, y, x y, y^2.
constexpr int kPairs = 6, kPowers = 6, kMoments = kPairs * kPowers;

// Which moment is the entry (i, j) of the sum of G G^T.
ZNCC_HOST_DEVICE inline int moment_of_entry(int i, int j) {
  constexpr int kPower[3][3] = {{2, 4, 1}, {4, 5, 3}, {1, 3, 0}};
  constexpr int kPair[3][3] = {{0, 1, 3}, {1, 2, 4}, {3, 4, 5}};
  return kPair[i / 3][j / 3] * kPowers + kPower[i % 3][j % 3];
}

}  // namespace zncc
