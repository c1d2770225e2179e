// Kernels over the pixels of a frame in blocks of 32 x 32, and sums over them: what a block of CUDA threads does. A block's
// phases are those of tile_sums.h; CUDA runs the threads side by side, a test one after another.
//
// Op, the work of one kernel:
//   Shared, Thread                what the threads of a block share, and what each of them remembers between two phases
//   count()                       how many blocks of work there are
//   compute(block, shared, index) the phases of one of them
#pragma once

#include "tile_grid.h"

namespace zncc {

// Pixels along the side of a block of work.
constexpr int64_t kBlockSide = 32;

// Nothing, where an Op's threads share or remember nothing.
struct Nothing {};

// Calls f(y, x) for a thread's part of block `index` of rows x columns pixels: every fourth one of a column.
template <typename F>
ZNCC_HOST_DEVICE inline void for_pixels(int64_t rows, int64_t columns, int64_t index, int t, const F& f) {
  const int64_t across = (columns + kBlockSide - 1) / kBlockSide;
  const int64_t top = index / across * kBlockSide, x = index % across * kBlockSide + t % kBlockSide;
  const int64_t bottom = top + kBlockSide < rows ? top + kBlockSide : rows;
  if (x < columns) {
    ZNCC_NO_UNROLL
    for (int64_t y = top + t / kBlockSide; y < bottom; y += kTileThreads / kBlockSide) {
      f(y, x);
    }
  }
}

ZNCC_HOST_DEVICE inline int64_t blocks_of(int64_t rows, int64_t columns) {
  return (rows + kBlockSide - 1) / kBlockSide * ((columns + kBlockSide - 1) / kBlockSide);
}

// Values whose sums over a block are taken at once.
constexpr int kSummed = 8;

struct SumSpace {
  double of[kSummed][kTileThreads];
};

// Sums kCount values over the threads of a block: value(thread, k) is value k of a thread, use(k, sum) gets each sum once.
// In a tree, so that the order does not depend on which thread comes first.
template <int kCount, typename Block, typename Value, typename Use>
ZNCC_HOST_DEVICE inline void sum_over_block(Block& block, SumSpace& space, const Value& value, const Use& use) {
  ZNCC_UNROLL
  for (int first = 0; first < kCount; first += kSummed) {
    constexpr int kAll = kCount < kSummed ? kCount : kSummed;
    block.each([&](int t, auto& me) {
      ZNCC_UNROLL
      for (int k = 0; k < kAll; ++k) {
        space.of[k][t] = first + k < kCount ? value(me, first + k) : 0.0;
      }
    });
    ZNCC_NO_UNROLL
    for (int half = kTileThreads / 2; half > 0; half /= 2) {
      block.each([&](int t, auto&) {
        if (t < half) {
          ZNCC_UNROLL
          for (int k = 0; k < kAll; ++k) {
            space.of[k][t] += space.of[k][t + half];
          }
        }
      });
    }
    block.each([&](int t, auto&) {
      if (t < kAll && first + t < kCount) {
        use(first + t, space.of[t][0]);
      }
    });
  }
}

// Adds up the sums that blocks have left, `values` each, `count` blocks for each of `groups`.
struct PartialSumsBlocks {
  using Shared = SumSpace;
  struct Thread {
    double sum;
  };

  const double* partial;  // (groups, count, values)
  int64_t groups, parts, values;
  double* sums;  // (values, groups)

  ZNCC_HOST_DEVICE int64_t count() const { return groups * values; }

  template <typename Block>
  ZNCC_HOST_DEVICE void compute(Block& block, Shared& shared, int64_t index) const {
    const double* from = partial + index % groups * parts * values + index / groups;
    block.alone([&](int t, Thread& me) {
      me.sum = 0.0;
      for (int64_t i = t; i < parts; i += kTileThreads) {
        me.sum += from[i * values];
      }
    });
    sum_over_block<1>(
        block, shared, [](const Thread& me, int) { return me.sum; }, [&](int, double sum) { sums[index] = sum; });
  }
};

}  // namespace zncc
