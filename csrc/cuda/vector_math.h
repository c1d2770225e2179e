// Quotients and roots of the columns of a thread, each rounded as IEEE 754 asks. The compiler's own take a branch each
// for very large and very small numbers, and one waits for the other; these test all numbers at once.
#pragma once

#include "../local_std.h"

#include <cmath>

namespace zncc {

// Between these sizes no step below loses a digit. A dividend may be smaller, down to kMinFastDividend, or zero.
constexpr float kMinFastSize = 1.0e-18f, kMaxFastSize = 1.0e18f, kMinFastDividend = 1.0e-30f;

// quotient[j] = a[j] / b[j]
template <int kCount, typename T>
ZNCC_HOST_DEVICE inline void quotients(const T* a, const T* b, T* quotient) {
#ifdef __CUDA_ARCH__
  if constexpr (sizeof(T) == 4) {
    bool is_fast = true;
    ZNCC_UNROLL
    for (int j = 0; j < kCount; ++j) {
      float r;
      asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(b[j]));
      r = fmaf(fmaf(-b[j], r, 1.0f), r, r);
      const float first = a[j] * r;
      quotient[j] = fmaf(fmaf(-b[j], first, a[j]), r, first);
      is_fast &= fabsf(b[j]) >= kMinFastSize && fabsf(b[j]) <= kMaxFastSize && fabsf(a[j]) <= kMaxFastSize &&
                 (fabsf(a[j]) >= kMinFastDividend || a[j] == 0.0f);
    }
    if (is_fast) {
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
    bool is_fast = true;
    float root[kCount];
    ZNCC_UNROLL
    for (int j = 0; j < kCount; ++j) {
      float r;
      asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x[j]));
      const float first = x[j] * r;
      root[j] = fmaf(fmaf(-first, first, x[j]), 0.5f * r, first);
      is_fast &= x[j] >= kMinFastSize && x[j] <= kMaxFastSize;
    }
    if (is_fast) {
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
