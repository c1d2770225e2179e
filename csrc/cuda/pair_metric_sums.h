// The sums of the pair metric on CUDA: scores and curvature over blocks of pixels, and windows over cells. Formulas:
// pair_metric.h.
#pragma once

#include "pair_metric_pixels.h"

namespace zncc {

// Scores of each block, what pixels are written, and the moments of the curvature.
template <typename Map>
struct ScoreBlocks {
  static_assert(kScoreBlock == kBlockSide, "a block of work is a block of scores");
  static constexpr int kScores = 9, kRows = 3;  // a, b, c
  using Shared = SumSpace;
  struct Thread {
    double x;
    double scores[kRows], by_y[kRows];  // sums of D a, D b, D c; and of these times y
    double moments[kPairs], y_moments[kPairs], yy_moments[kPairs];
  };

  PairMetricShape shape;
  PairMetricInput<Map> in;
  PairMetricPlanes<Map> planes;
  double* scores;
  Map* pixels;

  ZNCC_HOST_DEVICE int64_t count() const { return blocks_of(shape.height(), shape.width()); }

  template <typename Block>
  ZNCC_HOST_DEVICE void compute(Block& block, Shared& shared, int64_t index) const {
    block.alone([&](int t, Thread& me) {
      begin(me);
      for_pixels(shape.height(), shape.width(), index, t, [&](int64_t y, int64_t x) { add(me, y, x); });
    });
    const int64_t blocks = count();
    if (scores) {
      sum_over_block<kScores>(
          block, shared, [](const Thread& me, int k) { return score(me, k); },
          [&](int k, double sum) { scores[k * blocks + index] = sum; });
    }
    if (planes.moments) {
      sum_over_block<kMoments>(
          block, shared, [](const Thread& me, int k) { return moment(me, k); },
          [&](int k, double sum) { planes.moments[index * kMoments + k] = sum; });
    }
  }

 private:
  ZNCC_HOST_DEVICE void begin(Thread& me) const {
    me.x = 0.0;
    ZNCC_UNROLL
    for (int k = 0; k < kRows; ++k) {
      me.scores[k] = me.by_y[k] = 0.0;
    }
    ZNCC_UNROLL
    for (int k = 0; k < kPairs; ++k) {
      me.moments[k] = me.y_moments[k] = me.yy_moments[k] = 0.0;
    }
  }

  ZNCC_HOST_DEVICE void add(Thread& me, int64_t y, int64_t x) const {
    const int64_t at = y * shape.width() + x, size = shape.height() * shape.width();
    const MovingPoint point = moving_point(shape.warp, in.field, y, x);
    const double gx = static_cast<double>(planes.gx[at]), gy = static_cast<double>(planes.gy[at]);
    const double a = gx * point.by_depth, b = gy * point.by_depth;
    const double c = shape.projective ? -(a * point.u + b * point.v) : 0.0;
    const bool counts = counts_at(shape, y, x);
    const double D = counts ? static_cast<double>(planes.D[at]) : 0.0;
    const double share = counts && planes.share ? static_cast<double>(planes.share[at]) : 0.0;
    const double rows[kRows] = {D * a, D * b, D * c};
    me.x = static_cast<double>(x);
    ZNCC_UNROLL
    for (int k = 0; k < kRows; ++k) {
      me.scores[k] += rows[k];
      me.by_y[k] += rows[k] * static_cast<double>(y);
    }
    const double xx = share * gx * gx, xy = share * gx * gy, yy = share * gy * gy;
    if (pixels && counts) {
      const double values[] = {D * gx, D * gy, xx, xy, yy};
      for (int k = 0; k < 5; ++k) {
        pixels[k * size + at] = static_cast<Map>(values[k]);
      }
    }
    if (planes.moments) {
      add_moments(me, y, x, point, xx, xy, yy);
    }
  }

  // xx, xy, yy: of the pixel itself; that of the window about it is added.
  ZNCC_HOST_DEVICE void add_moments(Thread& me, int64_t y, int64_t x, const MovingPoint& point, double xx, double xy,
                                    double yy) const {
    const int64_t map_y = y - shape.h / 2, map_x = x - shape.h / 2;
    if (map_y >= 0 && map_y < shape.map_height() && map_x >= 0 && map_x < shape.map_width()) {
      const int64_t at = map_y * shape.map_width() + map_x;
      xx += planes.xx[at];
      xy += planes.xy[at];
      yy += planes.yy[at];
    }
    const double by = point.by_depth * point.by_depth;
    xx *= by;
    xy *= by;
    yy *= by;
    // c = -(a u + b v)
    const double u = point.u, v = point.v, last = shape.projective ? 1.0 : 0.0;
    const double xc = -(xx * u + xy * v) * last, yc = -(xy * u + yy * v) * last, cc = -(xc * u + yc * v);
    const double pairs[kPairs] = {xx, xy, yy, xc, yc, cc}, row = static_cast<double>(y);
    ZNCC_UNROLL
    for (int k = 0; k < kPairs; ++k) {
      me.moments[k] += pairs[k];
      me.y_moments[k] += row * pairs[k];
      me.yy_moments[k] += row * row * pairs[k];
    }
  }

  static ZNCC_HOST_DEVICE double score(const Thread& me, int k) {
    return k % 3 == 0 ? me.x * me.scores[k / 3] : k % 3 == 1 ? me.by_y[k / 3] : me.scores[k / 3];
  }

  // With 1, x, x^2, y, x y, y^2.
  static ZNCC_HOST_DEVICE double moment(const Thread& me, int k) {
    const int pair = k / kPowers, power = k % kPowers;
    const double value = power < 3 ? me.moments[pair] : power < 5 ? me.y_moments[pair] : me.yy_moments[pair];
    return power == 2 ? me.x * me.x * value : power == 1 || power == 4 ? me.x * value : value;
  }
};

// Sums over the windows of cells: a block adds up 32 x 32 windows of one cell.
template <typename Map>
struct CellBlocks {
  using Shared = SumSpace;
  struct Thread {
    double sums[kCellPlanes];
  };

  PairMetricShape shape;
  PairMetricPlanes<Map> planes;
  int64_t rows, columns;  // of the windows of a cell that count

  CellBlocks(const PairMetricShape& shape, const PairMetricPlanes<Map>& planes)
      : shape(shape), planes(planes), rows(counted(shape.cells.height, shape.cells.top, shape.map_height())),
        columns(counted(shape.cells.width, shape.cells.left, shape.map_width())) {}

  ZNCC_HOST_DEVICE int64_t parts() const { return blocks_of(rows, columns); }
  ZNCC_HOST_DEVICE int64_t count() const { return shape.cells.rows * shape.cells.columns * parts(); }

  template <typename Block>
  ZNCC_HOST_DEVICE void compute(Block& block, Shared& shared, int64_t index) const {
    const int64_t cell = index / parts();
    const int64_t top = shape.cells.top + cell / shape.cells.columns * shape.cells.height;
    const int64_t left = shape.cells.left + cell % shape.cells.columns * shape.cells.width;
    block.alone([&](int t, Thread& me) {
      ZNCC_UNROLL
      for (int k = 0; k < kCellPlanes; ++k) {
        me.sums[k] = 0.0;
      }
      for_pixels(rows, columns, index % parts(), t, [&](int64_t y, int64_t x) { add(me, top + y, left + x); });
    });
    sum_over_block<kCellPlanes>(
        block, shared, [](const Thread& me, int k) { return me.sums[k]; },
        [&](int k, double sum) { planes.cells[index * kCellPlanes + k] = sum; });
  }

 private:
  ZNCC_HOST_DEVICE void add(Thread& me, int64_t y, int64_t x) const {
    if (y < 0 || y >= shape.map_height() || x < 0 || x >= shape.map_width() || !counts_at(shape, y, x)) {
      return;
    }
    const int64_t at = y * shape.map_width() + x;
    const double W = static_cast<double>(planes.W[at]), w = static_cast<double>(planes.w[at]);
    const double z = static_cast<double>(planes.z[at]);
    me.sums[0] += W;
    me.sums[1] += w;
    me.sums[2] += W * z;
    me.sums[3] += w * z;
    me.sums[4] += W * static_cast<double>(planes.z2[at]);
  }

  int64_t counted(int64_t side, int64_t first, int64_t map_side) const {
    const int64_t windows = shape.cells.inside ? side - shape.h + 1 : side;
    return std::clamp<int64_t>(windows, 0, map_side - std::min<int64_t>(first, 0));
  }
};

// The curvature, from its moments.
struct CurvatureBlocks {
  using Shared = Nothing;
  using Thread = Nothing;

  const double* moments;
  double* curvature;

  ZNCC_HOST_DEVICE int64_t count() const { return 1; }

  template <typename Block>
  ZNCC_HOST_DEVICE void compute(Block& block, Shared&, int64_t) const {
    block.alone([&](int t, Thread&) {
      if (t < 81) {
        curvature[t] = moments[moment_of_entry(t / 9, t % 9)];
      }
    });
  }
};

}  // namespace zncc
