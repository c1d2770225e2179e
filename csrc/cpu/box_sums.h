// Sums over every h x w window of K planes whose rows arrive one by one, in double: the streaming core of the CPU
// kernels.
//
//   v    the last h rows of the planes, in a ring of h slots        K rows of n values
//   C    their sums down each column                                K rows of n values
//   S    sums of w consecutive C                                    K rows of n - w + 1 values
//
// Running: C += what the row that enters has more than the row that leaves; S(x) = S(x-1) + C(x+w-1) - C(x-1). Costs the
// same for every window, but remembers what has left: what is not finite for ever, what is very large by its rounding
// error.
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
#include <new>

// In front of a loop whose turns do not depend on each other: no row that is written overlaps one that is read.
#if defined(__clang__)
#define ZNCC_VECTOR_LOOP _Pragma("clang loop vectorize(assume_safety)")
#define ZNCC_UNROLL_PLANES _Pragma("clang loop unroll(full)")
#define ZNCC_UNROLL_PAIRS _Pragma("clang loop unroll(full)")
#else
#define ZNCC_VECTOR_LOOP _Pragma("GCC ivdep")
#define ZNCC_UNROLL_PLANES _Pragma("GCC unroll 8")
#define ZNCC_UNROLL_PAIRS _Pragma("GCC unroll 10")
#endif
// Kernels are one function each, whatever the compiler thinks of its size: functions and, behind their parameters, lambdas.
#define ZNCC_ALWAYS __attribute__((always_inline))
#define ZNCC_INLINE inline ZNCC_ALWAYS
#define ZNCC_OUTLINE __attribute__((noinline))

// Vectors are passed between functions that are all inlined: no interface depends on how.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

namespace zncc {

// Four doubles: one register with AVX, two with SSE2 or NEON.
typedef double Lanes __attribute__((vector_size(4 * sizeof(double))));

#if defined(__clang__) || __GNUC__ >= 12
#define ZNCC_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef int64_t LaneIndices __attribute__((vector_size(4 * sizeof(int64_t))));
#define ZNCC_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, LaneIndices{__VA_ARGS__})
#endif

// Eight doubles, which a running sum takes at a time: one order of operations, whatever a register holds.
#if defined(__AVX512F__) && (defined(__clang__) || __GNUC__ >= 12)
typedef double Eight __attribute__((vector_size(8 * sizeof(double))));

ZNCC_INLINE Eight eight_of(double value) { return Eight{} + value; }

ZNCC_INLINE Eight load(const double* from) {
  Eight values;
  std::memcpy(&values, from, sizeof values);
  return values;
}

ZNCC_INLINE void store(double* to, const Eight& values) { std::memcpy(to, &values, sizeof values); }

// The values n places before those of `now`, which follow upon those of `before`.
template <int n>
ZNCC_INLINE Eight shifted(const Eight& before, const Eight& now) {
  return ZNCC_SHUFFLE(before, now, 8 - n, 9 - n, 10 - n, 11 - n, 12 - n, 13 - n, 14 - n, 15 - n);
}
#else
struct Eight {
  Lanes low, high;

  ZNCC_INLINE Eight operator+(const Eight& other) const { return {low + other.low, high + other.high}; }
  ZNCC_INLINE Eight operator-(const Eight& other) const { return {low - other.low, high - other.high}; }
};

ZNCC_INLINE Eight eight_of(double value) { return {Lanes{} + value, Lanes{} + value}; }

// Half by half: a copy of the whole would go through memory.
ZNCC_INLINE Eight load(const double* from) {
  Lanes low, high;
  std::memcpy(&low, from, sizeof low);
  std::memcpy(&high, from + 4, sizeof high);
  return {low, high};
}

ZNCC_INLINE void store(double* to, const Eight& values) {
  const Lanes low = values.low, high = values.high;
  std::memcpy(to, &low, sizeof low);
  std::memcpy(to + 4, &high, sizeof high);
}

template <int n>
ZNCC_INLINE Eight shifted(const Eight& before, const Eight& now) {
  return {ZNCC_SHUFFLE(before.high, now.low, 4 - n, 5 - n, 6 - n, 7 - n),
          ZNCC_SHUFFLE(now.low, now.high, 4 - n, 5 - n, 6 - n, 7 - n)};
}
#endif

ZNCC_INLINE Lanes load_lanes(const double* from) {
  Lanes values;
  std::memcpy(&values, from, sizeof values);
  return values;
}

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

// Doubles in a cache line, which an access is not to cross.
constexpr int64_t kLine = 8;

// Asks memory for what the next row will need, while this one is worked on: a processor's own foresight ends with the
// page, and some begin anew with each row. Asking past a plane's end reads nothing.
template <typename Map>
class Prefetch {
 public:
  // Of planes that stay in the nearer caches there is nothing to ask for.
  explicit Prefetch(int64_t pixels) : far_(pixels * static_cast<int64_t>(sizeof(Map)) > (1 << 20)) {}

  // For n values from each of these places on.
  template <typename... Places>
  ZNCC_INLINE void operator()(int64_t n, const Places*... places) const {
    for (int64_t x = 0; far_ && x < n; x += kLine * sizeof(double) / sizeof(Map)) {
      (__builtin_prefetch(places + x), ...);
    }
  }

 private:
  bool far_;
};

struct DeleteLines {
  void operator()(double* values) const { ::operator delete[](values, std::align_val_t(kLine * sizeof(double))); }
};

// Values from the beginning of a cache line on, not yet written.
using Lines = std::unique_ptr<double[], DeleteLines>;

inline Lines lines(int64_t count) {
  return Lines(
      static_cast<double*>(::operator new[](count * sizeof(double), std::align_val_t(kLine * sizeof(double)))));
}

// The sums of K planes over consecutive windows.
struct Sums {
  const double* first;
  int64_t stride;

  ZNCC_INLINE const double* operator[](int k) const { return first + k * stride; }
};

template <int K>
class BoxSums {
 public:
  // For windows of h x w and rows of at most max_n values, of which the one at `aligned` begins a cache line.
  BoxSums(int64_t h, int64_t w, int64_t max_n, int64_t aligned = 0)
      : h_(h), w_(w), front_(kLine + (kLine - aligned % kLine) % kLine),
        stride_((front_ + max_n + 2 * kLine - 1) / kLine * kLine), ring_(lines(h * K * stride_)),
        column_(lines(2 * K * stride_)), spare_(lines(K * stride_)), sum_(lines(K * stride_)) {}

  // Begins anew, with rows of n >= w values.
  ZNCC_INLINE void reset(int64_t n, bool careful) {
    n_ = n;
    careful_ = careful;
    rows_ = slot_ = 0;
    std::fill_n(column_.get(), 2 * K * stride_, 0.0);
    std::fill_n(spare_.get(), K * stride_, 0.0);
  }

  // Takes the next row: enters(x, v) writes the K values at x, grows(x, v) what they exceed those of h rows before by.
  // From the h-th row on there are sums: use(x, count, sums) is called for one run of windows after the other, none
  // longer than kBlock.
  template <typename Enters, typename Grows, typename Use>
  ZNCC_INLINE void push(const Enters& enters, const Grows& grows, const Use& use) {
    ++rows_;
    if (careful_) {
      keep_in_spare(0, n_, enters);
    } else if (rows_ <= h_) {
      run_down<false>(0, n_, enters, grows);
    }
    end(use, [&](int64_t first, int64_t last) ZNCC_ALWAYS {
      if (rows_ > h_) {
        run_down<true>(first, last, enters, grows);
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
    Lanes lost[2] = {}, most[2] = {};
    // The last turn reads zeros past the end.
    for (int64_t x = 0; x < n_; x += 8) {
      for (int half = 0; half < 2; ++half) {
        Lanes value;
        std::memcpy(&value, column + x + 4 * half, sizeof value);
        const Lanes size = value < 0.0 ? -value : value;
        lost[half] += value * 0.0;
        most[half] = size > most[half] ? size : most[half];
      }
    }
    const Lanes all = lost[0] + lost[1], top = most[0] > most[1] ? most[0] : most[1];
    const bool finite = all[0] + all[1] + all[2] + all[3] == 0.0;
    return finite ? std::max({top[0], top[1], top[2], top[3]}) : HUGE_VAL;
  }

 private:
  ZNCC_INLINE double* ring(int64_t slot) { return ring_.get() + slot * K * stride_; }
  // At least one place is left in front of a plane's column sums, and eight behind them.
  ZNCC_INLINE double* column(int k) { return column_.get() + k * stride_ + front_; }
  ZNCC_INLINE const double* column(int k) const { return column_.get() + k * stride_ + front_; }

  // With run_down(first, last) for the column sums that are still to be made, from left to right.
  template <typename Use, typename RunDown>
  ZNCC_INLINE void end(const Use& use, const RunDown& run_down) {
    if (careful_) {
      down_careful();
    }
    const int64_t windows = rows_ < h_ ? 0 : n_ - w_ + 1;
    alignas(kLine * sizeof(double)) double sums[K * kBlock];
    Carry carry[K];
    for (Carry& c : carry) {  // one by one: what `= {}` fills byte by byte costs more than the first window
      c = {eight_of(0.0), eight_of(0.0), eight_of(0.0), eight_of(0.0)};
    }
    for (int64_t first = 0, down = 0; first < windows; first += kBlock) {
      const int64_t last = std::min(first + kBlock, windows);
      if (careful_ && first == 0) {
        across_careful();
      } else if (!careful_) {
        // A block ahead of what is summed below: a read across what two writes have just left waits for both. Whole turns
        // of the loop: the values left over are taken one by one.
        const int64_t ahead = std::min((last + kBlock + w_ + 14) / 16 * 16, n_);
        run_down(down, ahead);
        down = ahead;
        if (first == 0) {
          first_window(carry);
        }
        run_across(first, last, carry, sums);
      }
      use(first, last - first, careful_ ? Sums{sum_.get() + first, stride_} : Sums{sums, kBlock});
    }
    slot_ = slot_ + 1 == h_ ? 0 : slot_ + 1;
  }

  // kFull: a row leaves, too.
  template <bool kFull, typename Enters, typename Grows>
  ZNCC_INLINE void run_down(int64_t first, int64_t last, const Enters& enters, const Grows& grows) {
    double* __restrict column = this->column(0);
    const int64_t stride = stride_;
    ZNCC_VECTOR_LOOP
    for (int64_t x = first; x < last; ++x) {
      double more[K];
      if (kFull) {
        grows(x, more);
      } else {
        enters(x, more);
      }
      ZNCC_UNROLL_PLANES
      for (int k = 0; k < K; ++k) {
        column[k * stride + x] += more[k];
      }
    }
  }

  template <bool kFull, typename Enters>
  ZNCC_INLINE void run_down_kept(int64_t first, int64_t count, const Enters& enters) {
    double* __restrict column = this->column(0) + first;
    double* __restrict kept = ring(slot_) + front_ + first;
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

  // What run_across remembers of one plane: its last eight sums, what they grew by, and what two and four neighbours
  // among these grew by together.
  struct Carry {
    Eight sum, step, pair, four;
  };

  // S(x) = S(x-8) + the last eight steps, so that no lane waits for its neighbour.
  // The last turn reads and writes past the end, but no further than there is room.
  ZNCC_INLINE void run_across(int64_t first, int64_t last, Carry* carry, double* sums) const {
    for (int k = 0; k < K; ++k) {
      Carry c = carry[k];
      for (int64_t x = first; x < last; x += 8) {
        const Eight step = load(column(k) + x + w_ - 1) - load(column(k) + x - 1);
        const Eight pair = step + shifted<1>(c.step, step);
        const Eight four = pair + shifted<2>(c.pair, pair);
        c = {c.sum + (four + shifted<4>(c.four, four)), step, pair, four};
        store(sums + k * kBlock + x - first, c.sum);
      }
      carry[k] = c;
    }
  }

  // Begins a row of windows with the first one, from which nothing leaves and which nothing enters.
  ZNCC_INLINE void first_window(Carry* carry) {
    for (int k = 0; k < K; ++k) {
      double* column = this->column(k);
      const double sum = sum_of(column, w_);
      carry[k] = {eight_of(sum), eight_of(0.0), eight_of(0.0), eight_of(0.0)};
      column[-1] = column[w_ - 1];
    }
  }

  template <typename Enters>
  ZNCC_INLINE void keep_in_spare(int64_t first, int64_t count, const Enters& enters) {
    double* __restrict kept = spare_.get() + front_ + first;
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
    const double* in = spare_.get();
    double* kept = ring(slot_);
    double* block = column_.get() + size;
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
      across_careful(column(k), sum_.get() + k * stride_);
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

  int64_t h_, w_, front_, stride_, n_ = 0;
  Lines ring_, column_, spare_, sum_;
  int64_t slot_ = 0, rows_ = 0;
  bool careful_ = false;
};

}  // namespace zncc
