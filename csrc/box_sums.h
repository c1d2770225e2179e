// Sums over every h x w window of K planes whose rows arrive one by one, in double: the streaming core of the CPU
// kernels.
//
//   v    the last h rows of the planes, in a ring of h slots        K rows of n values
//   C    their sums down each column                                K rows of n values
//   S    sums of w consecutive C                                    K rows of n - w + 1 values
//
// Running: C += the row that enters - the row that leaves; S(x) = S(x-1) + C(x+w-1) - C(x-1). Costs the same for every
// window, but remembers what has left: what is not finite for ever, what is very large by its rounding error.
// Careful: every window is the end of one block of length h (or w) and the beginning of the next one, both of them sums
// (van Herk 1992, doi:10.1016/0167-8655(92)90069-C). Nothing is subtracted, so that a value touches exactly the windows
// that hold it. A few times slower.
//
// Without fused multiply-add there is one order of operations for every instruction set, so that results are the same
// bit for bit.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

// One binary for all x86 machines: the widest version that the processor has is chosen when the library is loaded.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define ZNCC_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define ZNCC_CLONES
#endif
// In front of a loop whose turns do not depend on each other: no row that is written overlaps one that is read.
#if defined(__clang__)
#define ZNCC_VECTOR_LOOP _Pragma("clang loop vectorize(assume_safety)")
#else
#define ZNCC_VECTOR_LOOP _Pragma("GCC ivdep")
#endif
#define ZNCC_INLINE inline __attribute__((always_inline))
#define ZNCC_OUTLINE __attribute__((noinline))

namespace zncc {

// Four doubles: one register with AVX, two with SSE2 or NEON.
typedef double Lanes __attribute__((vector_size(4 * sizeof(double))));

#if defined(__clang__) || __GNUC__ >= 12
#define ZNCC_SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
typedef int64_t LaneIndices __attribute__((vector_size(4 * sizeof(int64_t))));
#define ZNCC_SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, LaneIndices{i, j, k, l})
#endif

// The sum of n values, in an order that no instruction set changes.
ZNCC_INLINE double sum_of(const double* values, int64_t n) {
  Lanes sums{};
  int64_t x = 0;
  for (; x + 4 <= n; x += 4) {
    Lanes next;
    std::memcpy(&next, values + x, sizeof next);
    sums += next;
  }
  double sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  for (; x < n; ++x) {
    sum += values[x];
  }
  return sum;
}

template <int K>
class BoxSums {
 public:
  // For windows of h x w and rows of at most max_n values.
  BoxSums(int64_t h, int64_t w, int64_t max_n)
      : h_(h), w_(w), stride_(max_n + 8), ring_(h * K * stride_), column_(2 * K * stride_), spare_(K * stride_), sum_(K * stride_) {}

  // Begins anew, with rows of n >= w values.
  ZNCC_INLINE void reset(int64_t n, bool careful) {
    n_ = n;
    careful_ = careful;
    rows_ = slot_ = 0;
    std::fill(column_.begin(), column_.end(), 0.0);
  }

  // Takes the next row: enters(x, v) writes the K values at x, leaves(x, v) those of the row h rows before.
  // Returns whether there are sums, which is from the h-th row on.
  template <typename Enters, typename Leaves>
  ZNCC_INLINE bool push(const Enters& enters, const Leaves& leaves) {
    ++rows_;
    if (careful_) {
      push_careful(enters);
    } else {
      push_running(enters, leaves);
    }
    return across();
  }

  // The same for values that cannot be had a second time: the ring keeps them.
  template <typename Enters>
  ZNCC_INLINE bool push(const Enters& enters) {
    ++rows_;
    if (careful_) {
      push_careful(enters);
    } else {
      push_kept(enters);
    }
    return across();
  }

  // The sums of plane k, from the window that begins at x = 0 on.
  ZNCC_INLINE const double* sums(int k) const { return sum_.data() + k * stride_; }

  // The largest column sum of plane k in size; infinite where one is not finite. A running sum that has once met what
  // is not finite never is again, so that one look at the end tells.
  ZNCC_INLINE double largest(int k) const {
    const double* column = column_.data() + k * stride_;
    double lost = 0.0, most = 0.0;
    for (int64_t x = 0; x < n_; ++x) {
      const double size = std::fabs(column[x]);
      lost += size * 0.0;
      most = size > most ? size : most;
    }
    return lost == 0.0 ? most : HUGE_VAL;
  }

 private:
  ZNCC_INLINE double* ring(int64_t slot) { return ring_.data() + slot * K * stride_; }

  template <typename Enters, typename Leaves>
  ZNCC_INLINE void push_running(const Enters& enters, const Leaves& leaves) {
    double* __restrict column = column_.data();
    const int64_t stride = stride_, n = n_;
    if (rows_ <= h_) {
      ZNCC_VECTOR_LOOP
      for (int64_t x = 0; x < n; ++x) {
        double in[K];
        enters(x, in);
        for (int k = 0; k < K; ++k) {
          column[k * stride + x] += in[k];
        }
      }
      return;
    }
    ZNCC_VECTOR_LOOP
    for (int64_t x = 0; x < n; ++x) {
      double in[K], out[K];
      enters(x, in);
      leaves(x, out);
      for (int k = 0; k < K; ++k) {
        column[k * stride + x] = column[k * stride + x] + in[k] - out[k];
      }
    }
  }

  template <typename Enters>
  ZNCC_INLINE void push_kept(const Enters& enters) {
    double* __restrict column = column_.data();
    double* __restrict kept = ring(slot_);
    const int64_t stride = stride_, n = n_;
    const bool full = rows_ > h_;
    ZNCC_VECTOR_LOOP
    for (int64_t x = 0; x < n; ++x) {
      double in[K];
      enters(x, in);
      for (int k = 0; k < K; ++k) {
        const int64_t i = k * stride + x;
        column[i] = column[i] + in[k] - (full ? kept[i] : 0.0);
        kept[i] = in[k];
      }
    }
  }

  template <typename Enters>
  ZNCC_INLINE void push_careful(const Enters& enters) {
    double* __restrict kept = spare_.data();
    const int64_t stride = stride_, n = n_;
    ZNCC_VECTOR_LOOP
    for (int64_t x = 0; x < n; ++x) {
      double in[K];
      enters(x, in);
      for (int k = 0; k < K; ++k) {
        kept[k * stride + x] = in[k];
      }
    }
    down_careful();
  }

  // The ring holds the rows of this block as they are and, behind slot_, those of the block before, each summed with
  // all that follow it; `block` holds the sum of this block so far.
  ZNCC_OUTLINE void down_careful() {
    const int64_t size = K * stride_;
    const double* in = spare_.data();
    double* kept = ring(slot_);
    double* block = column_.data() + size;
    const bool last = slot_ + 1 == h_;
    for (int64_t i = 0; i < size; ++i) {
      block[i] = slot_ == 0 ? in[i] : block[i] + in[i];
      column_[i] = last || rows_ <= h_ ? block[i] : block[i] + kept[size + i];
      kept[i] = in[i];
    }
    for (int64_t slot = h_ - 2; last && slot > 0; --slot) {
      for (int64_t i = 0; i < size; ++i) {
        ring(slot)[i] += ring(slot + 1)[i];
      }
    }
  }

  ZNCC_INLINE bool across() {
    slot_ = slot_ + 1 == h_ ? 0 : slot_ + 1;
    if (rows_ < h_) {
      return false;
    }
    for (int k = 0; k < K; ++k) {
      const double* column = column_.data() + k * stride_;
      double* sum = sum_.data() + k * stride_;
      if (careful_) {
        across_careful(column, sum);
      } else {
        across_running(column, sum);
      }
    }
    return true;
  }

  ZNCC_INLINE void across_running(const double* __restrict column, double* __restrict sum) const {
    double first = 0.0;
    for (int64_t x = 0; x < w_; ++x) {
      first += column[x];
    }
    sum[0] = first;
    const int64_t steps = n_ - w_;
    const Lanes zero{};
    Lanes carry{first, first, first, first};
    int64_t x = 0;
    for (; x + 4 <= steps; x += 4) {
      Lanes enters, leaves;
      std::memcpy(&enters, column + x + w_, sizeof enters);
      std::memcpy(&leaves, column + x, sizeof leaves);
      Lanes d = enters - leaves;
      d += ZNCC_SHUFFLE(zero, d, 0, 4, 5, 6);
      d += ZNCC_SHUFFLE(zero, d, 0, 1, 4, 5);
      const Lanes s = carry + d;
      std::memcpy(sum + x + 1, &s, sizeof s);
      carry += ZNCC_SHUFFLE(d, d, 3, 3, 3, 3);
    }
    for (; x < steps; ++x) {
      sum[x + 1] = sum[x] + (column[x + w_] - column[x]);
    }
  }

  ZNCC_OUTLINE void across_careful(const double* column, double* sum) const {
    const int64_t m = n_ - w_ + 1;
    for (int64_t begin = 0; begin < m; begin += w_) {
      double end_of_block = 0.0;
      for (int64_t x = begin + w_ - 1; x >= begin; --x) {
        end_of_block += column[x];
        if (x < m) {
          sum[x] = end_of_block;
        }
      }
      double next_begun = 0.0;
      for (int64_t x = begin + 1; x < std::min(begin + w_, m); ++x) {
        next_begun += column[x + w_ - 1];
        sum[x] += next_begun;
      }
    }
  }

  int64_t h_, w_, stride_, n_ = 0;
  std::vector<double> ring_, column_, spare_, sum_;
  int64_t slot_ = 0, rows_ = 0;
  bool careful_ = false;
};

}  // namespace zncc
