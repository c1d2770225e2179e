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

namespace {

// A row of as many values as columns are taken together.
typedef double Together __attribute__((vector_size(kTogether * sizeof(double))));

ZNCC_INLINE Together load_together(const double* from) {
  Together values;
  std::memcpy(&values, from, sizeof values);
  return values;
}

ZNCC_INLINE void store_together(double* to, const Together& values) { std::memcpy(to, &values, sizeof values); }

// Y = Z X, with Z (m, m) symmetric, of which column k holds the rows from k on, `stride` places behind the one before; X and
// Y (m, kTogether).
void multiply_symmetric(const double* Z, int64_t stride, int64_t m, const double* X, double* Y) {
  constexpr int64_t kColumns = 4;  // of Z, whose products with one row of X and of Y stay in registers
  std::fill_n(Y, m * kTogether, 0.0);
  int64_t k = 0;
  for (; k + kColumns <= m; k += kColumns) {
    const double* column[kColumns];
    Together x[kColumns], sums[kColumns] = {};
    for (int64_t c = 0; c < kColumns; ++c) {
      column[c] = Z + (k + c) * stride - (k + c);  // of row 0, which is not stored
      x[c] = load_together(X + (k + c) * kTogether);
    }
    for (int64_t c = 0; c < kColumns; ++c) {
      for (int64_t i = k + c; i < k + kColumns; ++i) {
        const double z = column[c][i];
        store_together(Y + i * kTogether, load_together(Y + i * kTogether) + z * x[c]);
        sums[c] += i > k + c ? z * x[i - k] : Together{};
      }
    }
    for (int64_t i = k + kColumns; i < m; ++i) {
      const Together of_x = load_together(X + i * kTogether);
      Together y = load_together(Y + i * kTogether);
      ZNCC_UNROLL_PLANES
      for (int64_t c = 0; c < kColumns; ++c) {
        const double z = column[c][i];
        y += z * x[c];
        sums[c] += z * of_x;
      }
      store_together(Y + i * kTogether, y);
    }
    for (int64_t c = 0; c < kColumns; ++c) {
      store_together(Y + (k + c) * kTogether, load_together(Y + (k + c) * kTogether) + sums[c]);
    }
  }
  for (; k < m; ++k) {
    const double* column = Z + k * stride - k;
    const Together x = load_together(X + k * kTogether);
    Together sum = column[k] * x;
    for (int64_t i = k + 1; i < m; ++i) {
      store_together(Y + i * kTogether, load_together(Y + i * kTogether) + column[i] * x);
      sum += column[i] * load_together(X + i * kTogether);
    }
    store_together(Y + k * kTogether, load_together(Y + k * kTogether) + sum);
  }
}

// K = inverse of D D^T, of which column k of D, lower triangular, holds the rows from k on; all (count, count).
void inverse_of_block(const double* D, int64_t width, int64_t count, double (*K)[kTogether]) {
  const int64_t stride = width + 1;
  double of_D[kTogether][kTogether] = {};
  for (int64_t k = 0; k < count; ++k) {
    of_D[k][k] = 1.0 / D[k * stride];
    for (int64_t i = k + 1; i < count; ++i) {
      double sum = 0.0;
      for (int64_t l = std::max(k, i - width); l < i; ++l) {
        sum += D[l * stride + i - l] * of_D[l][k];
      }
      of_D[i][k] = -sum / D[i * stride];
    }
  }
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t k = 0; k < count; ++k) {
      K[i][k] = 0.0;
      for (int64_t l = std::max(i, k); l < count; ++l) {
        K[i][k] += of_D[l][i] * of_D[l][k];
      }
    }
  }
}

}  // namespace

void banded_inverse(int64_t n, int64_t width, const double* L, double* inverse) {
  // J some columns together, R the rows behind them that they reach, Z the inverse:
  //   X = L_RJ L_JJ^-1,  Z_RJ = -Z_RR X,  Z_JJ = (L_JJ L_JJ^T)^-1 + X^T Z_RR X
  const int64_t stride = width + 1;
  std::fill_n(inverse, n * stride, 0.0);
  std::vector<double> x(static_cast<size_t>(width * kTogether)), y(x.size());
  for (int64_t first = n > 0 ? (n - 1) / kTogether * kTogether : -1; first >= 0; first -= kTogether) {
    const int64_t count = std::min(kTogether, n - first), behind = first + count;
    const int64_t m = std::min(width, n - behind);
    const double* D = L + first * stride;
    for (int64_t r = 0; r < m; ++r) {
      double* row = &x[static_cast<size_t>(r * kTogether)];
      std::fill_n(row, kTogether, 0.0);
      for (int64_t k = count - 1; k >= 0; --k) {
        const int64_t apart = count - k + r;
        double sum = apart <= width ? D[k * stride + apart] : 0.0;
        for (int64_t l = k + 1; l < count && l - k <= width; ++l) {
          sum -= row[l] * D[k * stride + l - k];
        }
        row[k] = sum / D[k * stride];
      }
    }
    multiply_symmetric(inverse + behind * stride, stride, m, x.data(), y.data());
    double own[kTogether][kTogether] = {};
    inverse_of_block(D, width, count, own);
    for (int64_t k = 0; k < count; ++k) {
      Together sum = load_together(own[k]);
      for (int64_t r = 0; r < m; ++r) {
        sum += x[static_cast<size_t>(r * kTogether + k)] * load_together(&y[static_cast<size_t>(r * kTogether)]);
      }
      double* to = inverse + (first + k) * stride;
      for (int64_t i = k; i < count && i - k <= width; ++i) {
        to[i - k] = sum[i];
      }
      for (int64_t r = 0; r < m && count - k + r <= width; ++r) {
        to[count - k + r] = -y[static_cast<size_t>(r * kTogether + k)];
      }
    }
  }
}

}  // namespace zncc
