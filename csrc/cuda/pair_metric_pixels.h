// The pixels of the pair metric on CUDA: the warped moving image, gradients, and how far windows lie inside. Formulas:
// pair_metric.h and cpu/warp.h, whose arithmetic is done here in the same order, one pixel at a time.
#pragma once

#include "../mirrored.h"
#include "../pair_metric_data.h"
#include "frame_blocks.h"

#include <cmath>

namespace zncc {

// What one kernel leaves to the next; nullptr where it is not needed.
template <typename Map>
struct PairMetricPlanes {
  Map *m, *edge, *measured;  // (H, W); measured is null where all was
  Map *across, *W;           // the least edge along a window's row, (H, W-h+1), and in the window, (H-h+1, W-h+1)
  Map *gx, *gy;              // (H, W)
  Map* z2;                   // z with the second eps, (H-h+1, W-h+1)
  Map *z, *w;                // z and W e, likewise
  double *A, *B, *C, *s;     // likewise
  double* contrast;          // s / max(v_m, floor), likewise
  double *xx, *xy, *yy;      // what means and contrasts explain of the curvature, likewise
  Map *D, *share;            // (H, W): D; and q (s (*) 1)
  double *edges, *totals, *cells, *moments;  // sums of blocks, or of tiles
  double* moment_sums;                       // of the whole frame
};

// Where a pixel of the frame lies.
struct MovingPoint {
  double u, v;
  double by_depth;  // one over the third entry of M (x, y, 1); zero where the point is too far away to be said
  double distance;  // from the edge of the box, inward
};

template <typename Map>
ZNCC_HOST_DEVICE inline MovingPoint moving_point(const WarpShape& warp, const Map* field, int64_t y, int64_t x) {
  const double xx = static_cast<double>(x), yy = static_cast<double>(y);
  double u, v, by = 1.0;
  if (field) {
    const Map* by_pixel = field + 2 * (y * warp.frame_width + x);
    u = xx + static_cast<double>(by_pixel[0]);
    v = yy + static_cast<double>(by_pixel[1]);
  } else {
    const double* M = warp.M;
    by = 1.0 / (M[6] * xx + (M[7] * yy + M[8]));
    u = (M[0] * xx + (M[1] * yy + M[2])) * by;
    v = (M[3] * xx + (M[4] * yy + M[5])) * by;
  }
  // No number is less than any other.
  if (!(std::fabs(u) < kMaxCoordinate && std::fabs(v) < kMaxCoordinate)) {
    return {0.0, 0.0, 0.0, 0.0};
  }
  const double left = u - static_cast<double>(warp.left), right = static_cast<double>(warp.right) - u;
  const double top = v - static_cast<double>(warp.top), bottom = static_cast<double>(warp.bottom) - v;
  const double across = right < left ? right : left, down = bottom < top ? bottom : top;
  return {u, v, by, down < across ? down : across};
}

// The value at a point of the plane with these knots, of degree 1 or 3.
template <typename Map>
struct SplineValue {
  const WarpShape& warp;
  int64_t column, row;  // of the knot before the point
  Map s, t;             // from there to the point

  ZNCC_HOST_DEVICE SplineValue(const WarpShape& warp, const MovingPoint& at)
      : warp(warp), column(static_cast<int64_t>(std::floor(at.u))), row(static_cast<int64_t>(std::floor(at.v))),
        s(static_cast<Map>(at.u - static_cast<double>(column))), t(static_cast<Map>(at.v - static_cast<double>(row))) {}

  ZNCC_HOST_DEVICE Map linear(const Map* plane) const {
    const Map* top = plane + mirrored(row, warp.height) * warp.width;
    const Map* bottom = plane + mirrored(row + 1, warp.height) * warp.width;
    const int64_t here = mirrored(column, warp.width), next = mirrored(column + 1, warp.width);
    const Map above = top[here] + s * (top[next] - top[here]), below = bottom[here] + s * (bottom[next] - bottom[here]);
    return above + t * (below - above);
  }

  ZNCC_HOST_DEVICE Map cubic(const Map* plane) const {
    Map across[4], down[4], values[4];
    weights(s, across);
    weights(t, down);
    ZNCC_UNROLL
    for (int i = 0; i < 4; ++i) {
      const Map* knots = plane + mirrored(column - 1 + i, warp.width);
      Map by_row[4];
      ZNCC_UNROLL
      for (int j = 0; j < 4; ++j) {
        by_row[j] = knots[mirrored(row - 1 + j, warp.height) * warp.width] * down[j];
      }
      values[i] = ((by_row[0] + by_row[1]) + (by_row[2] + by_row[3])) * across[i];
    }
    return (values[0] + values[1]) + (values[2] + values[3]);
  }

 private:
  // The four pieces of the B-spline.
  static ZNCC_HOST_DEVICE void weights(Map t, Map* out) {
    constexpr Map k = Map(1) / 6;
    out[0] = k + t * (-3 * k + t * (3 * k + t * -k));
    out[1] = 4 * k + t * (Map(0) + t * (-6 * k + t * (3 * k)));
    out[2] = k + t * (3 * k + t * (3 * k + t * (-3 * k)));
    out[3] = Map(0) + t * (Map(0) + t * (Map(0) + t * k));
  }
};

// Whether windows that begin at a pixel, and the pixel itself, are of a tile that counts.
ZNCC_HOST_DEVICE inline bool counts_at(const PairMetricShape& shape, int64_t y, int64_t x) {
  return shape.counts(y / kStepRows, x / kStepColumns);
}

// Warps the moving image, its mask and its measured shares, and sums the edges.
template <typename Map>
struct WarpBlocks {
  using Shared = SumSpace;
  struct Thread {
    double edges;
  };

  PairMetricShape shape;
  PairMetricInput<Map> in;
  PairMetricPlanes<Map> planes;

  ZNCC_HOST_DEVICE int64_t count() const { return blocks_of(shape.height(), shape.width()); }

  template <typename Block>
  ZNCC_HOST_DEVICE void compute(Block& block, Shared& shared, int64_t index) const {
    block.alone([&](int t, Thread& me) {
      me.edges = 0.0;
      for_pixels(shape.height(), shape.width(), index, t, [&](int64_t y, int64_t x) {
        const double edge = static_cast<double>(warp(y, x));
        me.edges += counts_at(shape, y, x) ? edge : 0.0;
      });
    });
    sum_over_block<1>(
        block, shared, [](const Thread& me, int) { return me.edges; },
        [&](int, double sum) { planes.edges[index] = sum; });
  }

 private:
  // Returns the pixel's edge.
  ZNCC_HOST_DEVICE Map warp(int64_t y, int64_t x) const {
    const int64_t at = y * shape.width() + x;
    const MovingPoint point = moving_point(shape.warp, in.field, y, x);
    const SplineValue<Map> value(shape.warp, point);
    planes.m[at] = shape.warp.degree == 3 ? value.cubic(in.knots) : value.linear(in.knots);
    Map edge = static_cast<Map>(point.distance < 0.0 ? 0.0 : point.distance > 1.0 ? 1.0 : point.distance);
    if (in.moving_mask) {
      const Map valid = value.linear(in.moving_mask);
      edge = valid < edge ? valid : edge;
    }
    edge = in.fixed_mask && !in.fixed_mask[at] ? Map(0) : edge;
    planes.edge[at] = edge;
    if (planes.measured) {
      Map share = in.moving_measured ? value.linear(in.moving_measured) : Map(1);
      share = share < Map(0) ? Map(0) : share > Map(1) ? Map(1) : share;
      planes.measured[at] = in.fixed_measured ? share * in.fixed_measured[at] : share;
    }
    return edge;
  }
};

// The gradient of the mean of both images, in moving coordinates.
template <typename Map>
struct GradientBlocks {
  using Shared = Nothing;
  using Thread = Nothing;

  PairMetricShape shape;
  PairMetricInput<Map> in;
  PairMetricPlanes<Map> planes;
  bool affine;
  Map xx = 0, xy = 0, yx = 0, yy = 0;  // (d(u, v) / d(x, y))^-T where it is the same everywhere

  GradientBlocks(const PairMetricShape& shape, const PairMetricInput<Map>& in, const PairMetricPlanes<Map>& planes)
      : shape(shape), in(in), planes(planes), affine(!in.field && shape.warp.M[6] == 0.0 && shape.warp.M[7] == 0.0) {
    if (affine) {
      const double* M = shape.warp.M;
      const double a = M[0] / M[8], b = M[1] / M[8], c = M[3] / M[8], d = M[4] / M[8], by = 1.0 / (a * d - b * c);
      xx = static_cast<Map>(d * by);
      xy = static_cast<Map>(-c * by);
      yx = static_cast<Map>(-b * by);
      yy = static_cast<Map>(a * by);
    }
  }

  ZNCC_HOST_DEVICE int64_t count() const { return blocks_of(shape.height(), shape.width()); }

  template <typename Block>
  ZNCC_HOST_DEVICE void compute(Block& block, Shared&, int64_t index) const {
    block.alone([&](int t, Thread&) {
      for_pixels(shape.height(), shape.width(), index, t, [&](int64_t y, int64_t x) { find(y, x); });
    });
  }

 private:
  // A pixel's neighbours along an axis, and one over the distance between them; zero where there are none.
  struct Neighbours {
    int64_t before, behind;
    int distance;

    ZNCC_HOST_DEVICE Neighbours(int64_t at, int64_t n)
        : before(at > 0 ? at - 1 : 0), behind(at + 1 < n ? at + 1 : at), distance(static_cast<int>(behind - before)) {}

    template <typename T>
    ZNCC_HOST_DEVICE T over_distance(T value) const {
      return distance == 0 ? T(0) : value / static_cast<T>(distance);
    }
  };

  ZNCC_HOST_DEVICE void find(int64_t y, int64_t x) const {
    const int64_t width = shape.width();
    const Neighbours columns(x, width), rows(y, shape.height());
    const auto slope = [&](int64_t before, int64_t behind) {
      return (in.fixed[behind] - in.fixed[before]) + (planes.m[behind] - planes.m[before]);
    };
    const Map fx = columns.over_distance(Map(0.5)) * slope(y * width + columns.before, y * width + columns.behind);
    const Map fy = rows.over_distance(Map(0.5)) * slope(rows.before * width + x, rows.behind * width + x);
    Map *gx = planes.gx + y * width + x, *gy = planes.gy + y * width + x;
    if (affine) {
      *gx = xx * fx + xy * fy;
      *gy = yx * fx + yy * fy;
      return;
    }
    const double* M = shape.warp.M;
    double a, b, c, d;
    if (in.field) {
      const MovingPoint left = moving_point(shape.warp, in.field, y, columns.before);
      const MovingPoint right = moving_point(shape.warp, in.field, y, columns.behind);
      const MovingPoint above = moving_point(shape.warp, in.field, rows.before, x);
      const MovingPoint below = moving_point(shape.warp, in.field, rows.behind, x);
      a = (right.u - left.u) * columns.over_distance(1.0);
      b = (below.u - above.u) * rows.over_distance(1.0);
      c = (right.v - left.v) * columns.over_distance(1.0);
      d = (below.v - above.v) * rows.over_distance(1.0);
    } else {
      const MovingPoint at = moving_point(shape.warp, in.field, y, x);
      a = (M[0] - at.u * M[6]) * at.by_depth;
      b = (M[1] - at.u * M[7]) * at.by_depth;
      c = (M[3] - at.v * M[6]) * at.by_depth;
      d = (M[4] - at.v * M[7]) * at.by_depth;
    }
    const double det = a * d - b * c, by = det != 0.0 ? 1.0 / det : 0.0;
    *gx = static_cast<Map>((d * static_cast<double>(fx) - c * static_cast<double>(fy)) * by);
    *gy = static_cast<Map>((a * static_cast<double>(fy) - b * static_cast<double>(fx)) * by);
  }
};

// The least of h values `apart` from each other, from each of rows x columns places on; times a weight where there is one.
template <typename Map>
struct LeastBlocks {
  using Shared = Nothing;
  using Thread = Nothing;

  const Map* from;  // `pitch` from one row to the next
  int64_t pitch, apart, h;
  const Map* weight;
  Map* least;
  int64_t rows, columns;

  ZNCC_HOST_DEVICE int64_t count() const { return blocks_of(rows, columns); }

  template <typename Block>
  ZNCC_HOST_DEVICE void compute(Block& block, Shared&, int64_t index) const {
    block.alone([&](int t, Thread&) {
      for_pixels(rows, columns, index, t, [&](int64_t y, int64_t x) {
        const Map* value = from + y * pitch + x;
        Map all = *value;
        for (int64_t i = 1; i < h; ++i) {
          value += apart;
          all = *value < all ? *value : all;
        }
        const int64_t at = y * columns + x;
        least[at] = weight ? all * weight[at] : all;
      });
    });
  }
};

}  // namespace zncc
