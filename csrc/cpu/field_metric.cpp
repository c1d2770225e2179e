// The field metric on the CPU: field_metric.h.
//
// Row by row: the moving image is warped, the sums of both kinds of windows tell c of the row that lies in the middle of the
// wider ones, and the sums of what follows from c give the scores of a row still further up.
#include "field_metric.h"

#include "../field_metric.h"
#include "../mirrored.h"
#include "box_sums.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace zncc {
namespace {

typedef float EightFloats __attribute__((vector_size(8 * sizeof(float))));

// The nodes around the pixels of one axis: the first of the four of pixel x, and their weights; where cells begin.
struct Axis {
  std::vector<int64_t> begins;  // of each cell, and the end
  std::vector<float> value[4], slope[4];

  Axis(int64_t pixels, int64_t nodes, double spacing) : begins(static_cast<size_t>(nodes - 2), pixels) {
    for (int k = 0; k < 4; ++k) {
      value[k].resize(pixels + 8);  // with room for whole turns of eight
      slope[k].resize(pixels + 8);
    }
    int64_t cell = -1;
    for (int64_t x = 0; x < pixels; ++x) {
      const double place = static_cast<double>(x) / spacing;
      const int64_t at = std::min(static_cast<int64_t>(place), nodes - 4);
      for (; cell < at; ++cell) {
        begins[cell + 1] = x;
      }
      const CubicWeights w = cubic_weights(static_cast<float>(place - static_cast<double>(at)));
      for (int k = 0; k < 4; ++k) {
        value[k][x] = w.value[k];
        slope[k][x] = w.slope[k] / static_cast<float>(spacing);
      }
    }
  }
};

// Pixels whose places are worked out together.
constexpr int64_t kTogether = 64;

class StripFieldMetric {
 public:
  StripFieldMetric(const FieldShape& shape, const FieldInput& in, const FieldOutput& out)
      : shape_(shape), in_(in), out_(out), r_(shape.window / 2), R_(shape.wide / 2), kept_(r_ + R_ + 1),
        stride_((shape.width + kTogether - 1) / kTogether * kTogether),
        across_(shape.width, shape.columns, shape.spacing), down_(shape.height, shape.rows, shape.spacing),
        images_(shape.window, shape.window, shape.width + 2 * r_),
        gradients_(shape.wide, shape.wide, shape.width + 2 * R_),
        weighted_(shape.window, shape.window, shape.width + 2 * r_), collapsed_(4 * shape.columns) {
    for (std::vector<float>* rows : {&m_, &k_, &px_, &py_, &qx_, &qy_, &rho_, &c_}) {
      rows->resize(kept_ * stride_);
    }
    for (std::vector<double>* rows : {&share_, &mean_f_, &mean_m_, &v_f_, &v_m_, &z_, &e_}) {
      rows->resize(kept_ * stride_);
    }
    for (std::vector<float>* row : {&u_, &v_, &ux_, &uy_, &vx_, &vy_}) {
      row->resize(shape.width + 8);
    }
    for (std::vector<double>* row : {&X_, &Y_, &det_}) {
      row->resize(stride_);
    }
  }

  void run(const Strip& strip, double* sums) {
    strip_ = strip;
    sums_ = sums;
    std::fill_n(sums_, kFieldSums, 0.0);
    images_.reset(shape_.width + 2 * r_, false);
    gradients_.reset(shape_.width + 2 * R_, false);
    weighted_.reset(shape_.width + 2 * r_, false);
    const int64_t first = strip.top - r_ - R_, last = strip.bottom + r_ + R_;
    for (int64_t y = first; y < last; ++y) {
      const bool inside = y >= 0 && y < shape_.height;
      if (inside) {
        warp_row(y);
      }
      push_images(y, inside);
      push_gradients(y, inside);
      if (y - R_ >= strip.top - r_) {
        push_weighted(y - R_);
      }
    }
  }

 private:
  int64_t at(int64_t y) const { return y % kept_ * stride_; }

  // The moving image, both gradients, and where both images are valid, of a row.
  void warp_row(int64_t y) {
    bend_row(y);
    locate_row(y);
    const int64_t width = shape_.width;
    float* k = k_.data() + at(y);
    if (in_.fixed_mask) {
      for (int64_t x = 0; x < width; ++x) {
        k[x] = in_.fixed_mask[y * width + x] ? k[x] : 0.0f;
      }
    }
    if (in_.moving_mask) {
      for (int64_t x = 0; x < width; ++x) {
        k[x] = k[x] > 0.0f && is_valid(X_[x], Y_[x]) ? 1.0f : 0.0f;
      }
    }
    sample_row(y);
    if (y >= strip_.top && y < strip_.bottom) {
      float* determinants = out_.pixels + (kFieldPlanes - 1) * shape_.height * width + y * width;
      int64_t folded = 0, valid = 0;
      for (int64_t x = 0; x < width; ++x) {
        determinants[x] = static_cast<float>(det_[x]);
        valid += k[x] > 0.0f;
        folded += (k[x] > 0.0f) & (det_[x] < shape_.least_determinant);
      }
      sums_[4] += static_cast<double>(folded);
      sums_[5] += static_cast<double>(valid);
    }
  }

  // Where the pixels of a row lie in the moving image, whether inside of it, and the fixed image's gradient there.
  void locate_row(int64_t y) {
    const int64_t width = shape_.width;
    const double M[9] = {shape_.M[0], shape_.M[1], shape_.M[2], shape_.M[3], shape_.M[4],
                         shape_.M[5], shape_.M[6], shape_.M[7], shape_.M[8]};
    const double yy = static_cast<double>(y), left = shape_.left, right = shape_.right;
    const double top = shape_.top, bottom = shape_.bottom;
    const float *fx = in_.gradient + y * width, *fy = fx + shape_.height * width;
    const float *u = u_.data(), *v = v_.data(), *ux = ux_.data(), *uy = uy_.data(), *vx = vx_.data(), *vy = vy_.data();
    float *k = k_.data() + at(y), *px = px_.data() + at(y), *py = py_.data() + at(y);
    double *to_X = X_.data(), *to_Y = Y_.data(), *to_det = det_.data();
    ZNCC_VECTOR_LOOP
    for (int64_t x = 0; x < width; ++x) {
      const FieldBend bend{u[x], v[x], ux[x], uy[x], vx[x], vy[x]};
      const FieldPlace place = field_place(M, static_cast<double>(x), yy, bend, fx[x], fy[x]);
      const double X = place.X, Y = place.Y;
      px[x] = place.px;
      py[x] = place.py;
      to_det[x] = place.determinant;
      // No number is less than any other: what is not finite is not valid.
      const bool valid = (place.depth > 0.0) & (X >= left) & (X <= right) & (Y >= top) & (Y <= bottom);
      k[x] = valid ? 1.0f : 0.0f;
      to_X[x] = valid ? X : left;
      to_Y[x] = valid ? Y : top;
    }
  }

  // The spline's displacements and their derivatives, of a row.
  void bend_row(int64_t y) {
    const int64_t nodes = shape_.columns, cells = nodes - 3;
    int64_t cell = 0;
    while (down_.begins[cell + 1] <= y) {
      ++cell;
    }
    for (int axis = 0; axis < 2; ++axis) {
      const float* c = in_.coefficients + (axis * shape_.rows + cell) * nodes;
      float *value = collapsed_.data() + 2 * axis * nodes, *slope = value + nodes;
      const float by[4] = {down_.value[0][y], down_.value[1][y], down_.value[2][y], down_.value[3][y]};
      const float by_slope[4] = {down_.slope[0][y], down_.slope[1][y], down_.slope[2][y], down_.slope[3][y]};
      ZNCC_VECTOR_LOOP
      for (int64_t i = 0; i < nodes; ++i) {
        float along = 0.0f, of_y = 0.0f;
        ZNCC_UNROLL_PLANES
        for (int k = 0; k < 4; ++k) {
          along += by[k] * c[k * nodes + i];
          of_y += by_slope[k] * c[k * nodes + i];
        }
        value[i] = along;
        slope[i] = of_y;
      }
      float *to = axis == 0 ? u_.data() : v_.data(), *by_x = axis == 0 ? ux_.data() : vx_.data();
      float* by_y = axis == 0 ? uy_.data() : vy_.data();
      for (int64_t i = 0; i < cells; ++i) {
        const float a[4] = {value[i], value[i + 1], value[i + 2], value[i + 3]};
        const float b[4] = {slope[i], slope[i + 1], slope[i + 2], slope[i + 3]};
        // Eight pixels together. What lies beyond the cell is written once more by the next one.
        for (int64_t x = across_.begins[i]; x < across_.begins[i + 1]; x += 8) {
          EightFloats along{}, of_x{}, of_y{};
          ZNCC_UNROLL_PLANES
          for (int k = 0; k < 4; ++k) {
            EightFloats by, by_slope;
            std::memcpy(&by, &across_.value[k][x], sizeof by);
            std::memcpy(&by_slope, &across_.slope[k][x], sizeof by_slope);
            along += a[k] * by;
            of_x += a[k] * by_slope;
            of_y += b[k] * by;
          }
          std::memcpy(to + x, &along, sizeof along);
          std::memcpy(by_x + x, &of_x, sizeof of_x);
          std::memcpy(by_y + x, &of_y, sizeof of_y);
        }
      }
    }
  }

  // Whether all of the pixels around a point of the moving image are valid.
  bool is_valid(double X, double Y) const {
    const int64_t x = static_cast<int64_t>(X), y = static_cast<int64_t>(Y);
    const int64_t right = std::min(x + (X > static_cast<double>(x) ? 1 : 0), shape_.moving_width - 1);
    const int64_t bottom = std::min(y + (Y > static_cast<double>(y) ? 1 : 0), shape_.moving_height - 1);
    const float *top = in_.moving_mask + y * shape_.moving_width,
                *below = in_.moving_mask + bottom * shape_.moving_width;
    return top[x] > 0.0f && top[right] > 0.0f && below[x] > 0.0f && below[right] > 0.0f;
  }

  // The value and the gradient of the moving image's spline at the pixels of a row; zero where not valid.
  //
  // The weights of some pixels together; then the knots' sums down, of one pixel after the other; then across.
  void sample_row(int64_t y) {
    typedef float Four __attribute__((vector_size(4 * sizeof(float))));
    const int64_t width = shape_.moving_width, height = shape_.moving_height;
    const float* k = k_.data() + at(y);
    float *m = m_.data() + at(y), *qx = qx_.data() + at(y), *qy = qy_.data() + at(y);
    for (int64_t begin = 0; begin < shape_.width; begin += kTogether) {
      const int64_t count = std::min(kTogether, shape_.width - begin);
      const double *X = X_.data() + begin, *Y = Y_.data() + begin;
      int32_t ix[kTogether], iy[kTogether];
      float across[8][kTogether], down[8][kTogether], values[4 * kTogether], slopes[4 * kTogether];
      ZNCC_VECTOR_LOOP
      for (int64_t x = 0; x < kTogether; ++x) {
        ix[x] = static_cast<int32_t>(X[x]);
        iy[x] = static_cast<int32_t>(Y[x]);
        const CubicWeights a = cubic_weights(static_cast<float>(X[x] - static_cast<double>(ix[x])));
        const CubicWeights d = cubic_weights(static_cast<float>(Y[x] - static_cast<double>(iy[x])));
        ZNCC_UNROLL_PLANES
        for (int i = 0; i < 4; ++i) {
          across[i][x] = a.value[i];
          across[4 + i][x] = a.slope[i];
          down[i][x] = d.value[i];
          down[4 + i][x] = d.slope[i];
        }
      }
      for (int64_t x = 0; x < count; ++x) {
        Four value{}, slope{};
        if (k[begin + x] > 0.0f) {
          const int64_t column = ix[x] - 1, row = iy[x] - 1;
          float copied[16];
          const float* from = in_.knots + row * width + column;
          int64_t stride = width;
          if (column < 0 || row < 0 || column + 3 >= width || row + 3 >= height) {
            for (int j = 0; j < 4; ++j) {
              for (int i = 0; i < 4; ++i) {
                copied[4 * j + i] = in_.knots[mirrored(row + j, height) * width + mirrored(column + i, width)];
              }
            }
            from = copied;
            stride = 4;
          }
          ZNCC_UNROLL_PLANES
          for (int j = 0; j < 4; ++j) {
            Four knots;
            std::memcpy(&knots, from + j * stride, sizeof knots);
            value += knots * down[j][x];
            slope += knots * down[4 + j][x];
          }
        }
        std::memcpy(values + 4 * x, &value, sizeof value);
        std::memcpy(slopes + 4 * x, &slope, sizeof slope);
      }
      float *to = m + begin, *by_x = qx + begin, *by_y = qy + begin;
      ZNCC_VECTOR_LOOP
      for (int64_t x = 0; x < kTogether; ++x) {
        const float *v = values + 4 * x, *s = slopes + 4 * x;
        to[x] = (v[0] * across[0][x] + v[1] * across[1][x]) + (v[2] * across[2][x] + v[3] * across[3][x]);
        by_x[x] = (v[0] * across[4][x] + v[1] * across[5][x]) + (v[2] * across[6][x] + v[3] * across[7][x]);
        by_y[x] = (s[0] * across[0][x] + s[1] * across[1][x]) + (s[2] * across[2][x] + s[3] * across[3][x]);
      }
    }
  }

  template <int K, typename Row>
  ZNCC_INLINE void take(BoxSums<K>& sums, int64_t beyond, bool inside, const Row& row) {
    const auto zeros = [](int64_t, double* v) ZNCC_ALWAYS { std::fill_n(v, K, 0.0); };
    sums.begin();
    if (inside) {
      sums.take(0, beyond, zeros);
      sums.take(beyond, shape_.width, row);
      sums.take(beyond + shape_.width, beyond, zeros);
    } else {
      sums.take(0, shape_.width + 2 * beyond, zeros);
    }
  }

  void push_images(int64_t y, bool inside) {
    const float *f = in_.fixed + y * shape_.width, *m = m_.data() + (inside ? at(y) : 0);
    const float* k = k_.data() + (inside ? at(y) : 0);
    take(images_, r_, inside, [=](int64_t x, double* v) ZNCC_ALWAYS {
      const double valid = static_cast<double>(k[x]), a = static_cast<double>(f[x]) * valid;
      const double b = static_cast<double>(m[x]);  // zero where not valid
      v[0] = valid;
      v[1] = a;
      v[2] = b;
      v[3] = a * a;
      v[4] = b * b;
      v[5] = a * b;
    });
    const int64_t row = y - r_;
    const bool told = row >= 0 && row < shape_.height && row >= strip_.top - R_;
    const double inverse_N = 1.0 / static_cast<double>(shape_.window * shape_.window);
    images_.end([&](int64_t begin, int64_t count, const Sums& S) ZNCC_ALWAYS {
      if (!told) {
        return;
      }
      const double *n = S[0], *of_f = S[1], *of_m = S[2], *ff = S[3], *mm = S[4], *fm = S[5];
      const int64_t to = at(row) + begin;
      double *share = share_.data() + to, *mean_f = mean_f_.data() + to, *mean_m = mean_m_.data() + to;
      double *v_f = v_f_.data() + to, *v_m = v_m_.data() + to, *z = z_.data() + to, *e = e_.data() + to;
      const double eps_f = shape_.eps_f, eps_m = shape_.eps_m;
      ZNCC_VECTOR_LOOP
      for (int64_t x = 0; x < count; ++x) {
        const FieldWindow t = field_window({n[x], of_f[x], of_m[x], ff[x], mm[x], fm[x]}, inverse_N, eps_f, eps_m);
        share[x] = t.share;
        mean_f[x] = t.mean_f;
        mean_m[x] = t.mean_m;
        v_f[x] = t.v_f;
        v_m[x] = t.v_m;
        z[x] = t.z;
        e[x] = t.e;
      }
    });
  }

  void push_gradients(int64_t y, bool inside) {
    const int64_t from = inside ? at(y) : 0;
    const float *k = k_.data() + from, *px = px_.data() + from, *py = py_.data() + from;
    const float *qx = qx_.data() + from, *qy = qy_.data() + from;
    take(gradients_, R_, inside, [=](int64_t x, double* v) ZNCC_ALWAYS {
      const double valid = static_cast<double>(k[x]), ax = static_cast<double>(px[x]), ay = static_cast<double>(py[x]);
      const double bx = static_cast<double>(qx[x]), by = static_cast<double>(qy[x]);
      v[0] = valid * (ax * ax + ay * ay);
      v[1] = bx * bx + by * by;  // zero where not valid
      v[2] = ax * bx + ay * by;
    });
    const int64_t row = y - R_;
    const bool told = row >= 0 && row < shape_.height && row >= strip_.top - r_;
    const double inverse = 1.0 / static_cast<double>(shape_.wide * shape_.wide);
    gradients_.end([&](int64_t begin, int64_t count, const Sums& S) ZNCC_ALWAYS {
      if (!told) {
        return;
      }
      const double *pp = S[0], *qq = S[1], *pq = S[2];
      float* rho = rho_.data() + at(row) + begin;
      ZNCC_VECTOR_LOOP
      for (int64_t x = 0; x < count; ++x) {
        rho[x] = static_cast<float>(gradient_correlation(pp[x] * inverse, qq[x] * inverse, pq[x] * inverse));
      }
    });
  }

  // The weights of the windows around row y, and the scores that these complete.
  void push_weighted(int64_t y) {
    const bool inside = y >= 0 && y < shape_.height;
    if (inside) {
      weigh(y);
    }
    const int64_t from = inside ? at(y) : 0;
    const float* c = c_.data() + from;
    const double *mean_f = mean_f_.data() + from, *mean_m = mean_m_.data() + from;
    const double *v_f = v_f_.data() + from, *v_m = v_m_.data() + from;
    take(weighted_, r_, inside, [=](int64_t x, double* v) ZNCC_ALWAYS {
      const double weight = static_cast<double>(c[x]);
      const double by_f = 1.0 / std::sqrt(v_f[x]), by_m = 1.0 / std::sqrt(v_m[x]);
      const double t = weight * (mean_f[x] * by_f - mean_m[x] * by_m);
      v[0] = weight * by_f * by_f;
      v[1] = weight * by_f * by_m;
      v[2] = weight * by_m * by_m;
      v[3] = t * by_f;
      v[4] = t * by_m;
    });
    const int64_t row = y - r_;
    const bool told = row >= strip_.top && row < strip_.bottom;
    weighted_.end([&](int64_t begin, int64_t count, const Sums& S) ZNCC_ALWAYS {
      if (told) {
        score(row, begin, count, S);
      }
    });
  }

  void weigh(int64_t y) {
    const int64_t from = at(y), width = shape_.width;
    const float* rho = rho_.data() + from;
    const double *share = share_.data() + from, *z = z_.data() + from, *e = e_.data() + from;
    float* c = c_.data() + from;
    const auto weigh_by = [=](auto weight) ZNCC_ALWAYS {
      ZNCC_VECTOR_LOOP
      for (int64_t x = 0; x < width; ++x) {
        const FieldWindow t{share[x], 0.0, 0.0, 0.0, 0.0, z[x], e[x]};
        c[x] = static_cast<float>(window_weight(t, static_cast<double>(rho[x]), weight(x)));
      }
    };
    if (in_.weight) {
      const float* weight = in_.weight + y * width;
      weigh_by([=](int64_t x) ZNCC_ALWAYS { return static_cast<double>(weight[x]); });
    } else {
      weigh_by([](int64_t) ZNCC_ALWAYS { return 1.0; });
    }
    if (y < strip_.top || y >= strip_.bottom) {
      return;
    }
    for (int64_t x = 0; x < width; ++x) {
      sums_[0] += static_cast<double>(c[x]);
      sums_[1] += static_cast<double>(c[x]) * z[x];
    }
    if (out_.maps) {
      const int64_t size = shape_.height * width;
      float* to = out_.maps + y * width;
      for (int64_t x = 0; x < width; ++x) {
        to[x] = static_cast<float>(z[x]);
        to[size + x] = c[x];
        to[2 * size + x] = static_cast<float>(e[x] * (share[x] >= kMinShare ? share[x] : 0.0));
        to[3 * size + x] = m_[from + x];
        to[4 * size + x] = k_[from + x];
      }
    }
  }

  // The pixels of a row from the sums over the windows around them.
  ZNCC_INLINE void score(int64_t y, int64_t begin, int64_t count, const Sums& S) {
    const int64_t from = at(y) + begin, width = shape_.width, size = shape_.height * width;
    const double inverse_N = 1.0 / static_cast<double>(shape_.window * shape_.window);
    const double *A = S[0], *B = S[1], *D = S[2], *E = S[3], *F = S[4];
    const float *f = in_.fixed + y * width + begin, *m = m_.data() + from, *k = k_.data() + from;
    const float *px = px_.data() + from, *py = py_.data() + from, *qx = qx_.data() + from, *qy = qy_.data() + from;
    const float *rho = rho_.data() + from, *c = c_.data() + from;
    float* to = out_.pixels + y * width + begin;
    double without[kBlock], with[kBlock];
    ZNCC_VECTOR_LOOP
    for (int64_t x = 0; x < count; ++x) {
      const double scale = static_cast<double>(k[x]) * inverse_N;
      const FieldAround around{A[x] * scale, B[x] * scale, D[x] * scale, E[x] * scale, F[x] * scale};
      const FieldScore told = field_score(around, {f[x], m[x], px[x], py[x], qx[x], qy[x], rho[x], c[x]});
      to[x] = static_cast<float>(told.x);
      to[size + x] = static_cast<float>(told.y);
      to[2 * size + x] = static_cast<float>(told.xx);
      to[3 * size + x] = static_cast<float>(told.xy);
      to[4 * size + x] = static_cast<float>(told.yy);
      to[5 * size + x] = static_cast<float>(told.residual);
      to[6 * size + x] = static_cast<float>(told.gx);
      to[7 * size + x] = static_cast<float>(told.gy);
      without[x] = told.without_rho;
      with[x] = told.with_rho;
    }
    sums_[2] += sum_of(without, count);
    sums_[3] += sum_of(with, count);
  }

  const FieldShape& shape_;
  const FieldInput& in_;
  const FieldOutput& out_;
  const int64_t r_, R_, kept_, stride_;  // rows that are kept, each with room for whole turns behind it
  const Axis across_, down_;
  BoxSums<6> images_;
  BoxSums<3> gradients_;
  BoxSums<5> weighted_;
  std::vector<float> collapsed_, m_, k_, px_, py_, qx_, qy_, rho_, c_, u_, v_, ux_, uy_, vx_, vy_;
  std::vector<double> X_, Y_, det_, share_, mean_f_, mean_m_, v_f_, v_m_, z_, e_;
  Strip strip_{StripGrid(1, 1, 1), 0};
  double* sums_ = nullptr;
};

}  // namespace

StripGrid field_grid(const FieldShape& shape) {
  StripGrid grid(shape.height, shape.width, shape.wide);
  grid.strip_columns = std::max<int64_t>(shape.width, 1);  // rows are whole: their windows run over the edges
  return grid;
}

void field_metric(const FieldShape& shape, const FieldInput& in, const FieldOutput& out, StripQueue& strips,
                  double* sums) {
  const StripGrid grid = field_grid(shape);
  StripFieldMetric metric(shape, in, out);
  for (int64_t index; strips.take(&index);) {
    metric.run(Strip(grid, index), sums + index * kFieldSums);
  }
}

}  // namespace zncc
