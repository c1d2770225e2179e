// The normal equations of a B-spline field: spline_system.h.
#include "spline_system.h"

#include "box_sums.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace zncc {
namespace {

// Sixteen floats: one register with AVX-512, two with AVX.
typedef float FloatLanes __attribute__((vector_size(16 * sizeof(float))));
constexpr int64_t kLanes = 16;

constexpr int kPairs = 10;  // of four nodes, each with itself and with those behind it
constexpr int kFirst[kPairs] = {0, 0, 0, 0, 1, 1, 1, 2, 2, 3}, kSecond[kPairs] = {0, 1, 2, 3, 1, 2, 3, 2, 3, 3};

void cubic(double t, double* w) {
  const double s = 1.0 - t;
  w[0] = s * s * s / 6.0;
  w[1] = (t * t * (3.0 * t - 6.0) + 4.0) / 6.0;
  w[2] = (((3.0 - 3.0 * t) * t + 3.0) * t + 1.0) / 6.0;
  w[3] = t * t * t / 6.0;
}

// The cell that a pixel of an axis lies in, and the weights of its four nodes.
struct Weights {
  std::vector<int64_t> cell;
  std::vector<double> by;  // four of each pixel

  Weights(int64_t pixels, int64_t nodes, double spacing) : cell(pixels), by(4 * pixels) {
    for (int64_t x = 0; x < pixels; ++x) {
      const double place = static_cast<double>(x) / spacing;
      cell[x] = std::min(static_cast<int64_t>(place), nodes - 4);
      cubic(place - static_cast<double>(cell[x]), &by[4 * x]);
    }
  }
};

// Plane of the stencil for a node `down` rows and `across` columns away.
constexpr int stencil_plane(int down, int across) { return down == 0 ? across : 4 + (down - 1) * 7 + across + 3; }

// One row of cells after the other: sums down the pixels' columns for sixteen columns together, then along each cell for
// all of these sums together, then over all cells of the row for the nodes. Sums within a cell are of float.
class Curvature {
 public:
  Curvature(const SplineGrid& grid, const float* A, double* S)
      : grid_(grid), A_(A), S_(S), cells_(grid.columns - 3), across_(grid.width, grid.columns, grid.spacing),
        down_(grid.height, grid.rows, grid.spacing), pairs_(kPairs * grid.width), by_(kPairs * grid.height),
        sums_((grid.width + kLanes) * kPlaces), of_cells_(kPairs * kPlaces * cells_) {
    fill(across_, grid.width, &pairs_);
    fill(down_, grid.height, &by_);
  }

  void run() {
    std::fill_n(S_, kStencil * 3 * grid_.rows * grid_.columns, 0.0);
    for (int64_t top = 0, bottom; top < grid_.height; top = bottom) {
      for (bottom = top + 1; bottom < grid_.height && down_.cell[bottom] == down_.cell[top];) {
        ++bottom;
      }
      sum_down(top, bottom);
      sum_across();
      add_cells(down_.cell[top]);
    }
  }

 private:
  static constexpr int kPlaces = 32;  // of each column: three entries of ten pairs, two empty ones

  static void fill(const Weights& weights, int64_t pixels, std::vector<float>* pairs) {
    for (int64_t x = 0; x < pixels; ++x) {
      for (int q = 0; q < kPairs; ++q) {
        (*pairs)[kPairs * x + q] = static_cast<float>(weights.by[4 * x + kFirst[q]] * weights.by[4 * x + kSecond[q]]);
      }
    }
  }

  void sum_down(int64_t top, int64_t bottom) {
    const int64_t width = grid_.width, size = grid_.height * width;
    for (int entry = 0; entry < 3; ++entry) {
      for (int64_t x = 0; x < width; x += kLanes) {
        const int64_t count = std::min(kLanes, width - x);
        FloatLanes sums[kPairs] = {};
        for (int64_t y = top; y < bottom; ++y) {
          FloatLanes a{};
          const float *from = A_ + entry * size + y * width + x, *by = &by_[kPairs * y];
          if (count == kLanes) {
            std::memcpy(&a, from, sizeof a);
          } else {
            std::memcpy(&a, from, static_cast<size_t>(count) * sizeof(float));
          }
          ZNCC_UNROLL_PAIRS
          for (int p = 0; p < kPairs; ++p) {
            sums[p] += a * by[p];
          }
        }
        float* to = &sums_[x * kPlaces + kPairs * entry];
        for (int64_t i = 0; i < kLanes; ++i) {
          ZNCC_UNROLL_PAIRS
          for (int p = 0; p < kPairs; ++p) {
            to[i * kPlaces + p] = sums[p][i];
          }
        }
      }
    }
  }

  void sum_across() {
    std::fill(of_cells_.begin(), of_cells_.end(), 0.0f);
    for (int64_t x = 0; x < grid_.width;) {
      const int64_t cell = across_.cell[x];
      FloatLanes low[kPairs] = {}, high[kPairs] = {};
      for (; x < grid_.width && across_.cell[x] == cell; ++x) {
        FloatLanes a, b;
        std::memcpy(&a, &sums_[x * kPlaces], sizeof a);
        std::memcpy(&b, &sums_[x * kPlaces + kLanes], sizeof b);
        const float* by = &pairs_[kPairs * x];
        ZNCC_UNROLL_PAIRS
        for (int q = 0; q < kPairs; ++q) {
          low[q] += a * by[q];
          high[q] += b * by[q];
        }
      }
      for (int q = 0; q < kPairs; ++q) {
        float* to = &of_cells_[q * kPlaces * cells_ + cell];
        for (int64_t i = 0; i < kLanes; ++i) {
          to[i * cells_] = low[q][i];
          to[(kLanes + i) * cells_] = high[q][i];
        }
      }
    }
  }

  // Hands a row of cells to the nodes.
  void add_cells(int64_t row) {
    const int64_t nodes = grid_.rows * grid_.columns;
    for (int p = 0; p < kPairs; ++p) {
      for (int q = 0; q < kPairs; ++q) {
        for (int entry = 0; entry < 3; ++entry) {
          const float* from = &of_cells_[(q * kPlaces + kPairs * entry + p) * cells_];
          const int down = kSecond[p] - kFirst[p], across = kSecond[q] - kFirst[q];
          double* to = S_ + entry * nodes + (row + kFirst[p]) * grid_.columns;
          add(from, to + 3 * stencil_plane(down, across) * nodes + kFirst[q]);
          if (down > 0 && across > 0) {
            add(from, to + 3 * stencil_plane(down, -across) * nodes + kSecond[q]);
          }
        }
      }
    }
  }

  void add(const float* from, double* to) const {
    ZNCC_VECTOR_LOOP
    for (int64_t i = 0; i < cells_; ++i) {
      to[i] += static_cast<double>(from[i]);
    }
  }

  const SplineGrid& grid_;
  const float* A_;
  double* S_;
  const int64_t cells_;  // in a row
  const Weights across_, down_;
  // The products of two nodes' weights at each pixel of a row, and of a column.
  std::vector<float> pairs_, by_;
  std::vector<float> sums_;      // (width, entry, pair down)
  std::vector<float> of_cells_;  // (pair across, entry, pair down, cell)
};

// Vectors (2, rows + 6, columns + 6), with zeros around the grid, so that every neighbour has a place.
class Vectors {
 public:
  Vectors(int64_t rows, int64_t columns)
      : rows_(rows), columns_(columns), stride_(columns + 6), plane_((rows + 6) * stride_) {}

  size_t size() const { return static_cast<size_t>(2 * plane_); }
  int64_t plane() const { return plane_; }
  int64_t place(int64_t row, int64_t column) const { return (row + 3) * stride_ + column + 3; }
  int64_t step(const NodeOffset& offset) const { return offset.down * stride_ + offset.across; }

  void load(const double* from, std::vector<double>* to) const {
    to->assign(size(), 0.0);
    for (int64_t row = 0; row < 2 * rows_; ++row) {
      std::copy_n(from + row * columns_, columns_, to->data() + line(row));
    }
  }

  void store(const std::vector<double>& from, double* to) const {
    for (int64_t row = 0; row < 2 * rows_; ++row) {
      std::copy_n(from.data() + line(row), columns_, to + row * columns_);
    }
  }

  // y = S x
  void multiply(const double* S, const double* x, double* y) const {
    std::fill_n(y, size(), 0.0);
    const int64_t nodes = rows_ * columns_;
    for (int64_t row = 0; row < rows_; ++row) {
      const int64_t at = place(row, 0);
      for (int k = 0; k < kStencil; ++k) {
        const NodeOffset offset = stencil_offset(k);
        if (row + offset.down >= rows_) {
          break;
        }
        const double* s = S + 3 * k * nodes + row * columns_;
        add_product(s, nodes, x + at + step(offset), y + at);
        if (k > 0) {
          add_product(s, nodes, x + at, y + at + step(offset));
        }
      }
    }
  }

 private:
  int64_t line(int64_t row) const { return row / rows_ * plane_ + place(row % rows_, 0); }

  ZNCC_INLINE void add_product(const double* s, int64_t nodes, const double* x, double* y) const {
    const double *xx = s, *xy = s + nodes, *yy = s + 2 * nodes, *v = x + plane_;
    double* w = y + plane_;
    ZNCC_VECTOR_LOOP
    for (int64_t i = 0; i < columns_; ++i) {
      y[i] += xx[i] * x[i] + xy[i] * v[i];
      w[i] += xy[i] * x[i] + yy[i] * v[i];
    }
  }

  int64_t rows_, columns_, stride_, plane_;
};

// The inverses of the nodes' own 2 x 2 blocks; one where a block is not positive.
std::vector<double> inverse_blocks(const double* S, int64_t nodes) {
  std::vector<double> out(static_cast<size_t>(3 * nodes));
  for (int64_t i = 0; i < nodes; ++i) {
    const double a = S[i], b = S[nodes + i], c = S[2 * nodes + i], det = a * c - b * b;
    const bool positive = det > 1e-14 * a * c;
    out[i] = positive ? c / det : a > 0.0 ? 1.0 / a : 1.0;
    out[nodes + i] = positive ? -b / det : 0.0;
    out[2 * nodes + i] = positive ? a / det : c > 0.0 ? 1.0 / c : 1.0;
  }
  return out;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  Lanes sums[2] = {};
  size_t i = 0;
  for (; i + 8 <= a.size(); i += 8) {
    for (size_t half = 0; half < 2; ++half) {
      sums[half] += load_lanes(&a[i + 4 * half]) * load_lanes(&b[i + 4 * half]);
    }
  }
  const Lanes all = sums[0] + sums[1];
  double sum = (all[0] + all[1]) + (all[2] + all[3]);
  for (; i < a.size(); ++i) {
    sum += a[i] * b[i];
  }
  return sum;
}

}  // namespace

void spline_adjoint(const SplineGrid& grid, const float* s, double* b) {
  const Weights across(grid.width, grid.columns, grid.spacing), down(grid.height, grid.rows, grid.spacing);
  std::fill_n(b, 2 * grid.rows * grid.columns, 0.0);
  const int64_t width = grid.width;
  std::vector<double> sums(4 * width);  // down a row of cells, for each of four nodes
  for (int axis = 0; axis < 2; ++axis) {
    for (int64_t y = 0; y < grid.height; ++y) {
      const float* from = s + (axis * grid.height + y) * width;
      const double* by = &down.by[4 * y];
      double *first = sums.data(), *second = first + width, *third = second + width, *fourth = third + width;
      ZNCC_VECTOR_LOOP
      for (int64_t x = 0; x < width; ++x) {
        const double value = static_cast<double>(from[x]);
        first[x] += by[0] * value;
        second[x] += by[1] * value;
        third[x] += by[2] * value;
        fourth[x] += by[3] * value;
      }
      if (y + 1 < grid.height && down.cell[y + 1] == down.cell[y]) {
        continue;
      }
      double* to = b + (axis * grid.rows + down.cell[y]) * grid.columns;
      for (int64_t x = 0; x < width;) {
        const int64_t cell = across.cell[x];
        Lanes nodes[4] = {};
        for (; x < width && across.cell[x] == cell; ++x) {
          const Lanes along = load_lanes(&across.by[4 * x]);
          for (int64_t k = 0; k < 4; ++k) {
            nodes[k] += along * sums[k * width + x];
          }
        }
        for (int64_t k = 0; k < 4; ++k) {
          const Lanes sum = load_lanes(to + k * grid.columns + cell) + nodes[k];
          std::memcpy(to + k * grid.columns + cell, &sum, sizeof sum);
        }
      }
      std::fill(sums.begin(), sums.end(), 0.0);
    }
  }
}

void spline_curvature(const SplineGrid& grid, const float* A, double* S) { Curvature(grid, A, S).run(); }

void stencil_product(int64_t rows, int64_t columns, const double* S, const double* x, double* y) {
  const Vectors vectors(rows, columns);
  std::vector<double> from, to(vectors.size());
  vectors.load(x, &from);
  vectors.multiply(S, from.data(), to.data());
  vectors.store(to, y);
}

void stencil_band(int64_t rows, int64_t columns, const double* S, const double* P, double factor, double* band) {
  const int64_t nodes = rows * columns, row = stencil_band_row(rows, columns);
  const bool by_rows = columns <= rows;
  const int64_t down_step = by_rows ? columns : 1, across_step = by_rows ? 1 : rows;
  std::fill_n(band, 2 * nodes * row, 0.0);
  for (int k = 0; k < kStencil; ++k) {
    const NodeOffset offset = stencil_offset(k);
    const int64_t step = offset.down * down_step + offset.across * across_step, apart = step < 0 ? -step : step;
    const double *s = S + 3 * k * nodes, *p = P + k * nodes;
    const int64_t left = std::max<int64_t>(0, -offset.across), right = columns - std::max<int64_t>(0, offset.across);
    for (int64_t j = 0; j < rows - offset.down; ++j) {
      for (int64_t i = left; i < right; ++i) {
        const int64_t node = j * columns + i, place = j * down_step + i * across_step;
        double* to = band + 2 * (step < 0 ? place + step : place) * row + 2 * apart;
        const double own = factor * p[node], xy = s[nodes + node];
        to[0] = s[node] + own;
        to[1] = xy;
        to[row] = s[2 * nodes + node] + own;
        if (apart > 0) {
          to[row - 1] = xy;
        }
      }
    }
  }
}

void lag_products(int64_t count, int64_t height, int64_t width, int64_t reach, int64_t step, const float* planes,
                  double* out) {
  std::fill_n(out, (reach + 1) * (2 * reach + 1), 0.0);
  for (int64_t row = 0; row < count * height; ++row) {
    const int64_t y = row % height;
    if (y % step != 0) {
      continue;
    }
    const float* here = planes + row * width;
    for (int64_t down = 0; down <= std::min(reach, height - 1 - y); ++down) {
      for (int64_t across = -reach; across <= reach; ++across) {
        const int64_t first = std::max<int64_t>(0, -across), last = width - std::max<int64_t>(0, across);
        const float* there = here + down * width + across;
        // Sixteen sums, each of few numbers: float is enough.
        FloatLanes sums{};
        int64_t x = first;
        for (; x + 16 <= last; x += 16) {
          FloatLanes a, b;
          std::memcpy(&a, here + x, sizeof a);
          std::memcpy(&b, there + x, sizeof b);
          sums += a * b;
        }
        double sum = 0.0;
        for (int i = 0; i < 16; ++i) {
          sum += static_cast<double>(sums[i]);
        }
        for (; x < last; ++x) {
          sum += static_cast<double>(here[x] * there[x]);
        }
        out[down * (2 * reach + 1) + reach + across] += sum;
      }
    }
  }
}

void shift_products(int64_t height, int64_t width, int64_t side, int64_t reach, const float* f, const float* m,
                    float* out) {
  const int64_t r = side / 2, rows = shift_windows(height), columns = shift_windows(width);
  const int64_t padded = width + 2 * reach;
  // m with zeros around it, and the products' sums down each column, with zeros on either side.
  std::vector<float> around(static_cast<size_t>((height + 2 * reach) * padded)), sums(width + 2 * r);
  for (int64_t y = 0; y < height; ++y) {
    std::copy_n(m + y * width, width, &around[static_cast<size_t>((y + reach) * padded + reach)]);
  }
  for (int64_t down = 0; down <= 2 * reach; ++down) {
    for (int64_t across = 0; across <= 2 * reach; ++across) {
      std::fill(sums.begin(), sums.end(), 0.0f);
      float* column = sums.data() + r;
      int64_t top = 0, bottom = 0;  // rows that the sums hold
      for (int64_t row = 0; row < rows; ++row) {
        const int64_t centre = kShiftStride * row + kShiftStride / 2;
        const int64_t first = std::max<int64_t>(centre - r, 0), last = std::min(centre + r + 1, height);
        for (; bottom < last; ++bottom) {
          const float *a = f + bottom * width, *b = around.data() + (bottom + down) * padded + across;
          ZNCC_VECTOR_LOOP
          for (int64_t x = 0; x < width; ++x) {
            column[x] += a[x] * b[x];
          }
        }
        for (; top < first; ++top) {
          const float *a = f + top * width, *b = around.data() + (top + down) * padded + across;
          ZNCC_VECTOR_LOOP
          for (int64_t x = 0; x < width; ++x) {
            column[x] -= a[x] * b[x];
          }
        }
        const float* from = sums.data() + kShiftStride / 2;
        for (int64_t i = 0; i < columns; ++i) {
          float sum = 0.0f;
          for (int64_t k = 0; k < side; ++k) {
            sum += from[kShiftStride * i + k];
          }
          *out++ = sum;
        }
      }
    }
  }
}

int64_t conjugate_gradients(int64_t rows, int64_t columns, const double* S, const double* b, double* x, int64_t most,
                            double tolerance) {
  const Vectors vectors(rows, columns);
  const int64_t nodes = rows * columns;
  const std::vector<double> inverse = inverse_blocks(S, nodes);
  std::vector<double> at, r, z(vectors.size()), p, q(vectors.size());
  vectors.load(x, &at);
  vectors.load(b, &r);
  vectors.multiply(S, at.data(), q.data());
  for (size_t i = 0; i < r.size(); ++i) {
    r[i] -= q[i];
  }
  const auto precondition = [&] {
    for (int64_t row = 0; row < rows; ++row) {
      const double* by = inverse.data() + row * columns;
      const double *u = r.data() + vectors.place(row, 0), *v = u + vectors.plane();
      double *to = z.data() + vectors.place(row, 0), *to_v = to + vectors.plane();
      ZNCC_VECTOR_LOOP
      for (int64_t i = 0; i < columns; ++i) {
        to[i] = by[i] * u[i] + by[nodes + i] * v[i];
        to_v[i] = by[nodes + i] * u[i] + by[2 * nodes + i] * v[i];
      }
    }
  };
  precondition();
  p = z;
  double rz = dot(r, z);
  const double enough = tolerance * tolerance * rz;
  int64_t steps = 0;
  for (; steps < most && rz > enough; ++steps) {
    vectors.multiply(S, p.data(), q.data());
    const double curvature = dot(p, q);
    if (!(curvature > 0.0)) {
      break;
    }
    const double length = rz / curvature;
    for (size_t i = 0; i < r.size(); ++i) {
      at[i] += length * p[i];
      r[i] -= length * q[i];
    }
    precondition();
    const double next = dot(r, z), turn = next / rz;
    rz = next;
    for (size_t i = 0; i < p.size(); ++i) {
      p[i] = z[i] + turn * p[i];
    }
  }
  vectors.store(at, x);
  return steps;
}

}  // namespace zncc
