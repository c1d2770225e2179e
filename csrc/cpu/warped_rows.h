// The rows of the fixed frame as the pair metric sees them: the warped moving image, where it is valid, and gradients.
#pragma once

#include "../pair_metric_data.h"
#include "../strips.h"

#include <cstdint>
#include <vector>

namespace zncc {

// Rows are warped one after the other; as many as a window has, and three more, are remembered.
template <typename Map>
class WarpedRows {
 public:
  // For strips of at most `widest` columns; with `gradient`, gradients are found as well.
  WarpedRows(const PairMetricShape& shape, const PairMetricInput<Map>& in, int64_t widest, bool gradient);

  // Begins anew, with columns [left, right) and the row `first`.
  void begin(const Strip& strip, int64_t left, int64_t right, int64_t first);
  // Warps the rows before `last` that are still to be warped.
  void warp_until(int64_t last);
  // The gradient of the mean of both images at columns [first, last) of a row, in moving coordinates.
  void find_gradient(int64_t y, int64_t first, int64_t last);
  // W of `count` windows of row y from column `first` on: the least edge of their pixels, times their weights.
  void find_window_weights(int64_t y, int64_t first, int64_t count, Map* W);

  // Where a row begins.
  int64_t at(int64_t row) const { return row % kept_ * stride_; }
  // The sum over the strip's own pixels of how far they lie inside both images.
  double edge_sum() const { return edge_sum_; }

  std::vector<Map> m, edge, measured, gx, gy;
  std::vector<double> u, v, by_depth;

 private:
  // A row by columns of the frame.
  template <typename Value>
  const Value* row_of(const std::vector<Value>& rows, int64_t y) const {
    return rows.data() + at(y) - left_;
  }

  template <typename Spline>
  void warp_row(int64_t y);
  void remember_ones(int64_t y);
  void pull(int64_t y, int64_t first, int64_t last, Map* to_x, Map* to_y);
  void least_edges(int64_t y, int64_t begin, int64_t end, Map* W);

  const PairMetricShape& shape_;
  const PairMetricInput<Map>& in_;
  const bool gradient_, plain_;
  const double reach_;
  const bool measures_;
  const int64_t kept_, stride_;
  std::vector<int64_t> ones_;  // (first, last) column of a row's run of columns whose edge is one
  std::vector<Map> least_;
  Strip strip_{StripGrid(1, 1, 1), 0};
  int64_t left_ = 0, right_ = 0, warped_ = 0;
  double edge_sum_ = 0.0;
};

}  // namespace zncc
