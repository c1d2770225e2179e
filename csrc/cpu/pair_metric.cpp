// The pair metric on the CPU: pair_metric.h.
#include "pair_metric.h"

#include "box_sums.h"
#include "warped_rows.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

namespace zncc {
namespace {

// Adds up products of the rows of a matrix gradient, G = (a x, a y, a, b x, b y, b, c x, c y, c), as moments.
struct Moments {
  double sums[kMoments] = {};

  // Of n places of one row, from x on: sign * weight * G G^T. What is behind them, up to a multiple of four, is zero.
  template <bool kProjective>
  ZNCC_INLINE void add(int64_t n, double x, double y, const double* weight, const double* a, const double* b,
                       const double* c) {
    constexpr int kUsed = kProjective ? 6 : 3;
    Lanes plain[kUsed] = {}, times_x[kUsed] = {}, times_xx[kUsed] = {};
    Lanes at{x, x + 1.0, x + 2.0, x + 3.0};
    for (int64_t i = 0; i < n; i += 4, at = at + 4.0) {
      Lanes w, ra, rb, rc;
      std::memcpy(&w, weight + i, sizeof w);
      std::memcpy(&ra, a + i, sizeof ra);
      std::memcpy(&rb, b + i, sizeof rb);
      const Lanes wa = w * ra, wb = w * rb;
      Lanes product[kUsed];
      product[0] = wa * ra;
      product[1] = wa * rb;
      product[2] = wb * rb;
      if (kProjective) {
        std::memcpy(&rc, c + i, sizeof rc);
        product[kUsed - 3] = wa * rc;
        product[kUsed - 2] = wb * rc;
        product[kUsed - 1] = w * rc * rc;
      }
      ZNCC_UNROLL_PLANES
      for (int k = 0; k < kUsed; ++k) {
        const Lanes by_x = product[k] * at;
        plain[k] += product[k];
        times_x[k] += by_x;
        times_xx[k] += by_x * at;
      }
    }
    for (int k = 0; k < kUsed; ++k) {
      const double s = sum(plain[k]), sx = sum(times_x[k]), sxx = sum(times_xx[k]);
      double* to = sums + k * kPowers;
      to[0] += s;
      to[1] += sx;
      to[2] += sxx;
      to[3] += y * s;
      to[4] += y * sx;
      to[5] += y * y * s;
    }
  }

  static ZNCC_INLINE double sum(const Lanes& v) { return (v[0] + v[1]) + (v[2] + v[3]); }
};

template <typename Map, bool kScores, bool kCurvature>
class StripMetric {
 public:
  StripMetric(const PairMetricShape& shape, const PairMetricInput<Map>& in, const PairMetricOutput<Map>& out,
              int64_t widest)
      : shape_(shape), in_(in), out_(out), window_(shape.h * shape.h),
        plain_(!in.field && shape.warp.M[6] == 0.0 && shape.warp.M[7] == 0.0 && !shape.projective),
        by_depth_(1.0 / shape.warp.M[8]), measures_(in.fixed_measured || in.moving_measured),
        rows_(shape, in, widest, kScores), image_sums_(shape.h, shape.h, widest + 2 * shape.h),
        map_sums_(kScores ? shape.h : 1, shape.h, widest + shape.h, shape.h - 1), W_(widest + shape.h + 8) {}

  void run(const Strip& strip, std::vector<double>* partial) {
    begin(strip, partial);
    const int64_t h = shape_.h;
    const int64_t top = kScores ? strip.top - h + 1 : strip.top;
    image_sums_.reset(std::max(maps_ + h - 1, h), false);
    if (kScores) {
      map_sums_.reset(strip.right - left_, false);
    }
    int64_t image_row = first_row_;
    for (int64_t y = top; y < strip.bottom; ++y) {
      const bool windows = y >= 0 && y < shape_.map_height() && maps_ > 0;
      map_sums_.begin();
      if (kScores && !windows) {
        map_sums_.take(first_ - left_, std::max<int64_t>(maps_, 0),
                       [](int64_t, double* v) { std::fill_n(v, kMapPlanes, 0.0); });
      }
      for (; windows && image_row < y + h; ++image_row) {
        rows_.warp_until(std::min(image_row + (kScores ? 2 : 1), last_warped_));
        if (kScores) {
          rows_.find_gradient(image_row, first_, std::min(strip.right + h - 1, shape_.width()));
        }
        if (image_row + 1 == y + h) {
          rows_.find_window_weights(y, first_, maps_, W_.data());
        }
        push(image_row, y);
      }
      if (kScores) {
        // A frame of which a part holds no window: its pixels have gradients that nothing needs.
        map_sums_.end([&](int64_t begin, int64_t count, const Sums& S) ZNCC_ALWAYS { score(y, begin, count, S); });
      }
    }
    // Pixels that no window of this strip needed may still lie in the overlap.
    rows_.warp_until(last_warped_);
    end();
  }

 private:
  static constexpr int kImagePlanes = kCurvature ? 9 : 5, kMapPlanes = kCurvature ? 5 : 4;

  void begin(const Strip& strip, std::vector<double>* partial) {
    const int64_t h = shape_.h;
    strip_ = strip;
    left_ = kScores ? strip.left - h + 1 : strip.left;
    first_ = std::max<int64_t>(left_, 0);
    maps_ = std::min(strip.right, shape_.map_width()) - first_;
    first_row_ = std::max<int64_t>(kScores ? strip.top - h + 1 : strip.top, 0);
    const int64_t border = kScores ? 1 : 0;
    warped_left_ = std::max<int64_t>(first_ - border, 0);
    rows_.begin(strip, warped_left_, std::min(strip.right + h - 1 + border, shape_.width()),
                std::max<int64_t>(first_row_ - border, 0));
    last_warped_ = std::min(strip.bottom + h - 1 + border, shape_.height());
    partial_ = partial;
    moments_ = Moments{};
    std::fill_n(sums_, kSums, 0.0);
    const CellGrid& cells = shape_.cells;
    cell_rows_ = 0;
    if (out_.cells) {
      first_cell_row_ = std::clamp<int64_t>((strip.top - cells.top) / cells.height, 0, cells.rows);
      const int64_t last = std::clamp<int64_t>((strip.bottom - 1 - cells.top) / cells.height + 1, 0, cells.rows);
      cell_rows_ = std::max<int64_t>(strip.bottom > cells.top ? last - first_cell_row_ : 0, 0);
    }
    cells_.assign(kCellPlanes * cell_rows_ * cells.columns, 0.0);
  }

  void end() {
    sums_[4] = rows_.edge_sum();
    partial_->assign(sums_, sums_ + kSums);
    partial_->insert(partial_->end(), moments_.sums, moments_.sums + kMoments);
    partial_->push_back(static_cast<double>(first_cell_row_));
    partial_->push_back(static_cast<double>(cell_rows_));
    partial_->insert(partial_->end(), cells_.begin(), cells_.end());
  }

  // Takes row `image_row` of both images; where it is the last one of the windows of row y, these are compared.
  ZNCC_INLINE void push(int64_t image_row, int64_t y) {
    const int64_t h = shape_.h, width = shape_.width();
    const Map* f = in_.fixed + image_row * width + first_;
    const Map* f_out = f - h * width;
    const int64_t offset = first_ - warped_left_;
    const int64_t entering = rows_.at(image_row) + offset;
    const int64_t leaving = image_row >= h ? rows_.at(image_row - h) + offset : entering;
    const Map *m = rows_.m.data() + entering, *m_out = rows_.m.data() + leaving;
    const Map *gx = kCurvature ? rows_.gx.data() + entering : m, *gx_out = kCurvature ? rows_.gx.data() + leaving : m;
    const Map *gy = kCurvature ? rows_.gy.data() + entering : m, *gy_out = kCurvature ? rows_.gy.data() + leaving : m;
    const auto at = [=](int64_t x, double* v) ZNCC_ALWAYS {
      const double a = static_cast<double>(f[x]), b = static_cast<double>(m[x]);
      v[0] = a;
      v[1] = b;
      v[2] = a * a;
      v[3] = b * b;
      v[4] = a * b;
      if (kCurvature) {
        v[5] = static_cast<double>(gx[x]);
        v[6] = static_cast<double>(gy[x]);
        v[7] = v[5] * b;
        v[8] = v[6] * b;
      }
    };
    // a^2 - b^2 = (a - b) (a + b)
    const auto grows = [=](int64_t x, double* v) ZNCC_ALWAYS {
      const double a = static_cast<double>(f[x]), a_out = static_cast<double>(f_out[x]);
      const double b = static_cast<double>(m[x]), b_out = static_cast<double>(m_out[x]);
      v[0] = a - a_out;
      v[1] = b - b_out;
      v[2] = v[0] * (a + a_out);
      v[3] = v[1] * (b + b_out);
      v[4] = a * b - a_out * b_out;
      if (kCurvature) {
        const double x_in = static_cast<double>(gx[x]), x_out = static_cast<double>(gx_out[x]);
        const double y_in = static_cast<double>(gy[x]), y_out = static_cast<double>(gy_out[x]);
        v[5] = x_in - x_out;
        v[6] = y_in - y_out;
        v[7] = x_in * b - x_out * b_out;
        v[8] = y_in * b - y_out * b_out;
      }
    };
    image_sums_.push(at, grows,
                     [&](int64_t begin, int64_t count, const Sums& S) ZNCC_ALWAYS { compare(y, begin, count, S); });
  }

  ZNCC_INLINE void compare(int64_t y, int64_t begin, int64_t count, const Sums& S) {
    const double *S_f = S[0], *S_m = S[1], *S_ff = S[2], *S_mm = S[3], *S_fm = S[4];
    const Map* W = W_.data() + begin;
    const MetricWeights& by = shape_.by;
    double A[kBlock], B[kBlock], C[kBlock], U[kBlock], s[kBlock], z[kBlock], e[kBlock], z2[kBlock], v_m[kBlock];
    const bool second = out_.cells != nullptr;
    const WindowSize window = window_;
    ZNCC_VECTOR_LOOP
    for (int64_t x = 0; x < count; ++x) {
      const PairSums sums{S_f[x], S_m[x], S_ff[x], S_mm[x], S_fm[x]};
      const ComparedWindow t = compared(sums, window, by);
      z[x] = t.z;
      e[x] = t.e;
      v_m[x] = t.v_m;
      if (kScores) {
        const ScoredWindow w = scored(sums, t, static_cast<double>(W[x]), window, by);
        A[x] = w.A;
        B[x] = w.B;
        C[x] = w.C;
        U[x] = w.U;
        s[x] = w.s;
      }
      z2[x] = 0.0;
    }
    if (second) {
      ZNCC_VECTOR_LOOP
      for (int64_t x = 0; x < count; ++x) {
        z2[x] = second_zncc(compared({S_f[x], S_m[x], S_ff[x], S_mm[x], S_fm[x]}, window, by), by);
      }
    }
    if (y >= strip_.top && first_ + begin + count > strip_.left) {
      own(y, begin, count, W, z, z2, e);
    }
    if (kScores) {
      const double *a = A, *b = B, *c = C, *used = U, *share = s;
      map_sums_.take(first_ - left_ + begin, count, [=](int64_t x, double* v) ZNCC_ALWAYS {
        v[0] = a[x];
        v[1] = b[x];
        v[2] = c[x];
        v[3] = used[x];
        if (kCurvature) {
          v[4] = share[x];
        }
      });
    }
    if (kCurvature && y >= strip_.top && first_ + begin + count > strip_.left) {
      explained(y, begin, count, S, s, v_m);
    }
  }

  // Sums over the windows that begin in the strip.
  ZNCC_INLINE void own(int64_t y, int64_t begin, int64_t count, const Map* W, const double* z, const double* z2,
                       const double* e) {
    const int64_t from = std::max<int64_t>(strip_.left - first_ - begin, 0);
    double planes[kCellPlanes][kBlock];
    for (int64_t x = from; x < count; ++x) {
      const double w = static_cast<double>(W[x]);
      planes[0][x] = w;
      planes[1][x] = w * e[x];
      planes[2][x] = w * z[x];
      planes[3][x] = w * e[x] * z[x];
      planes[4][x] = w * z2[x];
    }
    sums_[0] += sum_of(planes[0] + from, count - from);
    sums_[1] += sum_of(planes[1] + from, count - from);
    sums_[2] += sum_of(planes[2] + from, count - from);
    sums_[3] += sum_of(planes[3] + from, count - from);
    const int64_t map = y * shape_.map_width() + first_ + begin;
    for (int64_t x = from; out_.z && x < count; ++x) {
      out_.z[map + x] = static_cast<Map>(z[x]);
      out_.w[map + x] = static_cast<Map>(planes[1][x]);
    }
    if (cell_rows_ > 0) {
      add_to_cells(y, first_ + begin, from, count, planes);
    }
  }

  ZNCC_INLINE void add_to_cells(int64_t y, int64_t at, int64_t from, int64_t count, const double (*planes)[kBlock]) {
    const CellGrid& cells = shape_.cells;
    const int64_t down = y - cells.top, row = down / cells.height - first_cell_row_;
    if (down < 0 || row >= cell_rows_ || (cells.inside && down % cells.height > cells.height - shape_.h)) {
      return;
    }
    for (int64_t x = from; x < count;) {
      const int64_t across = at + x - cells.left, column = across < 0 ? -1 : across / cells.width;
      const int64_t next = std::min(across < 0 ? x - across : x + (column + 1) * cells.width - across, count);
      if (column >= 0 && column < cells.columns) {
        int64_t last = next;
        if (cells.inside) {
          last = std::min(last, x + (column * cells.width + cells.width - shape_.h + 1) - across);
        }
        for (int k = 0; last > x && k < kCellPlanes; ++k) {
          cells_[(k * cell_rows_ + row) * cells.columns + column] += sum_of(planes[k] + x, last - x);
        }
      }
      x = next;
    }
  }

  // What a change of the windows' means and contrasts explains of the curvature.
  ZNCC_INLINE void explained(int64_t y, int64_t begin, int64_t count, const Sums& S, const double* s,
                             const double* v_m) {
    const int64_t centre = shape_.h / 2, row = rows_.at(y + centre);
    const int64_t place = first_ - warped_left_ + begin + centre;
    const double* by_depth = rows_.by_depth.data() + row + place;
    const double *u = rows_.u.data() + row + place, *v = rows_.v.data() + row + place;
    const Map* q = rows_.measured.data() + row + place;
    const int64_t from = std::max<int64_t>(strip_.left - first_ - begin, 0);
    const double *S_m = S[1], *S_x = S[5], *S_y = S[6], *S_xm = S[7], *S_ym = S[8];
    const double inverse_N = window_.inverse_N, floor = shape_.by.floor;
    double weight[2][kBlock + 4], a[2][kBlock + 4], b[2][kBlock + 4], c[2][kBlock + 4];
    const int64_t n = count - from;
    for (int k = 0; k < 2; ++k) {
      for (int64_t x = n; x < (n + 3) / 4 * 4; ++x) {
        weight[k][x] = a[k][x] = b[k][x] = c[k][x] = 0.0;
      }
    }
    const auto each = [&](const auto& depth_at) ZNCC_ALWAYS {
      ZNCC_VECTOR_LOOP
      for (int64_t i = 0; i < n; ++i) {
        const int64_t x = from + i;
        const double share = s[x], by = depth_at(x);
        weight[0][i] = -share * inverse_N;
        weight[1][i] = -share / (v_m[x] > floor ? v_m[x] : floor);
        a[0][i] = S_x[x] * by;
        b[0][i] = S_y[x] * by;
        a[1][i] = (S_xm[x] - S_x[x] * S_m[x] * inverse_N) * by;
        b[1][i] = (S_ym[x] - S_y[x] * S_m[x] * inverse_N) * by;
      }
    };
    if (plain_) {
      const double by = by_depth_;
      each([=](int64_t) { return by; });
    } else {
      each([=](int64_t x) { return by_depth[x]; });
      ZNCC_VECTOR_LOOP
      for (int64_t i = 0; i < n; ++i) {
        c[0][i] = -(a[0][i] * u[from + i] + b[0][i] * v[from + i]);
        c[1][i] = -(a[1][i] * u[from + i] + b[1][i] * v[from + i]);
      }
    }
    for (int64_t x = 0; measures_ && x < n; ++x) {
      weight[0][x] *= static_cast<double>(q[from + x]);
      weight[1][x] *= static_cast<double>(q[from + x]);
    }
    const double at = static_cast<double>(first_ + begin + from + centre), down = static_cast<double>(y + centre);
    for (int k = 0; k < 2; ++k) {
      add_moments(n, at, down, weight[k], a[k], b[k], c[k]);
    }
  }

  ZNCC_INLINE void add_moments(int64_t n, double x, double y, const double* weight, const double* a, const double* b,
                               const double* c) {
    if (shape_.projective) {
      moments_.add<true>(n, x, y, weight, a, b, c);
    } else {
      moments_.add<false>(n, x, y, weight, a, b, c);
    }
  }

  // The pixels of row y that lie in the strip, from the sums over the windows that hold them.
  ZNCC_INLINE void score(int64_t y, int64_t begin, int64_t count, const Sums& S) {
    const int64_t at = strip_.left + begin, place = rows_.at(y) + at - warped_left_;
    const double *sum_A = S[0], *sum_B = S[1], *sum_C = S[2], *sum_U = S[3], *sum_s = S[kMapPlanes - 1];
    const Map *f = in_.fixed + y * shape_.width() + at, *m = rows_.m.data() + place;
    const Map *gx = rows_.gx.data() + place, *gy = rows_.gy.data() + place, *q = rows_.measured.data() + place;
    const double* by_depth = rows_.by_depth.data() + place;
    const double *u = rows_.u.data() + place, *v = rows_.v.data() + place;
    double D[kBlock + 4], a[kBlock + 4], b[kBlock + 4], c[kBlock + 4], share[kBlock + 4];
    const WindowSize window = window_;
    for (int64_t x = count; x < (count + 3) / 4 * 4; ++x) {
      D[x] = a[x] = b[x] = c[x] = share[x] = 0.0;
    }
    const auto each = [&](const auto& depth_at) ZNCC_ALWAYS {
      ZNCC_VECTOR_LOOP
      for (int64_t x = 0; x < count; ++x) {
        const double by = depth_at(x);
        D[x] = difference(static_cast<double>(f[x]), static_cast<double>(m[x]), sum_A[x], sum_B[x], sum_C[x], sum_U[x],
                          window);
        a[x] = static_cast<double>(gx[x]) * by;
        b[x] = static_cast<double>(gy[x]) * by;
        if (kCurvature) {
          share[x] = sum_s[x];
        }
      }
    };
    if (plain_) {
      const double by = by_depth_;
      each([=](int64_t) { return by; });
    } else {
      each([=](int64_t x) { return by_depth[x]; });
      ZNCC_VECTOR_LOOP
      for (int64_t x = 0; x < count; ++x) {
        c[x] = -(a[x] * u[x] + b[x] * v[x]);
      }
    }
    for (int64_t x = 0; measures_ && x < count; ++x) {
      D[x] *= static_cast<double>(q[x]);
      share[x] *= static_cast<double>(q[x]);
    }
    if (kCurvature) {
      add_moments(count, static_cast<double>(at), static_cast<double>(y), share, a, b, c);
    }
    if (out_.pixels) {
      const int64_t size = shape_.height() * shape_.width();
      Map* to = out_.pixels + y * shape_.width() + at;
      for (int64_t x = 0; x < count; ++x) {
        const double g_x = static_cast<double>(gx[x]), g_y = static_cast<double>(gy[x]);
        to[x] = static_cast<Map>(D[x] * g_x);
        to[size + x] = static_cast<Map>(D[x] * g_y);
        if (kCurvature) {
          to[2 * size + x] = static_cast<Map>(share[x] * g_x * g_x);
          to[3 * size + x] = static_cast<Map>(share[x] * g_x * g_y);
          to[4 * size + x] = static_cast<Map>(share[x] * g_y * g_y);
        }
      }
    }
    if (out_.scores) {
      for (int64_t first = 0; first < count; first += kScoreBlock) {
        add_scores(y, at + first, std::min(kScoreBlock, count - first), D + first, a + first, b + first, c + first);
      }
    }
  }

  ZNCC_INLINE void add_scores(int64_t y, int64_t at, int64_t n, const double* D, const double* a, const double* b,
                              const double* c) {
    const int64_t across = shape_.blocks_across(), blocks = across * shape_.blocks_down();
    double* to = out_.scores + y / kScoreBlock * across + at / kScoreBlock;
    Lanes plain[3] = {}, times_x[3] = {};
    const double x = static_cast<double>(at);
    Lanes place{x, x + 1.0, x + 2.0, x + 3.0};
    for (int64_t i = 0; i < n; i += 4, place = place + 4.0) {
      Lanes d, row[3];
      std::memcpy(&d, D + i, sizeof d);
      std::memcpy(&row[0], a + i, sizeof d);
      std::memcpy(&row[1], b + i, sizeof d);
      row[2] = plain_ ? Lanes{} : load_lanes(c + i);
      ZNCC_UNROLL_PLANES
      for (int k = 0; k < 3; ++k) {
        const Lanes value = d * row[k];
        plain[k] += value;
        times_x[k] += value * place;
      }
    }
    for (int k = 0; k < (shape_.projective ? 3 : 2); ++k) {
      const double s = Moments::sum(plain[k]);
      to[(3 * k) * blocks] += Moments::sum(times_x[k]);
      to[(3 * k + 1) * blocks] += s * static_cast<double>(y);
      to[(3 * k + 2) * blocks] += s;
    }
  }

  const PairMetricShape& shape_;
  const PairMetricInput<Map>& in_;
  const PairMetricOutput<Map>& out_;
  const WindowSize window_;
  // plain_: a matrix without projection that stays so, where the depth is one number and c does not count.
  const bool plain_;
  const double by_depth_;
  const bool measures_;
  WarpedRows<Map> rows_;
  BoxSums<kImagePlanes> image_sums_;
  BoxSums<kMapPlanes> map_sums_;
  std::vector<Map> W_;
  Strip strip_{StripGrid(1, 1, 1), 0};
  int64_t left_ = 0, first_ = 0, maps_ = 0, first_row_ = 0;
  int64_t warped_left_ = 0, last_warped_ = 0;
  int64_t first_cell_row_ = 0, cell_rows_ = 0;
  std::vector<double>* partial_ = nullptr;
  Moments moments_;
  double sums_[kSums] = {};
  std::vector<double> cells_;
};

template <typename Map, bool kScores, bool kCurvature>
void run_strips(const PairMetricShape& shape, const PairMetricInput<Map>& in, const PairMetricOutput<Map>& out,
                StripQueue& strips, std::vector<double>* partial) {
  const StripGrid grid = pair_metric_grid(shape);
  const int64_t across = grid.strips_across();
  StripMetric<Map, kScores, kCurvature> metric(shape, in, out, grid.widest());
  for (int64_t index; strips.take(&index);) {
    if (shape.counts(index / across, index % across)) {
      metric.run(Strip(grid, index), partial + index);
    }
  }
}

template <typename Map>
void pair_metric_of(const PairMetricShape& shape, const PairMetricInput<Map>& in, const PairMetricOutput<Map>& out,
                    StripQueue& strips, std::vector<double>* partial) {
  if (out.curvature || out.pixels) {
    run_strips<Map, true, true>(shape, in, out, strips, partial);
  } else if (out.scores) {
    run_strips<Map, true, false>(shape, in, out, strips, partial);
  } else {
    run_strips<Map, false, false>(shape, in, out, strips, partial);
  }
}

}  // namespace

StripGrid pair_metric_grid(const PairMetricShape& shape) {
  StripGrid grid(shape.height(), shape.width(), shape.h);
  // No block of scores is shared.
  grid.strip_rows = (grid.strip_rows + kScoreBlock - 1) / kScoreBlock * kScoreBlock;
  if (shape.step > 1) {
    grid.strip_rows = kStepRows;
    grid.strip_columns = kStepColumns;
  }
  return grid;
}

void pair_metric(const PairMetricShape& shape, const PairMetricInput<float>& in, const PairMetricOutput<float>& out,
                 StripQueue& strips, std::vector<double>* partial) {
  pair_metric_of(shape, in, out, strips, partial);
}

void pair_metric(const PairMetricShape& shape, const PairMetricInput<double>& in, const PairMetricOutput<double>& out,
                 StripQueue& strips, std::vector<double>* partial) {
  pair_metric_of(shape, in, out, strips, partial);
}

void add_partial_sums(const PairMetricShape& shape, const std::vector<std::vector<double>>& partial, double* sums,
                      double* cells, double* curvature) {
  Moments moments;
  std::fill_n(sums, kSums, 0.0);
  for (const std::vector<double>& of_strip : partial) {
    if (of_strip.empty()) {
      continue;
    }
    const double* from = of_strip.data();
    for (int k = 0; k < kSums; ++k) {
      sums[k] += *from++;
    }
    for (double& sum : moments.sums) {
      sum += *from++;
    }
    const int64_t first = static_cast<int64_t>(*from++), rows = static_cast<int64_t>(*from++);
    for (int64_t k = 0; cells && k < kCellPlanes; ++k) {
      double* to = cells + (k * shape.cells.rows + first) * shape.cells.columns;
      for (int64_t i = 0; i < rows * shape.cells.columns; ++i) {
        to[i] += *from++;
      }
    }
  }
  if (!curvature) {
    return;
  }
  for (int i = 0; i < 9; ++i) {
    for (int j = 0; j < 9; ++j) {
      curvature[9 * i + j] = moments.sums[moment_of_entry(i, j)];
    }
  }
}

}  // namespace zncc
