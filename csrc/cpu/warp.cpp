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
      points.depths(count, depth + to);
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

// What the recursion from far before the mirrored beginning has come to at the first of n values, `step` apart.
template <typename Map>
ZNCC_INLINE Map first_knot(const Map* values, int64_t n, int64_t step) {
  double sum = 0.0, power = 1.0;
  for (int64_t k = 0; k < kReach; ++k, power *= kPole) {
    sum += power * static_cast<double>(values[mirrored(k, n) * step]);
  }
  return static_cast<Map>(sum);
}

template <typename Map>
constexpr Map kFirstBack = static_cast<Map>(6 * kPole / (kPole * kPole - 1));

// kRows rows of n values at once, in place: each is one chain of operations, which wait for each other.
template <int64_t kRows, typename Map>
ZNCC_INLINE void filter_rows(Map* values, int64_t n) {
  const Map z = static_cast<Map>(kPole);
  Map now[kRows];
  for (int64_t row = 0; row < kRows; ++row) {
    now[row] = first_knot(values + row * n, n, 1);
    values[row * n] = now[row];
  }
  for (int64_t x = 1; x < n; ++x) {
    ZNCC_UNROLL_PLANES
    for (int64_t row = 0; row < kRows; ++row) {
      now[row] = values[row * n + x] + z * now[row];
      values[row * n + x] = now[row];
    }
  }
  for (int64_t row = 0; row < kRows; ++row) {
    Map* end = values + row * n + n - 1;
    now[row] = kFirstBack<Map> * (end[0] + z * end[-1]);
    end[0] = now[row];
  }
  for (int64_t x = n - 2; x >= 0; --x) {
    ZNCC_UNROLL_PLANES
    for (int64_t row = 0; row < kRows; ++row) {
      now[row] = z * (now[row] - 6 * values[row * n + x]);
      values[row * n + x] = now[row];
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
void filter_columns(int64_t height, int64_t width, const Map* plane, Map* knots, int64_t first, int64_t last) {
  const Map z = static_cast<Map>(kPole);
  for (int64_t x = first; x < last; ++x) {
    knots[x] = height == 1 ? plane[x] : first_knot(plane + x, height, width);
  }
  for (int64_t y = 1; y < height; ++y) {
    const Map* in = plane + y * width;
    Map* row = knots + y * width;
    ZNCC_VECTOR_LOOP
    for (int64_t x = first; x < last; ++x) {
      row[x] = in[x] + z * row[x - width];
    }
  }
  if (height > 1) {
    Map* row = knots + (height - 1) * width;
    for (int64_t x = first; x < last; ++x) {
      row[x] = kFirstBack<Map> * (row[x] + z * row[x - width]);
    }
  }
  for (int64_t y = height - 2; y >= 0; --y) {
    Map* row = knots + y * width;
    ZNCC_VECTOR_LOOP
    for (int64_t x = first; x < last; ++x) {
      row[x] = z * (row[x + width] - 6 * row[x]);
    }
  }
}

template <typename Map>
void filter_all_rows(int64_t width, Map* knots, int64_t first, int64_t last) {
  constexpr int64_t kRows = 8;
  if (width == 1) {
    return;
  }
  for (; first + kRows <= last; first += kRows) {
    filter_rows<kRows>(knots + first * width, width);
  }
  for (; first < last; ++first) {
    filter_rows<1>(knots + first * width, width);
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

void knots_of_columns(int64_t height, int64_t width, const float* plane, float* knots, int64_t first, int64_t last) {
  filter_columns(height, width, plane, knots, first, last);
}

void knots_of_rows(int64_t width, float* knots, int64_t first, int64_t last) {
  filter_all_rows(width, knots, first, last);
}

void knots_of_columns(int64_t height, int64_t width, const double* plane, double* knots, int64_t first, int64_t last) {
  filter_columns(height, width, plane, knots, first, last);
}

void knots_of_rows(int64_t width, double* knots, int64_t first, int64_t last) {
  filter_all_rows(width, knots, first, last);
}

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
