// The arithmetic of the pair metric: the local ZNCC of a fixed image and a warped moving one, the scores of a change of
// the transform, and their curvature; one window or one pixel at a time. All devices run these very lines.
//
//   f, m    fixed image and warped moving image (H, W), both of about unit variance; N = h * h pixels in a window
//   edge    (H, W) in [0, 1]: zero where a pixel of either image is not valid, one from a pixel further in
//   q       (H, W) in [0, 1]: the share of a pixel of both images that was measured and not filled in
//   g       (gx, gy), (H, W): gradient of (f + m) / 2 by central differences, pulled into moving coordinates
//   S       sums over a window of f, m, f^2, m^2, f m, and for the curvature of gx, gy, gx m, gy m
//
//   v_f     max(0, S_ff - S_f^2 / N) + eps_f,  v_m likewise; cov = S_fm - S_f S_m / N
//   z       cov / sqrt(v_f v_m)                                    local ZNCC
//   W       the least edge of the window's pixels, times its weight where there are weights
//   e       v_f / (alpha v_f + beta)                               signal fraction (alpha = 1) or variance (alpha = 0)
//   c       W (1 + kappa (e - 1)) max(0, z): kappa = 1 weighs a window by e; 0 does not, where eps_f and eps_m do already
//   A       c / sqrt(v_f v_m),  B = c / v_m,  C = (B S_m - A S_f) / N
//   D       (f (A (*) 1) - m (B (*) 1) + C (*) 1) / max(U (*) 1 / N, kMinWindowShare) q,  U = 1 where W > 0
//           by how much a pixel of f is brighter than of m, in units of the standard deviations of its windows
//   scores  sum over pixels of D g . d(u, v) / dM
//   s       c z / v_m
//   curvature   sum over pixels of q (s (*) 1) G G^T, G = g . d(u, v) / dM
//               - sum over windows of q_c s / N G(S_g) G(S_g)^T - sum over windows of q_c s / max(v_m, floor) G(k) G(k)^T
//           with k = S_gm - S_g S_m / N, and q_c and d(u, v) / dM of the window's central pixel: less what a change of the
//           window's mean and of its contrast explains
//
// (*) is the full convolution with a window 1 of ones. The scores are no gradient of the loss 1 - sum(W e z) / sum(W e):
// that they would be with a term for the change of the standard deviations (refine/symmetric_metric.py says why not).
// Images are finite. Compile without fused multiply-add, so that all devices agree to the last bits.
#pragma once

#include "local_zncc.h"

namespace zncc {

// Of the windows that could hold a pixel: a pixel that fewer hold counts less than one inside.
constexpr double kMinWindowShare = 0.6;

struct MetricWeights {
  double eps_f, eps_m;    // of z
  double alpha, beta;     // of e
  double eps2_f, eps2_m;  // of the second z, which only the cells know
  double floor;           // of v_m in the curvature
  double kappa;           // 1 or 0: whether e counts in the scores
};

struct ComparedWindow {
  double v_f, v_m, inverse_root, z, e;
};

ZNCC_HOST_DEVICE inline ComparedWindow compared(const PairSums& S, const WindowSize& window, const MetricWeights& by) {
  const double var_f = covariance(S.f, S.f, S.ff, window), var_m = covariance(S.m, S.m, S.mm, window);
  const double v_f = (var_f < 0.0 ? 0.0 : var_f) + by.eps_f, v_m = (var_m < 0.0 ? 0.0 : var_m) + by.eps_m;
  const double inverse_root = inverse_root_of(v_f * v_m);
  const double variance = var_f < 0.0 ? 0.0 : var_f;
  return {v_f, v_m, inverse_root, covariance(S.f, S.m, S.fm, window) * inverse_root,
          variance / (by.alpha * variance + by.beta)};
}

// The local ZNCC with the second eps.
ZNCC_HOST_DEVICE inline double second_zncc(const ComparedWindow& t, const MetricWeights& by) {
  return t.z / (t.inverse_root) * inverse_root_of((t.v_f - by.eps_f + by.eps2_f) * (t.v_m - by.eps_m + by.eps2_m));
}

struct ScoredWindow {
  double A, B, C, U, s;
};

ZNCC_HOST_DEVICE inline ScoredWindow scored(const PairSums& S, const ComparedWindow& t, double W,
                                            const WindowSize& window, const MetricWeights& by) {
  const double c = W * (1.0 + by.kappa * (t.e - 1.0)) * (t.z > 0.0 ? t.z : 0.0);
  const double A = c * t.inverse_root;
  // 1 / v_m without another division.
  const double B = c * (t.inverse_root * t.inverse_root * t.v_f);
  return {A, B, (B * S.m - A * S.f) * window.inverse_N, W > 0.0 ? 1.0 : 0.0, B * t.z};
}

ZNCC_HOST_DEVICE inline double difference(double f, double m, double sum_A, double sum_B, double sum_C, double sum_U,
                                          const WindowSize& window) {
  const double share = sum_U * window.inverse_N;
  return (f * sum_A - m * sum_B + sum_C) / (share > kMinWindowShare ? share : kMinWindowShare);
}

}  // namespace zncc
