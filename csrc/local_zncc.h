// The arithmetic of the summed local ZNCC of two images and of its gradient, one window or one pixel at a time. The CPU
// and the CUDA kernels run these very lines.
//
//   f, m    fixed and moving image of shape (..., H, W), each less a constant of its own
//   w       weight of each window, shape (..., H-h+1, W-w+1)
//   S       sums of f, m, f^2, m^2, f m over a window of h x w pixels, N = h * w, 'valid' borders
//   v_f     max(0, S_ff - S_f^2 / N) + eps_f      N times the population variance; eps_f > 0, added once
//   v_m     max(0, S_mm - S_m^2 / N) + eps_m
//   cov     S_fm - S_f S_m / N
//   z       cov / sqrt(v_f v_m)                   in [-1, 1]
//   loss    sum over all windows of w z           one number for each plane
//
//   A       w / sqrt(v_f v_m)
//   B       w z / v_m, and zero where v_m was clamped
//   C       A S_f / N - B S_m / N
//   dm      f (A (*) 1) - m (B (*) 1) - C (*) 1   (*) full convolution with a window 1 of ones, shape (..., H, W)
//   dw      z
// and the gradient of f by exchanging f and m. Sums, and whatever a sum is taken of, are double.
//
// NaN policy: a window of weight zero contributes exactly nothing, whatever it holds; a pixel in no other window has the
// gradient zero, and where z is not finite such a window's weight has the gradient zero. A NaN or an infinity in any
// other window goes out as NaN or infinity.
// Compile without fused multiply-add, so that CPU and GPU agree to the last bit.
#pragma once

#include "local_std.h"

#include <cstring>

namespace zncc {

struct PairSums {
  double f, m, ff, mm, fm;
};

struct WindowTerms {
  double wz;  // what the window adds to the loss
  double z;
  double A, B, C;
};

// 1 / sqrt(v) for v > 0 within 2 units in the last place: Newton's iteration from the halved exponent (Robertson 2012, A
// Brief History of InvSqrt). The same bits everywhere, and four times faster than a root and a quotient in double, which
// no processor overlaps. What is not finite gives NaN.
ZNCC_HOST_DEVICE inline double inverse_root_of(double v) {
  int64_t bits;
  std::memcpy(&bits, &v, sizeof bits);
  bits = 0x5fe6eb50c7b537a9 - (bits >> 1);  // off by at most 3.5 %
  double y;
  std::memcpy(&y, &bits, sizeof y);
  const double half = 0.5 * v;
  y = y * (1.5 - half * y * y);         // 1.8e-3
  y = y * (1.5 - half * y * y);         // 4.7e-6
  y = y * (1.5 - half * y * y);         // 3.3e-11
  return y + y * (0.5 - half * y * y);  // written so that the correction's rounding hardly counts
}

ZNCC_HOST_DEVICE inline WindowTerms window_terms(const PairSums& S, double w, const WindowSize& window, double eps_f,
                                                 double eps_m) {
  const double var_f = covariance(S.f, S.f, S.ff, window), var_m = covariance(S.m, S.m, S.mm, window);
  const double cov = covariance(S.f, S.m, S.fm, window);
  // Not max(0, var), which hides a NaN: NaN < 0 is false.
  const double v_f = (var_f < 0.0 ? 0.0 : var_f) + eps_f, v_m = (var_m < 0.0 ? 0.0 : var_m) + eps_m;
  const double inverse_root = inverse_root_of(v_f * v_m);
  const double z = cov * inverse_root;
  const double A = w * inverse_root;
  // 1 / v_m without another division.
  const double B = var_m < 0.0 ? 0.0 : w * z * (inverse_root * inverse_root * v_f);
  const double C = (A * S.f - B * S.m) * window.inverse_N;
  const bool counts = w != 0.0;
  const double size = std::fabs(z);
  return {counts ? w * z : 0.0, counts || size < HUGE_VAL ? z : 0.0, counts ? A : 0.0, counts ? B : 0.0,
          counts ? C : 0.0};
}

template <typename Map>
ZNCC_HOST_DEVICE inline Map pair_gradient(double sum_A, double sum_B, double sum_C, double f, double m) {
  // A pixel in no window that counts may hold anything.
  const double of_f = sum_A == 0.0 ? 0.0 : f * sum_A, of_m = sum_B == 0.0 ? 0.0 : m * sum_B;
  return static_cast<Map>(of_f - of_m - sum_C);
}

}  // namespace zncc
