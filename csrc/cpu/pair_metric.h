// The pair metric on the CPU, in one pass over the fixed frame: pair_metric.h.
#pragma once

#include "../pair_metric.h"
#include "../strips.h"
#include "warp.h"

#include <cstdint>
#include <vector>

namespace zncc {

// Pixels along the side of a block of scores.
constexpr int64_t kScoreBlock = 32;

// A grid of cells over the windows, by the place of a window's first pixel. Where `inside`, only windows that lie wholly
// in a cell count.
struct CellGrid {
  int64_t top = 0, left = 0, height = 1, width = 1, rows = 0, columns = 0;
  bool inside = false;
};

struct PairMetricShape {
  WarpShape warp;  // of the moving image; frame_height x frame_width is the fixed frame
  int64_t h;       // side of the windows, pixels
  MetricWeights by;
  CellGrid cells;
  int64_t step;     // every which tile counts; 1 for the whole frame
  bool projective;  // whether the last row of the matrix may change

  int64_t height() const { return warp.frame_height; }
  int64_t width() const { return warp.frame_width; }
  int64_t map_height() const { return height() - h + 1; }
  int64_t map_width() const { return width() - h + 1; }
  int64_t blocks_across() const { return (width() + kScoreBlock - 1) / kScoreBlock; }
  int64_t blocks_down() const { return (height() + kScoreBlock - 1) / kScoreBlock; }
  StripGrid grid() const;
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

void pair_metric(const PairMetricShape& shape, const PairMetricInput<float>& in, const PairMetricOutput<float>& out,
                 StripQueue& strips, std::vector<double>* partial);
void pair_metric(const PairMetricShape& shape, const PairMetricInput<double>& in, const PairMetricOutput<double>& out,
                 StripQueue& strips, std::vector<double>* partial);

// Adds up what the strips left in `partial`, in their order.
void add_partial_sums(const PairMetricShape& shape, const std::vector<std::vector<double>>& partial, double* sums,
                      double* cells, double* curvature);

}  // namespace zncc
