// The rows of the pair metric: warped_rows.h.
#include "warped_rows.h"

#include "spline.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace zncc {
namespace {

bool is_affine(const double* M) { return M[6] == 0.0 && M[7] == 0.0; }

// How much farther from the edge a pixel's neighbour may lie than itself.
double largest_step(const double* M) {
  return std::max({std::fabs(M[0]), std::fabs(M[1]), std::fabs(M[3]), std::fabs(M[4])}) / std::fabs(M[8]);
}

// The sum of n values, in an order that no instruction set changes.
template <typename Map>
double sum_of_row(const Map* values, int64_t n) {
  Lanes sums{};
  int64_t x = 0;
  for (; x + 4 <= n; x += 4) {
    sums += Lanes{static_cast<double>(values[x]), static_cast<double>(values[x + 1]),
                  static_cast<double>(values[x + 2]), static_cast<double>(values[x + 3])};
  }
  double sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  for (; x < n; ++x) {
    sum += static_cast<double>(values[x]);
  }
  return sum;
}

}  // namespace

template <typename Map>
WarpedRows<Map>::WarpedRows(const PairMetricShape& shape, const PairMetricInput<Map>& in, int64_t widest, bool gradient)
    : shape_(shape), in_(in), gradient_(gradient), plain_(!in.field && is_affine(shape.warp.M)),
      reach_(plain_ ? largest_step(shape.warp.M) : HUGE_VAL), measures_(in.fixed_measured || in.moving_measured),
      kept_(shape.h + 3), stride_(widest + 2 * shape.h + 10), ones_(2 * kept_), least_(stride_) {
  for (std::vector<Map>* rows : {&m, &edge, &measured}) {
    rows->resize(kept_ * stride_);
  }
  if (gradient) {
    gx.resize(kept_ * stride_);
    gy.resize(kept_ * stride_);
    for (std::vector<double>* rows : {&u, &v, &by_depth}) {
      rows->resize(kept_ * stride_);
    }
  }
}

template <typename Map>
void WarpedRows<Map>::begin(const Strip& strip, int64_t left, int64_t right, int64_t first) {
  strip_ = strip;
  left_ = left;
  right_ = right;
  warped_ = first;
  edge_sum_ = 0.0;
}

template <typename Map>
void WarpedRows<Map>::warp_until(int64_t last) {
  for (; warped_ < last; ++warped_) {
    if (shape_.warp.degree == 3) {
      warp_row<Cubic<Map>>(warped_);
    } else {
      warp_row<Linear<Map>>(warped_);
    }
    remember_ones(warped_);
  }
}

template <typename Map>
template <typename Spline>
void WarpedRows<Map>::warp_row(int64_t y) {
  const WarpShape& warp = shape_.warp;
  const int64_t width = shape_.width();
  Map *values = m.data() + at(y), *edges = edge.data() + at(y), *shares = measured.data() + at(y);
  Points<Map> points;
  constexpr int64_t kBatch = Points<Map>::kBatch;
  for (int64_t begin = left_; begin < right_; begin += kBatch) {
    const int64_t count = std::min(kBatch, right_ - begin), to = begin - left_;
    if (in_.field) {
      points.find(warp, in_.field + 2 * (y * width + begin), y, begin, count);
    } else {
      points.find(warp, y, begin, count);
    }
    points.depths(count, edges + to);
    // No gradient that counts reaches a pixel that lies farther beyond the edge than this.
    int64_t from = 0, until = count;
    while (from < until && points.distance[from] < -reach_ && points.by_depth[from] != 0.0) {
      values[to + from++] = Map(0);
    }
    while (until > from && points.distance[until - 1] < -reach_ && points.by_depth[until - 1] != 0.0) {
      values[to + --until] = Map(0);
    }
    values_at<Map, Spline>(warp, in_.knots, until - from, points.column + from, points.row + from, points.s + from,
                           points.t + from, values + to + from);
    if (gradient_ && !(plain_ && !shape_.projective)) {
      std::copy_n(points.u, count, u.data() + at(y) + to);
      std::copy_n(points.v, count, v.data() + at(y) + to);
      std::copy_n(points.by_depth, count, by_depth.data() + at(y) + to);
    }
    if (in_.moving_mask) {
      Map valid[kBatch];
      values_at<Map, Linear<Map>>(warp, in_.moving_mask, count, points.column, points.row, points.s, points.t, valid);
      for (int64_t i = 0; i < count; ++i) {
        edges[to + i] = valid[i] < edges[to + i] ? valid[i] : edges[to + i];
      }
    }
    if (in_.fixed_mask) {
      const uint8_t* mask = in_.fixed_mask + y * width + begin;
      for (int64_t i = 0; i < count; ++i) {
        edges[to + i] = mask[i] ? edges[to + i] : Map(0);
      }
    }
    if (measures_) {
      std::fill_n(shares + to, count, Map(1));
      if (in_.moving_measured) {
        values_at<Map, Linear<Map>>(warp, in_.moving_measured, count, points.column, points.row, points.s, points.t,
                                    shares + to);
      }
      for (int64_t i = 0; i < count; ++i) {
        const Map share = shares[to + i] < Map(0) ? Map(0) : shares[to + i] > Map(1) ? Map(1) : shares[to + i];
        shares[to + i] = in_.fixed_measured ? share * in_.fixed_measured[y * width + begin + i] : share;
      }
    }
  }
}

template <typename Map>
void WarpedRows<Map>::remember_ones(int64_t y) {
  const int64_t n = right_ - left_;
  const Map* edges = edge.data() + at(y);
  // The longest run of ones that begins with the first one: without holes these are all.
  int64_t from = 0, until = n, others = 0;
  while (from < n && edges[from] != Map(1)) {
    ++from;
  }
  while (until > from && edges[until - 1] != Map(1)) {
    --until;
  }
  for (int64_t x = from; x < until; ++x) {
    others += edges[x] != Map(1);
  }
  if (others > 0) {
    until = std::find_if(edges + from, edges + until, [](Map e) { return e != Map(1); }) - edges;
  }
  ones_[2 * (y % kept_)] = left_ + from;
  ones_[2 * (y % kept_) + 1] = left_ + until;
  if (y >= strip_.top && y < strip_.bottom) {
    edge_sum_ += sum_of_row(edges + (strip_.left - left_), strip_.right - strip_.left);
  }
}

// The gradient of the mean of both images at a row, in moving coordinates.
template <typename Map>
void WarpedRows<Map>::find_gradient(int64_t y, int64_t first, int64_t last) {
  const int64_t width = shape_.width(), height = shape_.height();
  const int64_t above = std::max<int64_t>(y - 1, 0), below = std::min(y + 1, height - 1);
  const Map down = above == below ? Map(0) : Map(0.5) / static_cast<Map>(below - above);
  const Map *f = in_.fixed + y * width, *f_above = in_.fixed + above * width, *f_below = in_.fixed + below * width;
  const Map *m_row = row_of(m, y), *m_above = row_of(m, above), *m_below = row_of(m, below);
  Map *to_x = gx.data() + at(y) - left_, *to_y = gy.data() + at(y) - left_;
  ZNCC_VECTOR_LOOP
  for (int64_t x = first; x < last; ++x) {
    to_y[x] = down * ((f_below[x] - f_above[x]) + (m_below[x] - m_above[x]));
  }
  const auto across = [&](int64_t before, int64_t behind) ZNCC_ALWAYS {
    return before == behind ? Map(0)
                            : Map(0.5) / static_cast<Map>(behind - before) *
                                  ((f[behind] - f[before]) + (m_row[behind] - m_row[before]));
  };
  const int64_t from = std::max<int64_t>(first, 1), until = std::min(last, width - 1);
  ZNCC_VECTOR_LOOP
  for (int64_t x = from; x < until; ++x) {
    to_x[x] = Map(0.25) * ((f[x + 1] - f[x - 1]) + (m_row[x + 1] - m_row[x - 1]));
  }
  if (first == 0) {
    to_x[0] = across(0, std::min<int64_t>(1, width - 1));
  }
  if (last == width && width > 1) {
    to_x[width - 1] = across(width - 2, width - 1);
  }
  pull(y, first, last, to_x, to_y);
}

// Turns a gradient by x and y of the frame into one by u and v: (d(u, v) / d(x, y))^-T.
template <typename Map>
void WarpedRows<Map>::pull(int64_t y, int64_t first, int64_t last, Map* to_x, Map* to_y) {
  const double* M = shape_.warp.M;
  if (plain_) {
    const double a = M[0] / M[8], b = M[1] / M[8], c = M[3] / M[8], d = M[4] / M[8], by = 1.0 / (a * d - b * c);
    const Map xx = static_cast<Map>(d * by), xy = static_cast<Map>(-c * by);
    const Map yx = static_cast<Map>(-b * by), yy = static_cast<Map>(a * by);
    ZNCC_VECTOR_LOOP
    for (int64_t x = first; x < last; ++x) {
      const Map fx = to_x[x], fy = to_y[x];
      to_x[x] = xx * fx + xy * fy;
      to_y[x] = yx * fx + yy * fy;
    }
    return;
  }
  const double *u_row = row_of(u, y), *v_row = row_of(v, y), *depth_row = row_of(by_depth, y);
  const int64_t above = std::max<int64_t>(y - 1, 0), below = std::min(y + 1, shape_.height() - 1);
  const int64_t width = shape_.width();
  for (int64_t x = first; x < last; ++x) {
    double a, b, c, d;
    if (in_.field) {
      const int64_t before = std::max<int64_t>(x - 1, 0), behind = std::min(x + 1, width - 1);
      const double across = behind > before ? 1.0 / static_cast<double>(behind - before) : 0.0;
      const double down = below > above ? 1.0 / static_cast<double>(below - above) : 0.0;
      const int64_t up = at(above) - at(y), low = at(below) - at(y);
      a = (u_row[behind] - u_row[before]) * across;
      b = (u_row[x + low] - u_row[x + up]) * down;
      c = (v_row[behind] - v_row[before]) * across;
      d = (v_row[x + low] - v_row[x + up]) * down;
    } else {
      a = (M[0] - u_row[x] * M[6]) * depth_row[x];
      b = (M[1] - u_row[x] * M[7]) * depth_row[x];
      c = (M[3] - v_row[x] * M[6]) * depth_row[x];
      d = (M[4] - v_row[x] * M[7]) * depth_row[x];
    }
    const double det = a * d - b * c, by = det != 0.0 ? 1.0 / det : 0.0;
    const double fx = static_cast<double>(to_x[x]), fy = static_cast<double>(to_y[x]);
    to_x[x] = static_cast<Map>((d * fx - c * fy) * by);
    to_y[x] = static_cast<Map>((a * fy - b * fx) * by);
  }
}

// W of the windows of row y: the least edge of their pixels, times their weights.
template <typename Map>
void WarpedRows<Map>::find_window_weights(int64_t y, int64_t first, int64_t count, Map* W) {
  const int64_t h = shape_.h, last = first + count;
  int64_t from = 0, until = shape_.width();
  for (int64_t row = y; row < y + h; ++row) {
    from = std::max(from, ones_[2 * (row % kept_)]);
    until = std::min(until, ones_[2 * (row % kept_) + 1]);
  }
  from = std::clamp(from, first, last);
  until = std::max(std::min(until - h + 1, last), from);
  std::fill(W + (from - first), W + (until - first), Map(1));
  for (const auto& [begin, end] : {std::pair(first, from), std::pair(until, last)}) {
    least_edges(y, begin, end, W + (begin - first));
  }
  if (in_.weight) {
    const Map* weight = in_.weight + y * shape_.map_width() + first;
    for (int64_t x = 0; x < count; ++x) {
      W[x] *= weight[x];
    }
  }
}

template <typename Map>
void WarpedRows<Map>::least_edges(int64_t y, int64_t begin, int64_t end, Map* __restrict W) {
  const int64_t h = shape_.h, n = end - begin + h - 1;
  if (end <= begin) {
    return;
  }
  Map* __restrict least = least_.data();
  std::copy_n(row_of(edge, y) + begin, n, least);
  for (int64_t row = y + 1; row < y + h; ++row) {
    const Map* edges = row_of(edge, row) + begin;
    for (int64_t x = 0; x < n; ++x) {
      least[x] = edges[x] < least[x] ? edges[x] : least[x];
    }
  }
  std::copy_n(least, end - begin, W);
  for (int64_t k = 1; k < h; ++k) {
    for (int64_t x = 0; x < end - begin; ++x) {
      W[x] = least[x + k] < W[x] ? least[x + k] : W[x];
    }
  }
}

template class WarpedRows<float>;
template class WarpedRows<double>;

}  // namespace zncc
