// Sums over every h x w window of K planes, in double, by blocks of threads: the core of the CUDA kernels.
//
// A block computes a tile of the result: a strip of rows of at most 513 - w columns. It goes down row by row:
//   fetch    Every thread reads what it will need to write its part of the row.
//   march    It keeps the sums down its four columns, which lie beside each other: it adds the row that enters, takes off
//            the one that leaves, and reads the next two ahead, 16 bytes in one access.
//   publish  A warp takes the prefix sums of its 128 columns in registers, and writes them to shared memory: before each
//            column, what lies before it. Behind the last column there is a segment of its own.
//   gather   A window's sum is the difference of two of them, with the totals of the warps between them. A thread
//            takes every 128th window here, so that a warp writes what lies side by side.
// Two lines of shared memory take turns, so that a row costs one barrier. The work is the same for every window, but for
// the h - 1 rows and w - 1 columns around a tile, which are read by its neighbours too, and one more addition for each
// 128 columns of a window.
//
// Running sums remember what has left. They begin anew with each tile; and a tile that holds what is not finite, or an
// outlier among values that are not whole numbers, is computed a second time with care: every sum from its own values
// alone, with nothing subtracted, so that a value touches exactly the windows that hold it. That costs h + w additions.
// On the way nothing is asked but whether a pixel is far from the centre; only a tile that has one is looked at again.
//
// A block's work is a sequence of phases, each for every thread t, and what is between them:
//   block.alone(phase)      phase(t, thread); what comes next reads nothing that another thread wrote
//   block.wait()            all threads wait for each other
//   block.each(phase)       alone(phase), then wait()
//   block.prefix_sums(of)   within each warp, of(thread) becomes the sum of those of the threads before it
// CUDA runs the threads side by side; a test runs them one after another on the CPU, in several orders.
//
// Op, what is summed and what becomes of the sums:
//   K, Raw, Shared (a TileShared), Thread (a TileThread)
//   kBlocks                              how many blocks share a processor's registers: as many as do not spill
//   h, w; always_careful()               windows; whether to begin with care
//   prepare(block, shared, tile)         phases before everything else
//   pitch(), index(tile, row, x)         where what is loaded lies in memory: of window row `row` and column x of the tile
//   load(tile, row, x, at, count, raw)   four columns from there on, of which `count` are of the tile (it may be negative);
//                                        what the others hold does not matter
//   values(shared, raw, v)               the K values that are summed
//   suspect(shared, raw, v)              whether that may call for care
//   met(shared, tile, row, x)            what of that there really is, looked at closely: kMet...
//   begin(thread)                        what each thread begins with
//   fetch(thread, j, at)                 reads ahead what write(shared, thread, j, at, S) will need
//   write(shared, thread, j, at, S)      of the result's element `at`, the thread's j-th in its row
//   finish(block, shared, tile)          phases after everything else
#pragma once

#include "centre.h"
#include "local_std.h"
#include "tile_grid.h"

#include <cfloat>
#include <cmath>
#include <cstdint>

namespace zncc {

// Whole numbers up to here have squares whose sums over a segment are exact in double.
constexpr double kLargestWhole = 65536.0;

// What a tile holds that may call for care; values, so that they can be joined by `|`.
constexpr int kMetOutlier = 1, kMetFraction = 2, kMetLost = 4;

template <int K>
struct TileShared {
  double line[2][K][kTileLine];
  double total[2][K][kSegments];  // of a segment
  int suspect, outlier, fraction, lost;  // by any thread, set to one
};

template <int K, typename Raw>
struct TileThread {
  double column[K][kTilePerThread];
  double prefix[kTilePerThread], before;
  Raw enters[kTilePerThread], leaves[kTilePerThread];
  int64_t at;  // the index of what enters
  bool suspect;
};

// The centre of a tile's or a plane's pixels, which is one of them, and how far from it a pixel is an outlier.
template <typename Map>
struct TileCentre {
  double value, square;
  Map pixel, far;

  TileCentre() = default;
  ZNCC_HOST_DEVICE explicit TileCentre(const Centre& centre)
      : value(centre.value), square(centre.square), pixel(static_cast<Map>(centre.value)) {
    // Never infinite: an infinite pixel is far.
    const double largest = sizeof(Map) == 4 ? FLT_MAX : DBL_MAX, limit = std::sqrt(kOutlier * square);
    far = static_cast<Map>(limit < largest ? limit : largest);
  }

  ZNCC_HOST_DEVICE bool is_far(Map other) const { return !(std::fabs(other - pixel) <= far); }
};

ZNCC_HOST_DEVICE inline bool is_lost(double value) { return !(std::fabs(value) <= DBL_MAX); }

ZNCC_HOST_DEVICE inline int place(int x) { return x % kTilePerThread * kPart + x / kTilePerThread; }

// Four elements from `from` on, of which `count` may be read: the last of these stands for those after it.
template <typename T>
ZNCC_HOST_DEVICE inline void load_four(const T* from, int count, T* four) {
#ifdef __CUDA_ARCH__
  struct alignas(16) Sixteen {
    T part[16 / sizeof(T)];
  };
  struct alignas(8) Eight {
    T part[8 / sizeof(T)];
  };
  const auto address = reinterpret_cast<uintptr_t>(from);
  if (count >= kTilePerThread && address % 16 == 0) {
ZNCC_UNROLL
    for (int i = 0; i < kTilePerThread; i += 16 / sizeof(T)) {
      const Sixteen some = *reinterpret_cast<const Sixteen*>(from + i);
ZNCC_UNROLL
      for (int j = 0; j < static_cast<int>(16 / sizeof(T)); ++j) {
        four[i + j] = some.part[j];
      }
    }
    return;
  }
  if (count >= kTilePerThread && address % 8 == 0) {
ZNCC_UNROLL
    for (int i = 0; i < kTilePerThread; i += 8 / sizeof(T)) {
      const Eight some = *reinterpret_cast<const Eight*>(from + i);
ZNCC_UNROLL
      for (int j = 0; j < static_cast<int>(8 / sizeof(T)); ++j) {
        four[i + j] = some.part[j];
      }
    }
    return;
  }
#endif
ZNCC_UNROLL
  for (int j = 0; j < kTilePerThread; ++j) {
    four[j] = from[j < count ? j : count - 1];
  }
}

// What a pixel is, kMet...
template <typename Map>
ZNCC_HOST_DEVICE inline int met_pixel(Map pixel, const TileCentre<Map>& centre) {
  // Beside this number there is no room for a fraction.
  const Map large = static_cast<Map>(sizeof(Map) == 4 ? 12582912.0 : 6755399441055744.0);
  const bool whole = (pixel + large) - large == pixel && std::fabs(pixel) <= static_cast<Map>(kLargestWhole);
  return (whole ? 0 : kMetFraction) | (centre.is_far(pixel) ? kMetOutlier : 0) |
         (is_finite(static_cast<double>(pixel)) ? 0 : kMetLost);
}

// The number of columns of the windows' rows that a tile reads.
template <typename Op>
ZNCC_HOST_DEVICE inline int columns_read(const Op& op, const Tile& tile) {
  return tile.columns + static_cast<int>(op.w) - 1;
}

// `at` is the index of the thread's first column.
template <typename Op>
ZNCC_HOST_DEVICE inline void load_row(const Op& op, const Tile& tile, int64_t row, int t, int64_t at,
                                      typename Op::Raw* raw) {
  const int x = t * kTilePerThread;
  op.load(tile, row, x, at, columns_read(op, tile) - x, raw);
}

template <typename Op>
ZNCC_HOST_DEVICE inline void add_row(const Op& op, const typename Op::Shared& shared, const typename Op::Raw* raw,
                                     typename Op::Thread& me) {
ZNCC_UNROLL
  for (int j = 0; j < kTilePerThread; ++j) {
    double v[Op::K];
    op.values(shared, raw[j], v);
    me.suspect |= op.suspect(shared, raw[j], v);
ZNCC_UNROLL
    for (int k = 0; k < Op::K; ++k) {
      me.column[k][j] += v[k];
    }
  }
}

// The sums of the rows before the last one of the first windows; and what the first step reads.
template <typename Op>
ZNCC_HOST_DEVICE inline void warm_up(const Op& op, typename Op::Shared& shared, const Tile& tile, int t,
                                     typename Op::Thread& me) {
ZNCC_UNROLL
  for (int k = 0; k < Op::K; ++k) {
ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      me.column[k][j] = 0.0;
    }
  }
  me.at = op.index(tile, tile.top, t * kTilePerThread);
ZNCC_UNROLL_SOME
  for (int64_t i = 0; i < op.h - 1; ++i, me.at += op.pitch()) {
    typename Op::Raw raw[kTilePerThread];
    load_row(op, tile, tile.top + i, t, me.at, raw);
    add_row(op, shared, raw, me);
  }
  load_row(op, tile, tile.top + op.h - 1, t, me.at, me.enters);
}

template <typename Op>
ZNCC_HOST_DEVICE inline void march(const Op& op, typename Op::Shared& shared, const Tile& tile, int64_t y, int t,
                                   typename Op::Thread& me) {
  add_row(op, shared, me.enters, me);
  if (y > tile.top) {
ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      double v[Op::K];
      op.values(shared, me.leaves[j], v);
ZNCC_UNROLL
      for (int k = 0; k < Op::K; ++k) {
        me.column[k][j] -= v[k];
      }
    }
  }
  if (y + 1 < tile.bottom) {
    me.at += op.pitch();
    load_row(op, tile, y + op.h, t, me.at, me.enters);
    load_row(op, tile, y, t, me.at - op.h * op.pitch(), me.leaves);
  }
}

template <typename Op>
ZNCC_HOST_DEVICE inline void march_carefully(const Op& op, typename Op::Shared& shared, const Tile& tile, int64_t y,
                                             int t, int turn) {
  double sum[Op::K][kTilePerThread] = {};
  for (int64_t i = 0; i < op.h; ++i) {
    typename Op::Raw raw[kTilePerThread];
    load_row(op, tile, y + i, t, op.index(tile, y + i, t * kTilePerThread), raw);
    for (int j = 0; j < kTilePerThread; ++j) {
      double v[Op::K];
      op.values(shared, raw[j], v);
      for (int k = 0; k < Op::K; ++k) {
        sum[k][j] += v[k];
      }
    }
  }
  for (int k = 0; k < Op::K; ++k) {
    for (int j = 0; j < kTilePerThread; ++j) {
      shared.line[turn][k][j * kPart + t] = sum[k][j];
    }
  }
}

// Of plane k: what lies before each column in its segment.
template <typename Op, typename Block>
ZNCC_HOST_DEVICE inline void publish(Block& block, typename Op::Shared& shared, int k, int turn) {
  block.alone([&](int, auto& me) {
    me.prefix[0] = me.column[k][0];
ZNCC_UNROLL
    for (int j = 1; j < kTilePerThread; ++j) {
      me.prefix[j] = me.prefix[j - 1] + me.column[k][j];
    }
    me.before = me.prefix[kTilePerThread - 1];
  });
  block.prefix_sums([](auto& me) -> double& { return me.before; });
  block.alone([&](int t, auto& me) {
ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      shared.line[turn][k][j * kPart + t] = j == 0 ? me.before : me.before + me.prefix[j - 1];
    }
    if (t % 32 == 31) {
      shared.total[turn][k][t / 32] = me.before + me.prefix[kTilePerThread - 1];
    }
  });
}

// The sums of window t + j * kTileThreads: as far as from one to the next, they begin and end in the next segment.
template <bool kCareful, typename Op>
ZNCC_HOST_DEVICE inline void window_sums(const Op& op, const typename Op::Shared& shared, int t, int j, int turn,
                                         double* S) {
  const int w = static_cast<int>(op.w), x = t + j * kTileThreads;
  if (kCareful) {
    for (int k = 0; k < Op::K; ++k) {
      S[k] = 0.0;
      for (int i = x; i < x + w; ++i) {
        S[k] += shared.line[turn][k][place(i)];
      }
    }
    return;
  }
  // What lies before the window in its first segment, less that segment and those that the window spans.
  double before[Op::K];
  const int first = place(t) + j * 32, behind = place(t + w) + j * 32;
ZNCC_UNROLL
  for (int k = 0; k < Op::K; ++k) {
    before[k] = shared.line[turn][k][first];
  }
ZNCC_NO_UNROLL
  for (int i = 0; i < (t + w) / kSegment; ++i) {
ZNCC_UNROLL
    for (int k = 0; k < Op::K; ++k) {
      before[k] -= shared.total[turn][k][i + j];
    }
  }
ZNCC_UNROLL
  for (int k = 0; k < Op::K; ++k) {
    S[k] = shared.line[turn][k][behind] - before[k];
  }
}

// Calls visit(j, at) for the thread's elements of row y of the result.
template <typename Op, typename Visit>
ZNCC_HOST_DEVICE inline void for_windows(const Op& op, const Tile& tile, int64_t y, int t, const Visit& visit) {
  const int64_t at = (tile.plane * op.grid.rows + y) * op.grid.columns + tile.left + t;
ZNCC_UNROLL
  for (int j = 0; j < kTilePerThread; ++j) {
    if (t + j * kTileThreads < tile.columns) {
      visit(j, at + j * kTileThreads);
    }
  }
}

template <bool kCareful, typename Op>
ZNCC_HOST_DEVICE inline void gather(const Op& op, typename Op::Shared& shared, const Tile& tile, int64_t y, int t,
                                    typename Op::Thread& me, int turn) {
  for_windows(op, tile, y, t, [&](int j, int64_t at) {
    double S[Op::K];
    window_sums<kCareful>(op, shared, t, j, turn, S);
    op.write(shared, me, j, at, S);
  });
}

// Whether a tile that has a suspect calls for care.
template <typename Op, typename Block>
ZNCC_HOST_DEVICE inline bool calls_for_care(const Op& op, Block& block, typename Op::Shared& shared, const Tile& tile) {
  block.each([&](int t, auto&) {
    int met = 0;
    for (int64_t row = tile.top; row < tile.bottom + op.h - 1; ++row) {
      for (int x = t; x < columns_read(op, tile); x += kTileThreads) {
        met |= op.met(shared, tile, row, x);
      }
    }
    if (met & kMetOutlier) {
      shared.outlier = 1;
    }
    if (met & kMetFraction) {
      shared.fraction = 1;
    }
    if (met & kMetLost) {
      shared.lost = 1;
    }
  });
  // Nobody sets these any more, so that all threads read the same.
  return shared.lost || (shared.outlier && shared.fraction);
}

template <bool kCareful, typename Op, typename Block>
ZNCC_HOST_DEVICE inline void sum_rows(const Op& op, Block& block, typename Op::Shared& shared, const Tile& tile) {
  block.alone([&](int t, auto& me) {
    op.begin(me);
    me.suspect = false;
    if (t < Op::K) {
      shared.line[0][t][place(kTileColumns)] = shared.line[1][t][place(kTileColumns)] = 0.0;
    }
    if (!kCareful) {
      warm_up(op, shared, tile, t, me);
    }
  });
  int turn = 0;
  for (int64_t y = tile.top; y < tile.bottom; ++y, turn = 1 - turn) {
    block.alone([&](int t, auto& me) {
      for_windows(op, tile, y, t, [&](int j, int64_t at) { op.fetch(me, j, at); });
    });
    if (kCareful) {
      block.alone([&](int t, auto&) { march_carefully(op, shared, tile, y, t, turn); });
    } else {
      block.alone([&](int t, auto& me) { march(op, shared, tile, y, t, me); });
ZNCC_UNROLL
      for (int k = 0; k < Op::K; ++k) {
        publish<Op>(block, shared, k, turn);
      }
    }
    block.wait();
    block.alone([&](int t, auto& me) { gather<kCareful>(op, shared, tile, y, t, me, turn); });
  }
  block.wait();  // the lines are free again
}

// The whole work of a block.
template <typename Op, typename Block>
ZNCC_HOST_DEVICE inline void sum_tile(const Op& op, Block& block, typename Op::Shared& shared, const Tile& tile) {
  block.wait();  // for the tile before
  block.each([&](int t, auto&) {
    if (t == 0) {
      shared.suspect = shared.outlier = shared.fraction = shared.lost = 0;
    }
  });
  op.prepare(block, shared, tile);
  bool careful = op.always_careful();
  if (!careful) {
    sum_rows<false>(op, block, shared, tile);
    block.each([&](int, auto& me) {
      if (me.suspect) {
        shared.suspect = 1;
      }
    });
    careful = shared.suspect && calls_for_care(op, block, shared, tile);
  }
  if (careful) {
    sum_rows<true>(op, block, shared, tile);
  }
  op.finish(block, shared, tile);
}

// Phases that take the centre of `count` rectangles: samples(i, which) is pixel i of the sample of rectangle `which`.
template <typename Map, typename Block, typename Samples>
ZNCC_HOST_DEVICE inline void find_centres(Block& block, double* space, TileCentre<Map>* centres, int count,
                                          const Samples& samples) {
  block.each([&](int t, auto&) {
    for (int i = t; i < count * kSamples; i += kTileThreads) {
      space[i] = samples(i % kSamples, i / kSamples);
    }
  });
  block.each([&](int t, auto&) {
    // One warp for each, so that they do not wait for each other.
    if (t % 32 == 0 && t / 32 < count) {
      centres[t / 32] = TileCentre<Map>(centre_of_samples(space + t / 32 * kSamples));
    }
  });
}

}  // namespace zncc
