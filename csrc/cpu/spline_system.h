// The normal equations of a displacement field that is a cubic B-spline on a grid of nodes, on the CPU.
//
//   B_i      the B-spline of node i = (row, column), which lies on ((column - 1), (row - 1)) times the spacing
//   b        (2, rows, columns): sum over pixels of B_i s, s (2, H, W) the scores
//   S        (kStencil, 3, rows, columns): sum over pixels of B_i B_j A, A (3, H, W) the curvature by xx, xy and yy; plane k
//            holds what node i has with the node that lies stencil_offset(k) from it. The matrix is symmetric: the other
//            half of the neighbours is not stored. Neighbours beyond the grid have zero.
#pragma once

#include <cstdint>

namespace zncc {

// Neighbours at most three rows and columns away, of which none comes before the node itself: four in its own row.
constexpr int kStencil = 25;

struct NodeOffset {
  int64_t down, across;
};

constexpr NodeOffset stencil_offset(int k) {
  return k < 4 ? NodeOffset{0, k} : NodeOffset{1 + (k - 4) / 7, (k - 4) % 7 - 3};
}

struct SplineGrid {
  int64_t height, width;  // of the frame, pixels
  int64_t rows, columns;  // of nodes
  double spacing;         // pixels
};

void spline_adjoint(const SplineGrid& grid, const float* s, double* b);
void spline_curvature(const SplineGrid& grid, const float* A, double* S);

// y = S x, both (2, rows, columns).
void stencil_product(int64_t rows, int64_t columns, const double* S, const double* x, double* y);

// Writes the banded matrix (2 rows columns, width + 1) of S + factor P for both components, stored as in banded.h, with P
// (kStencil, rows, columns) a form of one component. Both components of a node follow each other, and the nodes along the
// shorter axis, so that the width is 6 times that plus 7.
void stencil_band(int64_t rows, int64_t columns, const double* S, const double* P, double factor, double* band);
inline int64_t stencil_band_row(int64_t rows, int64_t columns) { return 6 * (rows < columns ? rows : columns) + 8; }

// Solves (S) x = b from x on by conjugate gradients, preconditioned by the 2 x 2 blocks of the nodes, until the residual
// (in that norm) has fallen to `tolerance` or after `most` steps; returns how many it took.
// Hestenes and Stiefel 1952, doi:10.6028/jres.049.044.
int64_t conjugate_gradients(int64_t rows, int64_t columns, const double* S, const double* b, double* x, int64_t most,
                            double tolerance);

// out (reach + 1, 2 reach + 1): the sum over planes (count, height, width) of every step-th row of a plane times the plane
// itself, shifted by (down, across), down from 0 and across from -reach on; of products within the plane.
void lag_products(int64_t count, int64_t height, int64_t width, int64_t reach, int64_t step, const float* planes,
                  double* out);

// The covariances of the windows of two images (height, width) at shifts of up to `reach` pixels.
//
// out ((2 reach + 1)^2, rows, columns): the sum of f times m, shifted by (down, across) from (-reach, -reach) on, row by row,
// over windows of `side` x `side` around every third pixel of every third row, from the second of each on; beyond the frames
// there are zeros.
constexpr int64_t kShiftStride = 3;
inline int64_t shift_windows(int64_t pixels) { return (pixels + 1) / kShiftStride; }
void shift_products(int64_t height, int64_t width, int64_t side, int64_t reach, const float* f, const float* m,
                    float* out);

}  // namespace zncc
