// The arithmetic of LocalStandardDeviation(Image, OnesKernel) -> StdMap, one element at a time. The CPU and the CUDA
// kernels run these very lines, so that a machine without a GPU tests what a GPU computes.
//
//   I       image of shape (..., H, W), less the mean of its plane
//   1       window of h x w ones, N = h * w; `*` cross-correlation with 'valid' borders, (*) full convolution
//   S1      I * 1,    S2 = I^2 * 1                shape (..., H-h+1, W-w+1)
//   Var     S2 - S1^2 / N                         N times the population variance
//   StdMap  sqrt(max(0, Var) + eps)               eps > 0 inside the root: StdMap >= sqrt(eps)
//   g       the gradient that arrives at StdMap
//
//   dVar    g / (2 * StdMap + d), and zero where Var was clamped, which is where StdMap == sqrt(eps)
//   d       eps on the FFT path, as specified; 0 on the box path, which makes dVar the derivative itself: StdMap is never
//           zero. They differ by d / (2 * StdMap): 4e-7 of a gradient at StdMap 11 and eps 1e-5.
//   dS1     dVar * (-2/N * S1),    dS2 = dVar
//   dI      dI_S1 + 2 * I * dI_S2   with dI_S1 = dS1 (*) 1, dI_S2 = dS2 (*) 1, shape (..., H, W)
//           The box kernels take the same as I * (q (*) 1) - (q * S1 / N) (*) 1 with q = 2 dVar = g / StdMap.
//
// Sums, and whatever a sum is taken of, are double: Var is the small difference of two large numbers. Maps, gradients
// and what is computed of them alone (`Map`) have the image's type, float or double.
// NaN policy: a NaN or an infinity that comes in goes out as NaN or infinity; no comparison below swallows one.
// Var is computed as (N S2 - S1^2) / N: where the pixels are whole numbers, as those of 8 and 16 bit images are, every
// step but the last one is exact, and a flat window has no variance at all.
// Compile without fused multiply-add, so that CPU and GPU agree to the last bit.
#pragma once

#include <cmath>
#include <cstdint>

#ifdef __CUDACC__
#define ZNCC_HOST_DEVICE __host__ __device__
#define ZNCC_UNROLL _Pragma("unroll")
#define ZNCC_UNROLL_SOME _Pragma("unroll 2")
#define ZNCC_NO_UNROLL _Pragma("unroll 1")
#else
#define ZNCC_HOST_DEVICE
#define ZNCC_UNROLL
#define ZNCC_UNROLL_SOME
#define ZNCC_NO_UNROLL
#endif

namespace zncc {

// The number of pixels of a window.
struct WindowSize {
  double N, inverse_N;

  explicit WindowSize(int64_t N) : N(static_cast<double>(N)), inverse_N(1.0 / static_cast<double>(N)) {}
};

// N times the population covariance of two planes, or the variance of one: of their sums and the sum of their product.
ZNCC_HOST_DEVICE inline double covariance(double S_a, double S_b, double S_ab, const WindowSize& window) {
  return (window.N * S_ab - S_a * S_b) * window.inverse_N;
}

// max(0, Var) + eps, the square of StdMap.
template <typename Map>
ZNCC_HOST_DEVICE inline Map var_map(double S1, double S2, const WindowSize& window, double eps) {
  const double var = covariance(S1, S1, S2, window);
  // Not max(0, var), which hides a NaN: 0 > NaN is false.
  return static_cast<Map>((0.0 > var ? 0.0 : var) + eps);
}

template <typename Map>
ZNCC_HOST_DEVICE inline Map std_map(double S1, double S2, const WindowSize& window, double eps) {
  return std::sqrt(var_map<Map>(S1, S2, window, eps));
}

struct SumGradients {
  double dS1;
  double dS2;
};

// `quotient` of g, and zero where Var was clamped, which is where StdMap is `floor`. A factor, not a branch: NaN * 0
// stays NaN.
template <typename Map>
ZNCC_HOST_DEVICE inline Map unclamped(Map quotient, Map std, Map floor) {
  return quotient * (std <= floor ? Map(0) : Map(1));
}

template <typename Map>
ZNCC_HOST_DEVICE inline SumGradients sum_gradients(Map g, Map std, double S1, const WindowSize& window, double eps,
                                                   double d) {
  // The root rounded as std_map rounds it.
  const double dVar = unclamped<Map>(g / (2 * std + static_cast<Map>(d)), std, std::sqrt(static_cast<Map>(eps)));
  return {dVar * (-2.0 * window.inverse_N * S1), dVar};
}

template <typename Map>
ZNCC_HOST_DEVICE inline Map image_gradient(double dI_S1, double dI_S2, double I) {
  return static_cast<Map>(dI_S1 + 2.0 * I * dI_S2);
}

}  // namespace zncc
