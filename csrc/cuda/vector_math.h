// Quotients and roots of the columns of a thread, each rounded as IEEE 754 asks. The compiler's own take a branch each,
// for what is very large or very small, and one waits for the other; these ask once for all.
#pragma once

#include "../local_std.h"

#include <cmath>

namespace zncc {

// Between these no step below loses a digit; what is divided may also be smaller, down to kLeastDividend, or zero.
constexpr float kLeastUsual = 1.0e-18f, kMostUsual = 1.0e18f, kLeastDividend = 1.0e-30f;

// quotient[j] = a[j] / b[j]
template <int kCount, typename T>
ZNCC_HOST_DEVICE inline void quotients(const T* a, const T* b, T* quotient) {
#ifdef __CUDA_ARCH__
  if constexpr (sizeof(T) == 4) {
    bool usual = true;
ZNCC_UNROLL
    for (int j = 0; j < kCount; ++j) {
      float r;
      asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(b[j]));
      r = fmaf(fmaf(-b[j], r, 1.0f), r, r);
      const float first = a[j] * r;
      quotient[j] = fmaf(fmaf(-b[j], first, a[j]), r, first);
      usual &= fabsf(b[j]) >= kLeastUsual && fabsf(b[j]) <= kMostUsual && fabsf(a[j]) <= kMostUsual &&
               (fabsf(a[j]) >= kLeastDividend || a[j] == 0.0f);
    }
    if (usual) {
      return;
    }
  }
#endif
  for (int j = 0; j < kCount; ++j) {
    quotient[j] = a[j] / b[j];
  }
}

// Takes the root of each x[j].
template <int kCount, typename T>
ZNCC_HOST_DEVICE inline void take_roots(T* x) {
#ifdef __CUDA_ARCH__
  if constexpr (sizeof(T) == 4) {
    bool usual = true;
    float root[kCount];
ZNCC_UNROLL
    for (int j = 0; j < kCount; ++j) {
      float r;
      asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x[j]));
      const float first = x[j] * r;
      root[j] = fmaf(fmaf(-first, first, x[j]), 0.5f * r, first);
      usual &= x[j] >= kLeastUsual && x[j] <= kMostUsual;
    }
    if (usual) {
ZNCC_UNROLL
      for (int j = 0; j < kCount; ++j) {
        x[j] = root[j];
      }
      return;
    }
  }
#endif
  for (int j = 0; j < kCount; ++j) {
    x[j] = std::sqrt(x[j]);
  }
}

}  // namespace zncc
