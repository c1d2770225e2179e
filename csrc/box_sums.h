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
#include <memory>
#include <vector>

// In front of a loop whose turns do not depend on each other: no row that is written overlaps one that is read.
#if defined(__clang__)
#define ZNCC_VECTOR_LOOP _Pragma("clang loop vectorize(assume_safety)")
#define ZNCC_UNROLL_PLANES _Pragma("clang loop unroll(full)")
#else
#define ZNCC_VECTOR_LOOP _Pragma("GCC ivdep")
#define ZNCC_UNROLL_PLANES _Pragma("GCC unroll 8")
#endif
// Kernels are one function each, whatever the compiler thinks of its size: functions and, behind their parameters, lambdas.
#define ZNCC_ALWAYS __attribute__((always_inline))
#define ZNCC_INLINE inline ZNCC_ALWAYS
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

// Windows that are summed, and used, before the next ones: what they need stays in the nearest cache.
constexpr int64_t kBlock = 128;

// The sums of K planes over consecutive windows.
struct Sums {
  const double* first;
  int64_t stride;

  ZNCC_INLINE const double* operator[](int k) const { return first + k * stride; }
};

template <int K>
class BoxSums {
 public:
  // For windows of h x w and rows of at most max_n values.
  BoxSums(int64_t h, int64_t w, int64_t max_n)
      : h_(h), w_(w), stride_(max_n + 8), ring_(new double[h * K * stride_]), column_(2 * K * stride_),
        spare_(K * stride_), sum_(K * stride_) {}

  // Begins anew, with rows of n >= w values.
  ZNCC_INLINE void reset(int64_t n, bool careful) {
    n_ = n;
    careful_ = careful;
    rows_ = slot_ = 0;
    std::fill(column_.begin(), column_.end(), 0.0);
    std::fill(spare_.begin(), spare_.end(), 0.0);
  }

  // Takes the next row: enters(x, v) writes the K values at x, leaves(x, v) those of the row h rows before.
  // From the h-th row on there are sums: use(x, count, sums) is called for one run of windows after the other, none
  // longer than kBlock.
  template <typename Enters, typename Leaves, typename Use>
  ZNCC_INLINE void push(const Enters& enters, const Leaves& leaves, const Use& use) {
    ++rows_;
    if (careful_) {
      keep_in_spare(0, n_, enters);
    } else if (rows_ <= h_) {
      run_down<false>(0, n_, enters, leaves);
    }
    end(use, [&](int64_t first, int64_t last) ZNCC_ALWAYS {
      if (rows_ > h_) {
        run_down<true>(first, last, enters, leaves);
      }
    });
  }

  // The same for values that cannot be had a second time, and come in parts: begin(), take() for each part, end(). The
  // ring keeps them. enters(x, v) counts from the part's first value. Where nothing is taken in any row there are zeros.
  ZNCC_INLINE void begin() { ++rows_; }

  template <typename Enters>
  ZNCC_INLINE void take(int64_t first, int64_t count, const Enters& enters) {
    if (careful_) {
      keep_in_spare(first, count, enters);
    } else if (rows_ <= h_) {
      run_down_kept<false>(first, count, enters);
    } else {
      run_down_kept<true>(first, count, enters);
    }
  }

  template <typename Use>
  ZNCC_INLINE void end(const Use& use) {
    end(use, [](int64_t, int64_t) {});
  }

  // The largest column sum of plane k in size; infinite where one is not finite. A running sum that has once met what
  // is not finite never is again, so that one look at the end tells.
  ZNCC_INLINE double largest(int k) const {
    const double* column = this->column(k);
    Lanes lost{}, most{};
    // The last turn reads zeros past the end.
    for (int64_t x = 0; x < n_; x += 4) {
      Lanes value;
      std::memcpy(&value, column + x, sizeof value);
      const Lanes size = value < 0.0 ? -value : value;
      lost += value * 0.0;
      most = size > most ? size : most;
    }
    const bool finite = lost[0] + lost[1] + lost[2] + lost[3] == 0.0;
    return finite ? std::max({most[0], most[1], most[2], most[3]}) : HUGE_VAL;
  }

 private:
  ZNCC_INLINE double* ring(int64_t slot) { return ring_.get() + slot * K * stride_; }
  // One place is left in front of a plane's column sums.
  ZNCC_INLINE double* column(int k) { return column_.data() + k * stride_ + 1; }
  ZNCC_INLINE const double* column(int k) const { return column_.data() + k * stride_ + 1; }

  // With run_down(first, last) for the column sums that are still to be made, from left to right.
  template <typename Use, typename RunDown>
  ZNCC_INLINE void end(const Use& use, const RunDown& run_down) {
    if (careful_) {
      down_careful();
    }
    const int64_t windows = rows_ < h_ ? 0 : n_ - w_ + 1;
    double sums[K * kBlock];
    Carry carry[K] = {};
    for (int64_t first = 0, down = 0; first < windows; first += kBlock) {
      const int64_t last = std::min(first + kBlock, windows);
      if (careful_ && first == 0) {
        across_careful();
      } else if (!careful_) {
        run_down(down, last + w_ - 1);
        down = last + w_ - 1;
        if (first == 0) {
          first_window(carry);
        }
        run_across(first, last, carry, sums);
      }
      use(first, last - first, careful_ ? Sums{sum_.data() + first, stride_} : Sums{sums, kBlock});
    }
    slot_ = slot_ + 1 == h_ ? 0 : slot_ + 1;
  }

  // kFull: a row leaves, too.
  template <bool kFull, typename Enters, typename Leaves>
  ZNCC_INLINE void run_down(int64_t first, int64_t last, const Enters& enters, const Leaves& leaves) {
    double* __restrict column = this->column(0);
    const int64_t stride = stride_;
    ZNCC_VECTOR_LOOP
    for (int64_t x = first; x < last; ++x) {
      double in[K], out[K] = {};
      enters(x, in);
      if (kFull) {
        leaves(x, out);
      }
      ZNCC_UNROLL_PLANES
      for (int k = 0; k < K; ++k) {
        column[k * stride + x] = column[k * stride + x] + in[k] - out[k];
      }
    }
  }

  template <bool kFull, typename Enters>
  ZNCC_INLINE void run_down_kept(int64_t first, int64_t count, const Enters& enters) {
    double* __restrict column = this->column(0) + first;
    double* __restrict kept = ring(slot_) + first;
    const int64_t stride = stride_;
    ZNCC_VECTOR_LOOP
    for (int64_t x = 0; x < count; ++x) {
      double in[K];
      enters(x, in);
      ZNCC_UNROLL_PLANES
      for (int k = 0; k < K; ++k) {
        const int64_t i = k * stride + x;
        column[i] = column[i] + in[k] - (kFull ? kept[i] : 0.0);
        kept[i] = in[k];
      }
    }
  }

  // What run_across remembers of one plane: its last four sums, what they grew by, and what neighbours among these
  // grew by together.
  struct Carry {
    Lanes sum, step, pair;
  };

  // S(x) = S(x-4) + the last four steps, so that no lane waits for its neighbour.
  // The last turn reads and writes past the end, but no further than there is room.
  ZNCC_INLINE void run_across(int64_t first, int64_t last, Carry* carry, double* sums) const {
    for (int k = 0; k < K; ++k) {
      Carry c = carry[k];
      for (int64_t x = first; x < last; x += 4) {
        Lanes enters, leaves;
        std::memcpy(&enters, column(k) + x + w_ - 1, sizeof enters);
        std::memcpy(&leaves, column(k) + x - 1, sizeof leaves);
        const Lanes step = enters - leaves;
        const Lanes pair = step + ZNCC_SHUFFLE(c.step, step, 3, 4, 5, 6);
        c.sum += pair + ZNCC_SHUFFLE(c.pair, pair, 2, 3, 4, 5);
        std::memcpy(sums + k * kBlock + x - first, &c.sum, sizeof c.sum);
        c.step = step;
        c.pair = pair;
      }
      carry[k] = c;
    }
  }

  // Begins a row of windows with the first one, from which nothing leaves and which nothing enters.
  ZNCC_INLINE void first_window(Carry* carry) {
    for (int k = 0; k < K; ++k) {
      double* column = this->column(k);
      const double sum = sum_of(column, w_);
      carry[k] = {Lanes{sum, sum, sum, sum}, Lanes{}, Lanes{}};
      column[-1] = column[w_ - 1];
    }
  }

  template <typename Enters>
  ZNCC_INLINE void keep_in_spare(int64_t first, int64_t count, const Enters& enters) {
    double* __restrict kept = spare_.data() + 1 + first;
    const int64_t stride = stride_;
    ZNCC_VECTOR_LOOP
    for (int64_t x = 0; x < count; ++x) {
      double in[K];
      enters(x, in);
      ZNCC_UNROLL_PLANES
      for (int k = 0; k < K; ++k) {
        kept[k * stride + x] = in[k];
      }
    }
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

  ZNCC_OUTLINE void across_careful() {
    for (int k = 0; k < K; ++k) {
      across_careful(column(k), sum_.data() + k * stride_);
    }
  }

  void across_careful(const double* column, double* sum) const {
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
  // Not all who sum need the ring, and each place is written before it is read: no zeros.
  std::unique_ptr<double[]> ring_;
  std::vector<double> column_, spare_, sum_;
  int64_t slot_ = 0, rows_ = 0;
  bool careful_ = false;
};

}  // namespace zncc
