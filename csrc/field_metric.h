// The arithmetic of the field metric: the local ZNCC of a fixed image and of a moving one that is warped by a matrix and a
// cubic B-spline, the scores of a small shift of each pixel, and their curvature; one window or one pixel at a time.
//
//   f, m    fixed image and warped moving image (H, W), of about unit variance; k (H, W), one where both are valid, else 0
//   p       gradient of f, pulled into moving coordinates by J^-T, J the Jacobian of the transform; q the gradient of the
//           moving image's spline at the transform's place; g = (p + q) / 2
//   box     the sum over a window around a pixel, over the number N of its pixels; beyond the frame there are zeros
//   n       box(k), the share of a window that is valid
//   v_f     max(0, box(k f^2) / n - mean_f^2) + kMinVariance, mean_f = box(k f) / n; v_m likewise
//   z       local ZNCC of the valid pixels
//   e       sqrt(v_f v_m / ((v_f + eps_f) (v_m + eps_m))), without kMinVariance above the line
//   rho     sum of p . q over the root of the sums of |p|^2 and |q|^2, over a wider window: the correlation of both gradients
//   c       e max(0, z) rho^2 n weight, zero where less than kMinShare of the window is valid
//   a       box(c / v_f), b = box(c / sqrt(v_f v_m)), d = box(c / v_m)
//   r_f     f a - m b - box(t / sqrt(v_f)), r_m = f b - m d - box(t / sqrt(v_m)),
//           t = c (mean_f / sqrt(v_f) - mean_m / sqrt(v_m))
//   score   k (r_f p + r_m q) / 2, which is the sum over the windows that hold the pixel of c (f^ - m^) g^, hats for what is
//           divided by the standard deviation of the window
//   curvature   rho k (a p p^T + b (p q^T + q p^T) + d q q^T) / 4, which is rho times the sum of c g^ g^T
//
// Without rho in the curvature the gradients of noise would count as what is known about the place.
// Images are finite. No fused multiply-add, so that instruction sets agree.
#pragma once

#include "local_zncc.h"

namespace zncc {

constexpr double kMinVariance = 1e-6;     // of images of unit variance: less is rounding
constexpr double kMinShare = 0.25;        // of a window that must be valid for it to count
constexpr double kMinDeterminant = 0.05;  // of the Jacobian that pulls a gradient: a fold has none
constexpr double kMinGradientSum = 1e-8;  // below it two gradients have no correlation
constexpr double kMinCorrelation = 0.02;  // of the gradients, in the curvature: a pixel always tells a little

struct FieldSums {
  double n, f, m, ff, mm, fm;
};

struct FieldWindow {
  double share, mean_f, mean_m, v_f, v_m, z, e;
};

ZNCC_HOST_DEVICE inline double at_least(double value, double least) { return value > least ? value : least; }

// S: sums of k, k f, k m, k f^2, k m^2, k f m over a window of N pixels.
ZNCC_HOST_DEVICE inline FieldWindow field_window(const FieldSums& S, double inverse_N, double eps_f, double eps_m) {
  const double share = S.n * inverse_N, by = 1.0 / at_least(S.n, 1e-3);
  const double mean_f = S.f * by, mean_m = S.m * by;
  const double f = at_least(S.ff * by - mean_f * mean_f, 0.0), m = at_least(S.mm * by - mean_m * mean_m, 0.0);
  const double v_f = f + kMinVariance, v_m = m + kMinVariance;
  return {share,
          mean_f,
          mean_m,
          v_f,
          v_m,
          (S.fm * by - mean_f * mean_m) / sqrt(v_f * v_m),
          sqrt(f * m / ((f + eps_f) * (m + eps_m)))};
}

// The correlation of the gradients from the means of |p|^2, |q|^2 and p . q over a window.
ZNCC_HOST_DEVICE inline double gradient_correlation(double pp, double qq, double pq) {
  const double rho = pq / sqrt((pp + kMinGradientSum) * (qq + kMinGradientSum));
  return rho < 0.0 ? 0.0 : rho > 1.0 ? 1.0 : rho;
}

ZNCC_HOST_DEVICE inline double window_share(const FieldWindow& t) { return t.share >= kMinShare ? t.share : 0.0; }

ZNCC_HOST_DEVICE inline double window_weight(const FieldWindow& t, double rho, double weight) {
  return t.e * at_least(t.z, 0.0) * window_share(t) * rho * rho * weight;
}

// The weights of the four knots around a point at t in [0, 1] of the way from the second to the third, and their derivatives.
struct CubicWeights {
  float value[4], slope[4];
};

ZNCC_HOST_DEVICE inline CubicWeights cubic_weights(float t) {
  const float s = 1.0f - t, k = 1.0f / 6.0f;
  return {{k * s * s * s, k * (t * t * (3.0f * t - 6.0f) + 4.0f), k * (((3.0f - 3.0f * t) * t + 3.0f) * t + 1.0f),
           k * t * t * t},
          {-0.5f * s * s, t * (1.5f * t - 2.0f), 0.5f + t * (1.0f - 1.5f * t), 0.5f * t * t}};
}

// The displacement (u, v) upon the matrix, and its derivatives.
struct FieldBend {
  float u, v, u_x, u_y, v_x, v_y;
};

// Where a pixel lies, the determinant of the Jacobian there, and the gradient of f, pulled; depth is that of the matrix.
struct FieldPlace {
  double X, Y, depth, determinant;
  float px, py;
};

ZNCC_HOST_DEVICE inline FieldPlace field_place(const double* M, double x, double y, const FieldBend& bend, float f_x,
                                               float f_y) {
  const double depth = M[6] * x + M[7] * y + M[8], by = 1.0 / depth;
  const double to_x = (M[0] * x + M[1] * y + M[2]) * by, to_y = (M[3] * x + M[4] * y + M[5]) * by;
  const double X = to_x + static_cast<double>(bend.u), Y = to_y + static_cast<double>(bend.v);
  const double X_x = (M[0] - to_x * M[6]) * by + static_cast<double>(bend.u_x);
  const double X_y = (M[1] - to_x * M[7]) * by + static_cast<double>(bend.u_y);
  const double Y_x = (M[3] - to_y * M[6]) * by + static_cast<double>(bend.v_x);
  const double Y_y = (M[4] - to_y * M[7]) * by + static_cast<double>(bend.v_y);
  const double determinant = X_x * Y_y - X_y * Y_x, size = determinant < 0.0 ? -determinant : determinant;
  const double inverse = 1.0 / (size < kMinDeterminant ? kMinDeterminant : determinant);
  const double gx = static_cast<double>(f_x), gy = static_cast<double>(f_y);
  return {X,
          Y,
          depth,
          determinant,
          static_cast<float>((Y_y * gx - Y_x * gy) * inverse),
          static_cast<float>((X_x * gy - X_y * gx) * inverse)};
}

// What the windows around a pixel give it: box(c / v_f), box(c / sqrt(v_f v_m)), box(c / v_m), box(t / sqrt(v_f)) and
// box(t / sqrt(v_m)), zero where the pixel is not valid.
struct FieldAround {
  double a, b, d, t_f, t_m;
};

struct FieldPixel {
  float f, m, px, py, qx, qy, rho, c;
};

// Scores and curvature of a pixel, r_f sqrt(c / a), the gradient of f times sqrt(a), and the traces of the curvature
// without and with rho.
struct FieldScore {
  double x, y, xx, xy, yy, residual, gx, gy, without_rho, with_rho;
};

ZNCC_HOST_DEVICE inline FieldScore field_score(const FieldAround& S, const FieldPixel& pixel) {
  const double f = static_cast<double>(pixel.f), m = static_cast<double>(pixel.m);
  const double px = static_cast<double>(pixel.px), py = static_cast<double>(pixel.py);
  const double qx = static_cast<double>(pixel.qx), qy = static_cast<double>(pixel.qy);
  const double r_f = f * S.a - m * S.b - S.t_f, r_m = f * S.b - m * S.d - S.t_m;
  const double told = at_least(static_cast<double>(pixel.rho), kMinCorrelation) * 0.25;
  const double xx = S.a * px * px + 2.0 * S.b * px * qx + S.d * qx * qx;
  const double xy = S.a * px * py + S.b * (px * qy + py * qx) + S.d * qx * qy;
  const double yy = S.a * py * py + 2.0 * S.b * py * qy + S.d * qy * qy;
  const double root = sqrt(at_least(S.a, 0.0)), weight = sqrt(static_cast<double>(pixel.c));
  return {0.5 * (r_f * px + r_m * qx),
          0.5 * (r_f * py + r_m * qy),
          told * xx,
          told * xy,
          told * yy,
          S.a > 1e-9 ? r_f / root * weight : 0.0,
          root * px,
          root * py,
          0.25 * (xx + yy),
          told * (xx + yy)};
}

}  // namespace zncc
