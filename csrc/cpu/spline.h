// The pieces of a warp: the spline between the knots around a point, and these knots themselves. Formulas: warp.h.
#pragma once

#include "../mirrored.h"
#include "box_sums.h"
#include "warp.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace zncc {

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
};

// The same of 4 x 4 knots, one before and two behind.
template <typename Map>
struct Cubic {
  static constexpr int kCount = 4, kBefore = 1;
  typedef Map Four __attribute__((vector_size(4 * sizeof(Map))));

  // The four pieces of the B-spline.
  static ZNCC_INLINE Four weights(Map t) {
    constexpr Map k = Map(1) / 6;
    const Four c0{k, 4 * k, k, 0}, c1{-3 * k, 0, 3 * k, 0}, c2{3 * k, -6 * k, 3 * k, 0}, c3{-k, 3 * k, -3 * k, k};
    return c0 + t * (c1 + t * (c2 + t * c3));
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
};

// Of 6 x 6 pixels, two before and three behind.
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

typedef int32_t FourIndices __attribute__((vector_size(4 * sizeof(int32_t))));

// Where consecutive pixels of a row of the frame lie, a few at a time, four in a register.
template <typename Map>
struct Points {
  static constexpr int64_t kBatch = 64;
  double u[kBatch], v[kBatch];
  double by_depth[kBatch];              // one over the third entry of M (x, y, 1)
  double distance[kBatch];              // the depth, not yet cut
  int32_t column[kBatch], row[kBatch];  // of the knot before the point
  Map s[kBatch], t[kBatch];             // from there to the point
  Map lost[kBatch];                     // NaN where the point is too far away to be said, else zero

  // By the matrix.
  ZNCC_INLINE void find(const WarpShape& shape, int64_t y, int64_t begin, int64_t count) {
    const double* M = shape.M;
    const double yy = static_cast<double>(shape.frame.row + y), first = static_cast<double>(shape.frame.column + begin);
    const double u0 = M[1] * yy + M[2], v0 = M[4] * yy + M[5], w0 = M[7] * yy + M[8];
    const bool affine = M[6] == 0.0;
    const double last = first + static_cast<double>((count + 3) / 4 * 4 - 1), by_w0 = 1.0 / w0;
    // Each coordinate rises or falls along a row that no horizon crosses: what is near at both ends is so between them.
    const double by_first = 1.0 / (M[6] * first + w0), by_last = 1.0 / (M[6] * last + w0);
    const bool near = by_first * by_last > 0.0 && is_near(M[0] * first + u0, M[3] * first + v0, by_first) &&
                      is_near(M[0] * last + u0, M[3] * last + v0, by_last);
    Lanes x{first, first + 1.0, first + 2.0, first + 3.0};
    if (near && affine && by_w0 == 1.0) {
      for (int64_t i = 0; i < count; i += 4, x = x + 4.0) {
        place_near(shape, i, M[0] * x + u0, M[3] * x + v0, Lanes{} + 1.0);
      }
    } else if (near) {
      for (int64_t i = 0; i < count; i += 4, x = x + 4.0) {
        const Lanes by = affine ? Lanes{} + by_w0 : 1.0 / (M[6] * x + w0);
        place_near(shape, i, (M[0] * x + u0) * by, (M[3] * x + v0) * by, by);
      }
    } else {
      for (int64_t i = 0; i < count; i += 4, x = x + 4.0) {
        const Lanes by = affine ? Lanes{} + by_w0 : 1.0 / (M[6] * x + w0);
        place(shape, i, (M[0] * x + u0) * by, (M[3] * x + v0) * by, by);
      }
    }
  }

  // The depth of each point, cut to [0, 1].
  ZNCC_INLINE void depths(int64_t count, Map* to) const {
    Map cut[kBatch];
    for (int64_t i = 0; i < count; i += 4) {
      const Lanes zero{}, inside = load_lanes(distance + i), positive = inside > zero ? inside : zero;
      store(cut + i, __builtin_convertvector(least(positive, zero + 1.0), Four));
    }
    std::copy_n(cut, count, to);
  }

  // By what is added to the frame's own coordinates, (x, y) of one pixel after the other.
  ZNCC_INLINE void find(const WarpShape& shape, const Map* field, int64_t y, int64_t begin, int64_t count) {
    double du[kBatch] = {}, dv[kBatch] = {};
    for (int64_t i = 0; i < count; ++i) {
      du[i] = static_cast<double>(field[2 * i]);
      dv[i] = static_cast<double>(field[2 * i + 1]);
    }
    const double first = static_cast<double>(begin), yy = static_cast<double>(y);
    Lanes x{first, first + 1.0, first + 2.0, first + 3.0};
    for (int64_t i = 0; i < count; i += 4, x = x + 4.0) {
      place(shape, i, x + load_lanes(du + i), yy + load_lanes(dv + i), Lanes{} + 1.0);
    }
  }

 private:
  typedef Map Four __attribute__((vector_size(4 * sizeof(Map))));

  static ZNCC_INLINE Lanes least(const Lanes& a, const Lanes& b) { return b < a ? b : a; }

  static ZNCC_INLINE Lanes size(const Lanes& a) { return a < 0.0 ? -a : a; }

  template <typename Vector, typename Value>
  static ZNCC_INLINE void store(Value* to, const Vector& values) {
    std::memcpy(to, &values, sizeof values);
  }

  static ZNCC_INLINE bool is_near(double a, double b, double by) {
    return std::fabs(a * by) < kMaxCoordinate && std::fabs(b * by) < kMaxCoordinate;
  }

  // Where four points (a, b) lie, of the pixels from i on.
  ZNCC_INLINE void place(const WarpShape& shape, int64_t i, const Lanes& a, const Lanes& b, const Lanes& by) {
    // No number is less than any other.
    const auto near = (size(a) < kMaxCoordinate) & (size(b) < kMaxCoordinate);
    const Lanes zero{};
    place_near(shape, i, near ? a : zero, near ? b : zero, near ? by : zero);
    const Lanes inside = load_lanes(distance + i);
    store(distance + i, near ? inside : zero);
    store(lost + i, __builtin_convertvector(near ? zero : zero + static_cast<double>(NAN), Four));
  }

  ZNCC_INLINE void place_near(const WarpShape& shape, int64_t i, const Lanes& a, const Lanes& b, const Lanes& by) {
    const double left = static_cast<double>(shape.left), right = static_cast<double>(shape.right);
    const double top = static_cast<double>(shape.top), bottom = static_cast<double>(shape.bottom);
    store(u + i, a);
    store(v + i, b);
    store(by_depth + i, by);
    store(distance + i, least(least(a - left, right - a), least(b - top, bottom - b)));
    store(lost + i, Four{});
    place_along(a, column + i, s + i);
    place_along(b, row + i, t + i);
  }

  static ZNCC_INLINE void place_along(const Lanes& at, int32_t* knot, Map* beyond) {
    // Rounded toward zero, and down from there.
    const FourIndices cut = __builtin_convertvector(at, FourIndices);
    const FourIndices below = cut + __builtin_convertvector(at < __builtin_convertvector(cut, Lanes), FourIndices);
    store(knot, below);
    store(beyond, __builtin_convertvector(at - __builtin_convertvector(below, Lanes), Four));
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

// Eight values, of eight points side by side.
template <typename Map>
struct EightOf {
  typedef Map Vector __attribute__((vector_size(8 * sizeof(Map))));
  typedef std::conditional_t<sizeof(Map) == 4, int32_t, int64_t> Index;
  typedef Index Mask __attribute__((vector_size(8 * sizeof(Map))));

  static ZNCC_INLINE Vector load(const Map* from) {
    Vector values;
    std::memcpy(&values, from, sizeof values);
    return values;
  }

  // The knots at the same place in the patches of eight points.
  static ZNCC_INLINE Vector gathered(const Map* plane, const int32_t* patch, int64_t place) {
    const Map* from = plane + place;
    return Vector{from[patch[0]], from[patch[1]], from[patch[2]], from[patch[3]],
                  from[patch[4]], from[patch[5]], from[patch[6]], from[patch[7]]};
  }
};

typedef int32_t EightIndices __attribute__((vector_size(8 * sizeof(int32_t))));

ZNCC_INLINE bool any(const EightIndices& bits) {
  uint64_t words[4];
  std::memcpy(words, &bits, sizeof words);
  return ((words[0] | words[1]) | (words[2] | words[3])) != 0;
}

// What `value` computes, of eight points at a time, operation by operation. knots(j, i): of row j and column i of the
// patches.
template <typename Map, typename Knots>
ZNCC_INLINE typename EightOf<Map>::Vector eight_values(const Linear<Map>*, const Knots& knots,
                                                       const typename EightOf<Map>::Vector& s,
                                                       const typename EightOf<Map>::Vector& t) {
  const auto top = knots(0, 0), bottom = knots(1, 0);
  const auto above = top + s * (knots(0, 1) - top), below = bottom + s * (knots(1, 1) - bottom);
  return above + t * (below - above);
}

template <typename Map, typename Knots>
ZNCC_INLINE typename EightOf<Map>::Vector eight_values(const Cubic<Map>*, const Knots& knots,
                                                       const typename EightOf<Map>::Vector& s,
                                                       const typename EightOf<Map>::Vector& t) {
  typedef typename EightOf<Map>::Vector Vector;
  constexpr Map k = Map(1) / 6;
  constexpr Map c0[4] = {k, 4 * k, k, 0}, c1[4] = {-3 * k, 0, 3 * k, 0}, c2[4] = {3 * k, -6 * k, 3 * k, 0},
                c3[4] = {-k, 3 * k, -3 * k, k};
  Vector across[4], down[4], column[4];
  ZNCC_UNROLL_PLANES
  for (int i = 0; i < 4; ++i) {
    across[i] = c0[i] + s * (c1[i] + s * (c2[i] + s * c3[i]));
    down[i] = c0[i] + t * (c1[i] + t * (c2[i] + t * c3[i]));
  }
  ZNCC_UNROLL_PLANES
  for (int i = 0; i < 4; ++i) {
    column[i] = (knots(0, i) * down[0] + knots(1, i) * down[1]) + (knots(2, i) * down[2] + knots(3, i) * down[3]);
  }
  return (column[0] * across[0] + column[1] * across[1]) + (column[2] * across[2] + column[3] * across[3]);
}

// The values of a plane at `count` points.
template <typename Map, typename Spline>
ZNCC_INLINE void values_at(const WarpShape& shape, const Map* plane, int64_t count, const int32_t* column,
                           const int32_t* row, const Map* s, const Map* t, Map* out) {
  typedef typename EightOf<Map>::Vector Vector;
  const int64_t stride = shape.width;
  const int32_t first_column = static_cast<int32_t>(shape.knots.column + Spline::kBefore);
  const int32_t first_row = static_cast<int32_t>(shape.knots.row + Spline::kBefore);
  const int32_t last_column = static_cast<int32_t>(shape.width - Spline::kCount);
  const int32_t last_row = static_cast<int32_t>(shape.height - Spline::kCount);
  constexpr EightIndices kPlaces{0, 1, 2, 3, 4, 5, 6, 7};
  const bool indexed = shape.height * shape.width < INT32_MAX;
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    EightIndices columns, rows;
    std::memcpy(&columns, column + i, sizeof columns);
    std::memcpy(&rows, row + i, sizeof rows);
    columns = columns - first_column;
    rows = rows - first_row;
    const bool outside = any((columns < 0) | (columns > last_column) | (rows < 0) | (rows > last_row));
    // Along a row both rise or fall: where all but the first cells of the eight lie in two lines, or in one line with a
    // step between two of them, the knots are read twice as they lie, and each point takes its own.
    const EightIndices from_first = columns - kPlaces;
    const int32_t first_place = std::min(from_first[0], from_first[7]), line = std::min(rows[0], rows[7]);
    const EightIndices step_across = from_first - first_place, step_down = rows - line;
    const bool across_once = any(step_across), down_once = any(step_down);
    const bool beside = !(across_once && down_once) && !any((step_across | step_down) & ~1) && first_place >= 0 &&
                        first_place + 7 + across_once <= last_column;
    if (outside || !(beside || indexed)) {
      for (int64_t k = i; k < i + 8; ++k) {
        const Patch<Map, Spline> at(shape, plane, column[k], row[k]);
        out[k] = Spline::value(at.data, at.stride, s[k], t[k]);
      }
      continue;
    }
    const Vector across = EightOf<Map>::load(s + i), down = EightOf<Map>::load(t + i);
    Vector values;
    if (beside) {
      const Map* from = plane + line * stride + first_place;
      const auto knots = [=](int j, int k) ZNCC_ALWAYS { return EightOf<Map>::load(from + j * stride + k); };
      values = eight_values(static_cast<const Spline*>(nullptr), knots, across, down);
      if (across_once || down_once) {
        const Map* next = from + (across_once ? 1 : stride);
        const auto others = [=](int j, int k) ZNCC_ALWAYS { return EightOf<Map>::load(next + j * stride + k); };
        const Vector second = eight_values(static_cast<const Spline*>(nullptr), others, across, down);
        const auto steps = __builtin_convertvector((step_across | step_down) != 0, typename EightOf<Map>::Mask);
        values = steps ? second : values;
      }
    } else {
      const EightIndices first = rows * static_cast<int32_t>(stride) + columns;
      int32_t patch[8];
      std::memcpy(patch, &first, sizeof patch);
      const int32_t* at = patch;
      const auto knots = [=](int j, int k) ZNCC_ALWAYS { return EightOf<Map>::gathered(plane, at, j * stride + k); };
      values = eight_values(static_cast<const Spline*>(nullptr), knots, across, down);
    }
    std::memcpy(out + i, &values, sizeof values);
  }
  for (; i < count; ++i) {
    const Patch<Map, Spline> at(shape, plane, column[i], row[i]);
    out[i] = Spline::value(at.data, at.stride, s[i], t[i]);
  }
}

}  // namespace zncc
