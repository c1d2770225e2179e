// Values of an image at the pixels of another frame, on the CPU: warp.h.
#include "warp.h"

#include "box_sums.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

// Vectors are passed between functions that are all inlined: no interface depends on how.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

namespace zncc {
namespace {

// The index of a knot, mirrored at the first and the last one.
inline int64_t mirrored(int64_t i, int64_t n) {
  if (n == 1) {
    return 0;
  }
  const int64_t period = 2 * (n - 1);
  i = std::abs(i) % period;
  return i < n ? i : period - i;
}

// The polynomial between two knots, of the 2 x 2 knots around the point. s, t: how far it is from the second one of the
// four, along x and y; data: the first of them, `stride` from one row to the next.
template <typename Map>
struct Linear {
  static constexpr int kCount = 2, kBefore = 0;

  static ZNCC_INLINE Map value(const Map* data, int64_t stride, Map s, Map t) {
    const Map *top = data, *bottom = data + stride;
    const Map above = top[0] + s * (top[1] - top[0]), below = bottom[0] + s * (bottom[1] - bottom[0]);
    return above + t * (below - above);
  }

  static ZNCC_INLINE void slopes(const Map* data, int64_t stride, Map s, Map t, Map* across, Map* down) {
    const Map *top = data, *bottom = data + stride;
    const Map above = top[1] - top[0], below = bottom[1] - bottom[0];
    *across = above + t * (below - above);
    *down = (bottom[0] + s * below) - (top[0] + s * above);
  }
};

// The same of 4 x 4 knots, one before and two behind.
template <typename Map>
struct Cubic {
  static constexpr int kCount = 4, kBefore = 1;
  typedef Map Four __attribute__((vector_size(4 * sizeof(Map))));

  // The four pieces of the B-spline, and their slopes.
  static ZNCC_INLINE Four weights(Map t) {
    constexpr Map k = Map(1) / 6;
    const Four c0{k, 4 * k, k, 0}, c1{-3 * k, 0, 3 * k, 0}, c2{3 * k, -6 * k, 3 * k, 0}, c3{-k, 3 * k, -3 * k, k};
    return c0 + t * (c1 + t * (c2 + t * c3));
  }
  static ZNCC_INLINE Four slope(Map t) {
    constexpr Map k = Map(1) / 2;
    const Four c0{-k, 0, k, 0}, c1{2 * k, -4 * k, 2 * k, 0}, c2{-k, 3 * k, -3 * k, k};
    return c0 + t * (c1 + t * c2);
  }

  static ZNCC_INLINE Four columns(const Map* data, int64_t stride, const Four& by) {
    Four rows[4];
    for (int j = 0; j < 4; ++j) {
      std::memcpy(&rows[j], data + j * stride, sizeof rows[j]);
    }
    return (rows[0] * by[0] + rows[1] * by[1]) + (rows[2] * by[2] + rows[3] * by[3]);
  }
  static ZNCC_INLINE Map sum(const Four& four) { return (four[0] + four[1]) + (four[2] + four[3]); }

  static ZNCC_INLINE Map value(const Map* data, int64_t stride, Map s, Map t) {
    return sum(columns(data, stride, weights(t)) * weights(s));
  }

  static ZNCC_INLINE void slopes(const Map* data, int64_t stride, Map s, Map t, Map* across, Map* down) {
    *across = sum(columns(data, stride, weights(t)) * slope(s));
    *down = sum(columns(data, stride, slope(t)) * weights(s));
  }
};

// Values alone, of 6 x 6 pixels, two before and three behind.
template <typename Map>
struct Lanczos {
  static constexpr int kCount = 6, kBefore = 2;

  static ZNCC_INLINE void weights(Map t, Map* out) {
    constexpr double kPi = 3.14159265358979323846;
    const double s = static_cast<double>(t);
    // Nearer than this to a pixel, a square below would be no number. A point less than a rounding before the next
    // pixel is on it: the distance to the one before is 1 then.
    if (s < 1e-100 || s >= 1.0) {
      std::fill_n(out, kCount, Map(0));
      out[kBefore + (s >= 1.0 ? 1 : 0)] = Map(1);
      return;
    }
    // sin(pi d) is the same of all six, up to its sign; the constant 3 / pi^2 falls out.
    const double wave = std::sin(kPi * std::min(s, 1.0 - s));
    double by[kCount], sum = 0.0;
    for (int k = 0; k < kCount; ++k) {
      const double d = s + static_cast<double>(kBefore - k);
      by[k] = (k % 2 == 0 ? wave : -wave) * std::sin(kPi / 3.0 * d) / (d * d);
      sum += by[k];
    }
    for (int k = 0; k < kCount; ++k) {
      out[k] = static_cast<Map>(by[k] / sum);
    }
  }

  static ZNCC_INLINE Map value(const Map* data, int64_t stride, Map s, Map t) {
    Map across[kCount], down[kCount], sum = Map(0);
    weights(s, across);
    weights(t, down);
    for (int j = 0; j < kCount; ++j) {
      Map line = Map(0);
      for (int i = 0; i < kCount; ++i) {
        line += data[j * stride + i] * across[i];
      }
      sum += line * down[j];
    }
    return sum;
  }
};

// Where consecutive pixels of a row of the frame lie: a few at a time, so that the loop over them is vectorised.
template <typename Map>
struct Points {
  static constexpr int64_t kBatch = 64;
  double u[kBatch], v[kBatch];
  double by_depth[kBatch];              // one over the third entry of M (x, y, 1)
  double distance[kBatch];              // the depth, not yet cut
  int32_t column[kBatch], row[kBatch];  // of the knot before the point
  Map s[kBatch], t[kBatch];             // from there to the point
  Map lost[kBatch];                     // NaN where the point is too far away to be said, else zero

  ZNCC_INLINE void find(const WarpShape& shape, int64_t y, int64_t begin, int64_t count) {
    const double* M = shape.M;
    const double yy = static_cast<double>(shape.frame.row + y);
    const double left = static_cast<double>(shape.left), right = static_cast<double>(shape.right);
    const double top = static_cast<double>(shape.top), bottom = static_cast<double>(shape.bottom);
    const double u0 = M[1] * yy + M[2], v0 = M[4] * yy + M[5], w0 = M[7] * yy + M[8];
    for (int64_t i = 0; i < count; ++i) {
      const double x = static_cast<double>(shape.frame.column + begin + i);
      const double by = 1.0 / (M[6] * x + w0);
      const double a = (M[0] * x + u0) * by, b = (M[3] * x + v0) * by;
      const bool near = std::fabs(a) < kMaxCoordinate && std::fabs(b) < kMaxCoordinate;
      by_depth[i] = near ? by : 0.0;
      u[i] = near ? a : 0.0;
      v[i] = near ? b : 0.0;
      lost[i] = near ? Map(0) : static_cast<Map>(NAN);
    }
    for (int64_t i = 0; i < count; ++i) {
      const double across = std::min(u[i] - left, right - u[i]), down = std::min(v[i] - top, bottom - v[i]);
      distance[i] = by_depth[i] != 0.0 ? std::min(across, down) : 0.0;
      // Rounded toward zero, and down from there.
      const int32_t i_u = static_cast<int32_t>(u[i]), i_v = static_cast<int32_t>(v[i]);
      column[i] = i_u - (u[i] < static_cast<double>(i_u) ? 1 : 0);
      row[i] = i_v - (v[i] < static_cast<double>(i_v) ? 1 : 0);
      s[i] = static_cast<Map>(u[i] - static_cast<double>(column[i]));
      t[i] = static_cast<Map>(v[i] - static_cast<double>(row[i]));
    }
  }
};

// The knots around a point: as they lie in the plane or, at its edges, copied.
template <typename Map, typename Spline>
struct Patch {
  const Map* data;
  int64_t stride;
  Map copied[Spline::kCount * Spline::kCount];

  ZNCC_INLINE Patch(const WarpShape& shape, const Map* plane, int64_t column, int64_t row) {
    const int64_t left = column - shape.knots.column - Spline::kBefore;
    const int64_t top = row - shape.knots.row - Spline::kBefore;
    if (left >= 0 && left + Spline::kCount <= shape.width && top >= 0 && top + Spline::kCount <= shape.height) {
      data = plane + top * shape.width + left;
      stride = shape.width;
    } else {
      copy(shape, plane, left, top);
      data = copied;
      stride = Spline::kCount;
    }
  }

  ZNCC_OUTLINE void copy(const WarpShape& shape, const Map* plane, int64_t left, int64_t top) {
    for (int j = 0; j < Spline::kCount; ++j) {
      const Map* row = plane + mirrored(top + j, shape.height) * shape.width;
      for (int i = 0; i < Spline::kCount; ++i) {
        copied[j * Spline::kCount + i] = row[mirrored(left + i, shape.width)];
      }
    }
  }
};

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
        for (int64_t i = 0; i < count; ++i) {
          const Patch<Map, Spline> patch(shape, knots + plane * size, points.column[i], points.row[i]);
          values[plane * frame + to + i] =
              Spline::value(patch.data, patch.stride, points.s[i], points.t[i]) + points.lost[i];
        }
      }
    }
  }
}

template <typename Map, typename Spline>
ZNCC_INLINE void backward_rows(const WarpShape& shape, const Map* knots, const Map* g, const Map* g_depth, double* dM,
                               int64_t first, int64_t last) {
  const int64_t size = shape.height * shape.width, frame = shape.frame_height * shape.frame_width;
  const double left = static_cast<double>(shape.left), right = static_cast<double>(shape.right);
  const double top = static_cast<double>(shape.top);
  Points<Map> points;
  for (int64_t y = first; y < last; ++y) {
    // Of each row of M: the sums of its gradient, and of the gradient times x.
    double sums[3] = {}, sums_x[3] = {};
    for (int64_t begin = 0; begin < shape.frame_width; begin += points.kBatch) {
      const int64_t count = std::min(points.kBatch, shape.frame_width - begin);
      points.find(shape, y, begin, count);
      const int64_t from = y * shape.frame_width + begin;
      for (int64_t i = 0; i < count; ++i) {
        double g_u = 0.0, g_v = 0.0;
        for (int64_t plane = 0; plane < shape.planes; ++plane) {
          const Patch<Map, Spline> patch(shape, knots + plane * size, points.column[i], points.row[i]);
          Map across, down;
          Spline::slopes(patch.data, patch.stride, points.s[i], points.t[i], &across, &down);
          const double arrives = static_cast<double>(g[plane * frame + from + i]);
          g_u += arrives * static_cast<double>(across);
          g_v += arrives * static_cast<double>(down);
        }
        const double distance = points.distance[i];
        if (distance > 0.0 && distance < 1.0) {
          const bool rises = distance == points.u[i] - left || distance == points.v[i] - top;
          const bool along_u = distance == points.u[i] - left || distance == right - points.u[i];
          (along_u ? g_u : g_v) += (rises ? 1.0 : -1.0) * static_cast<double>(g_depth[from + i]);
        }
        const double a = g_u * points.by_depth[i], b = g_v * points.by_depth[i];
        const double of_row[3] = {a, b, -(a * points.u[i] + b * points.v[i])};
        for (int row = 0; row < 3; ++row) {
          sums[row] += of_row[row];
          sums_x[row] += of_row[row] * static_cast<double>(begin + i);
        }
      }
    }
    for (int row = 0; row < 3; ++row) {
      double* out = dM + 9 * y + 3 * row;
      out[0] = sums_x[row];
      out[1] = sums[row] * static_cast<double>(y);
      out[2] = sums[row];
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
ZNCC_INLINE void backward_any(const WarpShape& shape, const Map* knots, const Map* g, const Map* g_depth, double* dM,
                              int64_t first, int64_t last) {
  if (shape.degree == 1) {
    backward_rows<Map, Linear<Map>>(shape, knots, g, g_depth, dM, first, last);
  } else {
    backward_rows<Map, Cubic<Map>>(shape, knots, g, g_depth, dM, first, last);
  }
}

// Down, then up, and along the rows as soon as they are done: while they are in the cache.
template <typename Map>
void knots_of(int64_t height, int64_t width, const Map* plane, Map* knots) {
  constexpr int64_t kRows = 8;
  const Map z = static_cast<Map>(kPole);
  for (int64_t x = 0; x < width; ++x) {
    knots[x] = height == 1 ? plane[x] : first_knot(plane + x, height, width);
  }
  for (int64_t y = 1; y < height; ++y) {
    const Map* in = plane + y * width;
    Map* row = knots + y * width;
    ZNCC_VECTOR_LOOP
    for (int64_t x = 0; x < width; ++x) {
      row[x] = in[x] + z * row[x - width];
    }
  }
  int64_t left = width == 1 ? 0 : height;  // rows that are still to be filtered along themselves
  for (int64_t y = height - 1; y >= 0; --y) {
    Map* row = knots + y * width;
    if (y == height - 1 && height > 1) {
      for (int64_t x = 0; x < width; ++x) {
        row[x] = kFirstBack<Map> * (row[x] + z * row[x - width]);
      }
    } else if (height > 1) {
      ZNCC_VECTOR_LOOP
      for (int64_t x = 0; x < width; ++x) {
        row[x] = z * (row[x + width] - 6 * row[x]);
      }
    }
    // The next row is made from this one as it is.
    if (left - y > kRows) {
      left -= kRows;
      filter_rows<kRows>(knots + left * width, width);
    }
  }
  for (; left >= kRows; left -= kRows) {
    filter_rows<kRows>(knots + (left - kRows) * width, width);
  }
  for (; left > 0; --left) {
    filter_rows<1>(knots + (left - 1) * width, width);
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

void warp_backward(const WarpShape& shape, const float* knots, const float* g, const float* g_depth, double* dM,
                   int64_t first, int64_t last) {
  backward_any(shape, knots, g, g_depth, dM, first, last);
}

void warp_backward(const WarpShape& shape, const double* knots, const double* g, const double* g_depth, double* dM,
                   int64_t first, int64_t last) {
  backward_any(shape, knots, g, g_depth, dM, first, last);
}

void spline_knots(int64_t height, int64_t width, const float* plane, float* knots) {
  knots_of(height, width, plane, knots);
}

void spline_knots(int64_t height, int64_t width, const double* plane, double* knots) {
  knots_of(height, width, plane, knots);
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
