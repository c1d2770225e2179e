// Sums over every h x w window of K planes, in double, by blocks of threads: the core of the CUDA kernels.
//
// A block computes a tile of the result: a strip of rows of at most 513 - w columns. It steps R rows down at a time:
//   march    Every thread keeps the sums down its two columns, adds the rows that enter and takes off those that leave,
//            and writes the column sums to shared memory. Neighbours read neighbours: 128 bytes in one access.
//   scan     Prefix sums of the column sums, within segments of 32 columns.
//   gather   A window's sum is the difference of two prefix sums, with the totals of the segments between them.
// The same work for every window, but for the h - 1 rows and w - 1 columns around a tile, which are read by its
// neighbours too, and one more addition for each 32 columns of a window.
//
// Running sums remember what has left. They begin anew with each tile; and a tile that holds what is not finite, or an
// outlier among values that are not whole numbers, is computed a second time with care: every sum from its own values
// alone, with nothing subtracted, so that a value touches exactly the windows that hold it. That costs h + w additions.
//
// A block's work is a sequence of phases, and Block::each(phase) calls phase(t, thread) for every thread t and then waits
// for all of them. CUDA runs the threads side by side; a test runs them one after another on the CPU, in several orders.
//
// Op, what is summed and what becomes of the sums:
//   K, R, Raw, Shared (a TileShared), Thread (a TileThread)
//   kBlocks                              how many blocks share a multiprocessor's registers: as many as do not spill
//   h, w; always_careful()               windows; whether to begin with care
//   prepare(block, shared, tile)         phases before everything else
//   load(tile, row, x) -> Raw            of window row `row` and column x of the tile; no others are asked for
//   values(shared, raw, v)               the K values that are summed
//   met(shared, raw) -> int              whether that may call for care
//   begin(thread)                        what each thread begins with
//   write(shared, thread, tile, row, x, S)
//   finish(block, shared, tile)          phases after everything else
#pragma once

#include "centre.h"
#include "local_std.h"
#include "tile_grid.h"

#include <cmath>
#include <cstdint>

#ifdef __CUDACC__
#define ZNCC_UNROLL _Pragma("unroll")
#define ZNCC_UNROLL_SOME _Pragma("unroll 4")
#else
#define ZNCC_UNROLL
#define ZNCC_UNROLL_SOME
#endif

namespace zncc {

// Whole numbers up to here have squares whose sums over a segment are exact in double.
constexpr double kLargestWhole = 65536.0;

// What a thread has met that may call for care; values, so that they can be joined by `|`.
constexpr int kMetOutlier = 1, kMetFraction = 2, kMetLost = 4;

template <int K, int R>
struct TileShared {
  double line[K * R][kTileLine];
  int outlier, fraction, lost;  // by any thread, set to one
};

template <int K>
struct TileThread {
  double column[K][kTilePerThread];
  int met;
};

ZNCC_HOST_DEVICE inline int place(int x) { return x + x / kSegment; }

// What a pixel is, where v is the pixel less the centre and `square` that of a usual v.
template <typename Map>
ZNCC_HOST_DEVICE inline int met_pixel(Map pixel, double v, double square) {
  // Beside this number there is no room for a fraction.
  const Map large = static_cast<Map>(sizeof(Map) == 4 ? 12582912.0 : 6755399441055744.0);
  const bool whole = (pixel + large) - large == pixel && std::fabs(pixel) <= static_cast<Map>(kLargestWhole);
  const int met = whole ? 0 : kMetFraction;
  if (v * v <= kOutlier * square) {
    return met;
  }
  return met | kMetOutlier | (is_finite(v) ? 0 : kMetLost);
}

template <typename Op, typename Thread>
ZNCC_HOST_DEVICE inline void warm_up(const Op& op, typename Op::Shared& shared, const Tile& tile, int t, Thread& me) {
  const int n = tile.columns + static_cast<int>(op.w) - 1;
ZNCC_UNROLL
  for (int j = 0; j < kTilePerThread; ++j) {
    const int x = t + j * kTileThreads;
    double sum[Op::K] = {};
    if (x < n) {
ZNCC_UNROLL_SOME
      for (int64_t i = 0; i < op.h - 1; ++i) {
        double v[Op::K];
        const typename Op::Raw raw = op.load(tile, tile.top + i, x);
        op.values(shared, raw, v);
        me.met |= op.met(shared, raw);
        for (int k = 0; k < Op::K; ++k) {
          sum[k] += v[k];
        }
      }
    }
ZNCC_UNROLL
    for (int k = 0; k < Op::K; ++k) {
      me.column[k][j] = sum[k];
    }
  }
}

template <typename Op, typename Thread>
ZNCC_HOST_DEVICE inline void march(const Op& op, typename Op::Shared& shared, const Tile& tile, int64_t y, int t,
                                   Thread& me) {
  const int n = tile.columns + static_cast<int>(op.w) - 1;
  // All loads first, so that they are under way together.
  typename Op::Raw enters[Op::R][kTilePerThread] = {}, leaves[Op::R][kTilePerThread] = {};
ZNCC_UNROLL
  for (int r = 0; r < Op::R; ++r) {
ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      const int x = t + j * kTileThreads;
      if (x < n && y + r < tile.bottom) {
        enters[r][j] = op.load(tile, y + r + op.h - 1, x);
        if (y + r > tile.top) {
          leaves[r][j] = op.load(tile, y + r - 1, x);
        }
      }
    }
  }
ZNCC_UNROLL
  for (int r = 0; r < Op::R; ++r) {
ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      const int x = t + j * kTileThreads;
      if (x < n && y + r < tile.bottom) {
        double in[Op::K], out[Op::K];
        op.values(shared, enters[r][j], in);
        op.values(shared, leaves[r][j], out);
        me.met |= op.met(shared, enters[r][j]);
ZNCC_UNROLL
        for (int k = 0; k < Op::K; ++k) {
          me.column[k][j] = me.column[k][j] + in[k] - (y + r > tile.top ? out[k] : 0.0);
          shared.line[k * Op::R + r][place(x)] = me.column[k][j];
        }
      }
    }
  }
}

template <typename Op>
ZNCC_HOST_DEVICE inline void march_carefully(const Op& op, typename Op::Shared& shared, const Tile& tile, int64_t y,
                                             int t) {
  const int n = tile.columns + static_cast<int>(op.w) - 1;
  for (int r = 0; r < Op::R && y + r < tile.bottom; ++r) {
    for (int x = t; x < n; x += kTileThreads) {
      double sum[Op::K] = {};
      for (int64_t i = 0; i < op.h; ++i) {
        double v[Op::K];
        op.values(shared, op.load(tile, y + r + i, x), v);
        for (int k = 0; k < Op::K; ++k) {
          sum[k] += v[k];
        }
      }
      for (int k = 0; k < Op::K; ++k) {
        shared.line[k * Op::R + r][place(x)] = sum[k];
      }
    }
  }
}

template <typename Op>
ZNCC_HOST_DEVICE inline void scan(const Op& op, typename Op::Shared& shared, const Tile& tile, int64_t y, int t) {
  const int n = tile.columns + static_cast<int>(op.w) - 1;
  for (int job = t; job < Op::K * Op::R * kSegments; job += kTileThreads) {
    const int line = job / kSegments, first = job % kSegments * kSegment;
    const int count = n - first < kSegment ? n - first : kSegment;
    if (y + line % Op::R >= tile.bottom) {
      continue;
    }
    double* values = shared.line[line] + place(first);
    double sum = 0.0;
ZNCC_UNROLL_SOME
    for (int i = 0; i < count; ++i) {
      sum += values[i];
      values[i] = sum;
    }
  }
}

// Of a line of prefix sums: what lies in [x, x + w).
ZNCC_HOST_DEVICE inline double window_sum(const double* line, int x, int w) {
  const int last = x + w - 1, segment = x / kSegment, last_segment = last / kSegment;
  const double before = x % kSegment == 0 ? 0.0 : line[place(x - 1)];
  if (segment == last_segment) {
    return line[place(last)] - before;
  }
  double sum = line[place(segment * kSegment + kSegment - 1)] - before;
  for (int s = segment + 1; s < last_segment; ++s) {
    sum += line[place(s * kSegment + kSegment - 1)];
  }
  return sum + line[place(last)];
}

// The same of a line of column sums.
ZNCC_HOST_DEVICE inline double window_sum_carefully(const double* line, int x, int w) {
  double sum = 0.0;
  for (int i = x; i < x + w; ++i) {
    sum += line[place(i)];
  }
  return sum;
}

template <typename Op, typename Thread>
ZNCC_HOST_DEVICE inline void gather(const Op& op, typename Op::Shared& shared, const Tile& tile, int64_t y, int t,
                                    Thread& me, bool careful) {
ZNCC_UNROLL
  for (int r = 0; r < Op::R; ++r) {
ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      const int x = t + j * kTileThreads;
      if (x < tile.columns && y + r < tile.bottom) {
        double S[Op::K];
ZNCC_UNROLL
        for (int k = 0; k < Op::K; ++k) {
          const double* line = shared.line[k * Op::R + r];
          S[k] = careful ? window_sum_carefully(line, x, static_cast<int>(op.w))
                         : window_sum(line, x, static_cast<int>(op.w));
        }
        op.write(shared, me, tile, y + r, x, S);
      }
    }
  }
}

// The whole work of a block.
template <typename Op, typename Block>
ZNCC_HOST_DEVICE inline void sum_tile(const Op& op, Block& block, typename Op::Shared& shared, const Tile& tile) {
  block.each([&](int t, auto&) {
    if (t == 0) {
      shared.outlier = shared.fraction = shared.lost = 0;
    }
  });
  op.prepare(block, shared, tile);
  bool careful = op.always_careful();
  for (;;) {
    block.each([&](int t, auto& me) {
      op.begin(me);
      me.met = 0;
      if (!careful) {
        warm_up(op, shared, tile, t, me);
      }
    });
    for (int64_t y = tile.top; y < tile.bottom; y += Op::R) {
      if (careful) {
        block.each([&](int t, auto&) { march_carefully(op, shared, tile, y, t); });
      } else {
        block.each([&](int t, auto& me) { march(op, shared, tile, y, t, me); });
        block.each([&](int t, auto&) { scan(op, shared, tile, y, t); });
      }
      block.each([&](int t, auto& me) { gather(op, shared, tile, y, t, me, careful); });
    }
    if (careful) {
      break;
    }
    block.each([&](int, auto& me) {
      if (me.met & kMetOutlier) {
        shared.outlier = 1;
      }
      if (me.met & kMetFraction) {
        shared.fraction = 1;
      }
      if (me.met & kMetLost) {
        shared.lost = 1;
      }
    });
    // Nobody sets these any more, so that all threads read the same.
    if (!(shared.lost || (shared.outlier && shared.fraction))) {
      break;
    }
    careful = true;
  }
  op.finish(block, shared, tile);
}

// Phases that take the centre of `count` rectangles: samples(i, which) is pixel i of the sample of rectangle `which`.
template <typename Block, typename Samples>
ZNCC_HOST_DEVICE inline void find_centres(Block& block, double* space, Centre* centres, int count,
                                          const Samples& samples) {
  block.each([&](int t, auto&) {
    for (int i = t; i < count * kSamples; i += kTileThreads) {
      space[i] = samples(i % kSamples, i / kSamples);
    }
  });
  block.each([&](int t, auto&) {
    // One warp for each, so that they do not wait for each other.
    if (t % 32 == 0 && t / 32 < count) {
      centres[t / 32] = centre_of_samples(space + t / 32 * kSamples);
    }
  });
}

}  // namespace zncc
