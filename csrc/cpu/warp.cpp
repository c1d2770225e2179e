// Values of an image at the pixels of another frame, on the CPU: warp.h.
#include "warp.h"

#include "spline.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <vector>

namespace zncc {
namespace {

template <typename Map, typename Spline>
ZNCC_INLINE void warp_rows(const WarpShape& shape, const Map* knots, Map* values, Map* depth, int64_t first,
                           int64_t last) {
  const int64_t size = shape.height * shape.width, frame = shape.frame_height * shape.frame_width;
  Points<Map> points;
  for (int64_t y = first; y < last; ++y) {
    for (int64_t begin = 0; begin < shape.frame_width; begin += points.kBatch) {
      const int64_t count = std::min(points.kBatch, shape.frame_width - begin);
      points.find(shape, y, begin, count);
      const int64_t to = y * shape.frame_width + begin;
      for (int64_t i = 0; i < count; ++i) {
        depth[to + i] = static_cast<Map>(std::min(std::max(points.distance[i], 0.0), 1.0));
      }
      for (int64_t plane = 0; plane < shape.planes; ++plane) {
        if constexpr (std::is_same_v<Spline, Lanczos<Map>>) {
          for (int64_t i = 0; i < count; ++i) {
            const Patch<Map, Spline> patch(shape, knots + plane * size, points.column[i], points.row[i]);
            values[plane * frame + to + i] = Spline::value(patch.data, patch.stride, points.s[i], points.t[i]);
          }
        } else {
          values_at<Map, Spline>(shape, knots + plane * size, count, points.column, points.row, points.s, points.t,
                                 values + plane * frame + to);
        }
        for (int64_t i = 0; i < count; ++i) {
          values[plane * frame + to + i] += points.lost[i];
        }
      }
    }
  }
}

// The pole of the filter, and where a mirrored beginning is cut: 0.268^32 is 5e-19.
constexpr double kPole = -0.26794919243112270647;
constexpr int64_t kReach = 32;

// One axis of n values, `step` apart, of `count` neighbours that are filtered alike and lie side by side.
template <typename Map>
void filter(Map* values, int64_t n, int64_t step, int64_t count) {
  if (n == 1) {
    return;
  }
  const Map z = static_cast<Map>(kPole);
  // What the recursion from far before the mirrored beginning would have come to.
  constexpr int64_t kBatch = 64;
  for (int64_t begin = 0; begin < count; begin += kBatch) {
    const int64_t some = std::min(kBatch, count - begin);
    double start[kBatch] = {}, power = 1.0;
    for (int64_t k = 0; k < kReach; ++k, power *= kPole) {
      const Map* row = values + mirrored(k, n) * step + begin;
      for (int64_t x = 0; x < some; ++x) {
        start[x] += power * static_cast<double>(row[x]);
      }
    }
    for (int64_t x = 0; x < some; ++x) {
      values[begin + x] = static_cast<Map>(start[x]);
    }
  }
  for (int64_t k = 1; k < n; ++k) {
    Map* row = values + k * step;
    for (int64_t x = 0; x < count; ++x) {
      row[x] += z * row[x - step];
    }
  }
  const Map last = static_cast<Map>(6 * kPole / (kPole * kPole - 1));
  Map* end = values + (n - 1) * step;
  for (int64_t x = 0; x < count; ++x) {
    end[x] = last * (end[x] + z * end[x - step]);
  }
  for (int64_t k = n - 2; k >= 0; --k) {
    Map* row = values + k * step;
    for (int64_t x = 0; x < count; ++x) {
      row[x] = z * (row[x + step] - 6 * row[x]);
    }
  }
}

template <typename Map>
ZNCC_INLINE void warp_any(const WarpShape& shape, const Map* knots, Map* values, Map* depth, int64_t first,
                          int64_t last) {
  if (shape.degree == 1) {
    warp_rows<Map, Linear<Map>>(shape, knots, values, depth, first, last);
  } else if (shape.degree == kLanczos) {
    warp_rows<Map, Lanczos<Map>>(shape, knots, values, depth, first, last);
  } else {
    warp_rows<Map, Cubic<Map>>(shape, knots, values, depth, first, last);
  }
}

template <typename Map>
void knots_of(int64_t height, int64_t width, Map* plane) {
  filter(plane, height, width, width);
  for (int64_t y = 0; y < height; ++y) {
    filter(plane + y * width, width, 1, 1);
  }
}

// out[x], of count: the sum over k in [-reach, reach] of weights[|k|] middle[k step + x].
inline void weighted_row(const double* middle, int64_t step, const double* weights, int64_t reach, int64_t count,
                         double* out) {
  constexpr int64_t kBatch = 64;
  for (int64_t begin = 0; begin < count; begin += kBatch) {
    const int64_t some = std::min(kBatch, count - begin);
    double sums[kBatch];
    for (int64_t x = 0; x < some; ++x) {
      sums[x] = weights[0] * middle[begin + x];
    }
    for (int64_t k = 1; k <= reach; ++k) {
      const double *before = middle + begin - k * step, *behind = middle + begin + k * step;
      for (int64_t x = 0; x < some; ++x) {
        sums[x] += weights[k] * (before[x] + behind[x]);
      }
    }
    std::copy_n(sums, some, out + begin);
  }
}

}  // namespace

void warp(const WarpShape& shape, const float* knots, float* values, float* depth, int64_t first, int64_t last) {
  warp_any(shape, knots, values, depth, first, last);
}

void warp(const WarpShape& shape, const double* knots, double* values, double* depth, int64_t first, int64_t last) {
  warp_any(shape, knots, values, depth, first, last);
}

void spline_knots(int64_t height, int64_t width, float* plane) { knots_of(height, width, plane); }

void spline_knots(int64_t height, int64_t width, double* plane) { knots_of(height, width, plane); }

void weighted_sums(int64_t width, int64_t reach, const double* weights, const double* plane, double* out, int64_t first,
                   int64_t last) {
  const int64_t wide = width + 2 * reach;
  std::vector<double> row(static_cast<size_t>(wide));
  for (int64_t y = first; y < last; ++y) {
    weighted_row(plane + (y + reach) * wide, wide, weights, reach, wide, row.data());
    weighted_row(row.data() + reach, 1, weights, reach, width, out + y * width);
  }
}

}  // namespace zncc
