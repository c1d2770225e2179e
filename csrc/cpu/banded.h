// A symmetric positive definite matrix of which only the entries near the diagonal are not zero, on the CPU.
//
// Stored (n, width + 1): row j holds the entries (j, j), (j + 1, j), ..., (j + width, j), the lower part of column j;
// entries beyond the last row are zero.
#pragma once

#include <cstdint>

namespace zncc {

// Replaces a matrix by L, its Cholesky factor: the matrix is L L^T, L lower triangular. Returns whether it is positive.
bool banded_cholesky(int64_t n, int64_t width, double* matrix);

// Replaces b (n) by the solution x of L L^T x = b.
void banded_solve(int64_t n, int64_t width, const double* L, double* b);

// The entries of the inverse of L L^T that lie in the band, stored likewise (Takahashi, Fagan and Chin 1973; Erisman and
// Tinney 1975, doi:10.1145/360680.360704).
void banded_inverse(int64_t n, int64_t width, const double* L, double* inverse);

}  // namespace zncc
