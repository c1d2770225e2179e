// Banded symmetric matrices: banded.h.
#include "banded.h"

#include "box_sums.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace zncc {
namespace {

// Columns that are taken off the rest together: what they leave of it is then read and written once, not once each.
constexpr int64_t kTogether = 8;

// to[i] -= sum over k of by[k] from[k][i], n values.
ZNCC_INLINE void subtract(const double* const* from, const double* by, int64_t n, double* to) {
  ZNCC_VECTOR_LOOP
  for (int64_t i = 0; i < n; ++i) {
    double sum = from[0][i] * by[0];
    ZNCC_UNROLL_PLANES
    for (int64_t k = 1; k < kTogether; ++k) {
      sum += from[k][i] * by[k];
    }
    to[i] -= sum;
  }
}

}  // namespace

bool banded_cholesky(int64_t n, int64_t width, double* matrix) {
  // Columns as they lie in the matrix, with room for the rows that a block of columns reaches beyond one of them.
  const int64_t stride = width + 1, padded = stride + kTogether;
  std::vector<double> block(static_cast<size_t>(kTogether * (padded + kTogether)));
  for (int64_t first = 0; first < n; first += kTogether) {
    const int64_t count = std::min(kTogether, n - first);
    for (int64_t j = first; j < first + count; ++j) {
      double* column = matrix + j * stride;
      for (int64_t k = std::max(first, j - width); k < j; ++k) {
        const double* before = matrix + k * stride + (j - k);
        const double by = before[0];
        for (int64_t i = 0; i < stride - (j - k); ++i) {
          column[i] -= by * before[i];
        }
      }
      if (!(column[0] > 0.0)) {
        return false;
      }
      const double root = std::sqrt(column[0]), inverse = 1.0 / root;
      column[0] = root;
      for (int64_t i = 1; i < stride; ++i) {
        column[i] *= inverse;
      }
    }
    // Rows counted from `first`.
    const double* from[kTogether];
    const int64_t row_stride = padded + kTogether;
    std::fill(block.begin(), block.end(), 0.0);
    for (int64_t k = 0; k < kTogether; ++k) {
      double* to = &block[static_cast<size_t>(k * row_stride)];
      if (k < count) {
        std::copy_n(matrix + (first + k) * stride, stride, to + k);
      }
      from[k] = to;
    }
    const int64_t last = std::min(first + count + width, n);
    for (int64_t j = first + count; j < last; ++j) {
      const int64_t row = j - first;
      const double *at[kTogether], by[kTogether] = {from[0][row], from[1][row], from[2][row], from[3][row],
                                                    from[4][row], from[5][row], from[6][row], from[7][row]};
      for (int64_t k = 0; k < kTogether; ++k) {
        at[k] = from[k] + row;
      }
      subtract(at, by, std::min(stride, stride + count - 1 - row), matrix + j * stride);
    }
  }
  return true;
}

void banded_solve(int64_t n, int64_t width, const double* L, double* b) {
  const int64_t stride = width + 1;
  for (int64_t j = 0; j < n; ++j) {
    const double* column = L + j * stride;
    const int64_t rows = std::min(width, n - 1 - j);
    b[j] /= column[0];
    const double x = b[j];
    double* to = b + j;
    ZNCC_VECTOR_LOOP
    for (int64_t i = 1; i <= rows; ++i) {
      to[i] -= x * column[i];
    }
  }
  for (int64_t j = n - 1; j >= 0; --j) {
    const double* column = L + j * stride;
    double sum = b[j];
    for (int64_t i = 1; i <= std::min(width, n - 1 - j); ++i) {
      sum -= column[i] * b[j + i];
    }
    b[j] = sum / column[0];
  }
}

void banded_inverse(int64_t n, int64_t width, const double* L, double* inverse) {
  const int64_t stride = width + 1;
  std::fill_n(inverse, n * stride, 0.0);
  std::vector<double> l(static_cast<size_t>(width)), z(static_cast<size_t>(width));
  for (int64_t j = n - 1; j >= 0; --j) {
    const double *column = L + j * stride, by = 1.0 / column[0];
    const int64_t rows = std::min(width, n - 1 - j);
    for (int64_t i = 0; i < rows; ++i) {
      l[i] = column[i + 1] * by;
    }
    // z = -Z l, with Z the symmetric block of the inverse behind j, of which each column holds the lower part.
    std::fill(z.begin(), z.end(), 0.0);
    for (int64_t k = 0; k < rows; ++k) {
      const double* of = inverse + (j + 1 + k) * stride;
      const double lk = l[k];
      double* to = z.data() + k;
      const double* down = l.data() + k;
      Lanes sums{};
      const int64_t left = rows - k;
      to[0] -= of[0] * lk;
      int64_t i = 1;
      for (; i + 4 <= left; i += 4) {
        const Lanes values = load_lanes(of + i);
        sums += values * load_lanes(down + i);
        Lanes there = load_lanes(to + i) - values * lk;
        std::memcpy(to + i, &there, sizeof there);
      }
      double sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
      for (; i < left; ++i) {
        sum += of[i] * down[i];
        to[i] -= of[i] * lk;
      }
      to[0] -= sum;
    }
    double* to = inverse + j * stride;
    double own = by * by;
    for (int64_t i = 0; i < rows; ++i) {
      to[i + 1] = z[i];
      own -= l[i] * z[i];
    }
    to[0] = own;
  }
}

}  // namespace zncc
