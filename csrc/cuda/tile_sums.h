// Sums over every h x w window of K planes, in double, by blocks of threads: the core of the CUDA kernels.
//
// A block computes a tile of the result: a strip of rows of at most 513 - w columns. It goes down row by row:
//   fetch    Every thread reads what it will need to write its part of the row.
//   march    It keeps the sums down its four columns, which lie beside each other: the row that enters takes the place of
//            the one that leaves, and the next two are read ahead, 16 bytes in one access.
//   publish  It writes to shared memory what lies before each of its columns: among its own four where the window is
//            narrow, together with their sum; where it is wide, in the 128 columns of its warp, which takes the prefix
//            sums of its threads in registers. Behind the last column there is a segment of its own.
//   gather   Its four windows begin in its own columns. Each one's sum is what lies before its end, less what lies before
//            its beginning, and what is between: a few threads' sums, or the totals of the warps.
// Two lines of shared memory take turns, so that a row costs one barrier; an Op to which memory is dearer has one line,
// and two barriers. Up to kNarrowWindow columns a window costs an addition for each four of them, beyond that one for
// each 128; down the columns the work is the same for every window, but for the h - 1 rows around a tile, which are read
// by its neighbours too.
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
//   block.memory()          further shared memory, as much as the Op asked for
//   block.prefix_sums(of)   within each warp, of(thread) becomes the sum of those of the threads before it
// CUDA runs the threads side by side; a test runs them one after another on the CPU, in several orders.
//
// Op, what is summed and what becomes of the sums:
//   K, Raw, Shared (a TileShared), Thread (a TileThread)
//   kBlocks                              how many blocks share a processor's registers: as many as do not spill
//   kLines                               of shared memory: 2, or 1
//   grid, h, w, window_pitch             tiles; windows; from a row of what is loaded to the one h rows below it
//   kFinite                              whether nothing that is summed calls for care: no always_careful(), no met()
//   always_careful()                     whether to begin with care
//   prepare(block, shared, tile)         phases before everything else
//   pitch(), index(tile, row, x)         where what is loaded lies in memory: of window row `row` and column x of the tile
//   load(tile, row, x, at, count, raw)   four columns from there on, of which `count` are of the tile (it may be negative);
//                                        what the others hold does not matter
//   replace(shared, enters, leaves, column)   adds the K values of a row to the columns, takes those of another one off,
//                                        and returns whether the former may call for care
//   nothing(shared)                      what leaves where nothing does
//   kRemembers, Leaves                   whether the h rows of a window are kept in shared memory instead of being read
//                                        again when they leave it; what leaves: Raw, or what is kept of it
//   remember(memory, slot, t, leaves), recall(memory, slot, t, leaves), memory_bytes()   where it is kept; and then
//   keep(shared, raw, leaves)            what of it, which is what enters, too
//   met(shared, tile, row, x)            what of that there really is, looked at closely: kMet...
//   begin(thread)                        what each thread begins with
//   fetch(thread, tile, y, x, at, count)      reads ahead what write() will need for `count` elements (1 to 4) of row y
//                                        from column x of the tile on, of which `at` is the first one's index
//   write(shared, thread, at, count, S)  those elements of the result; S[j] are the sums of the j-th
//   finish(block, shared, tile)          phases after everything else
#pragma once

#include "../centre.h"
#include "../local_std.h"
#include "tile_grid.h"

#include <cfloat>
#include <cmath>
#include <cstdint>
#include <type_traits>

namespace zncc {

// Whole numbers up to here have squares whose sums over a segment are exact in double.
constexpr double kLargestWhole = 65536.0;

// What a tile holds that may call for care; values, so that they can be joined by `|`.
constexpr int kMetOutlier = 1, kMetFraction = 2, kMetLost = 4;

// How the sums along a row are taken.
enum class Way { kNarrow, kWide, kCareful };

template <int K, int kLines = 2>
struct TileShared {
  double line[kLines][K][kTileLine];
  double total[kLines][K][kSegments];    // of a segment, where windows are wide
  int suspect, outlier, fraction, lost;  // by any thread, set to one
};

template <int K, typename Raw, typename Leaves = Raw>
struct TileThread {
  double column[kTilePerThread][K];
  double before[K];  // what lies before its columns in their segment, where windows are wide
  Raw enters[kTilePerThread];
  Leaves leaves[kTilePerThread];
  int64_t at, result;  // the indices of what enters, and of its first element of the row of the result
  bool suspect;
};

// The centre of a tile's or a plane's pixels, which is one of them, and how far from it a pixel is an outlier.
template <typename Map>
struct TileCentre {
  double value;
  Map pixel, far;

  TileCentre() = default;
  ZNCC_HOST_DEVICE explicit TileCentre(const Centre& centre)
      : value(centre.value), pixel(static_cast<Map>(centre.value)) {
    // Never infinite: an infinite pixel is far.
    const double largest = sizeof(Map) == 4 ? FLT_MAX : DBL_MAX, limit = std::sqrt(kOutlier * centre.square);
    far = static_cast<Map>(limit < largest ? limit : largest);
  }

  ZNCC_HOST_DEVICE bool is_far(Map other) const { return !(std::fabs(other - pixel) <= far); }
};

ZNCC_HOST_DEVICE inline bool is_lost(double value) { return !(std::fabs(value) <= DBL_MAX); }

ZNCC_HOST_DEVICE inline int place(int x) { return x % kTilePerThread * kPart + x / kTilePerThread; }

// How many elements are read or written at once in rows `pitch` elements apart, where each of `planes` has one that begins
// there.
template <typename T, typename... Planes>
inline int elements_at_once(int64_t pitch, const T* plane, const Planes*... planes) {
  uintptr_t odd = static_cast<uintptr_t>(pitch) * sizeof(T) | reinterpret_cast<uintptr_t>(plane);
  ((odd |= reinterpret_cast<uintptr_t>(planes)), ...);
  return static_cast<int>((odd % 16 == 0 ? 16 : odd % 8 == 0 ? 8 : sizeof(T)) / sizeof(T));
}

// As many as 16 bytes hold.
template <typename T>
constexpr int kVectorWidth = 16 / sizeof(T) < kTilePerThread ? 16 / sizeof(T) : kTilePerThread;

template <typename T, int kCount>
struct alignas(kCount * sizeof(T)) Together {
  T part[kCount];
};

// Four elements, kCount of them together, each `apart` from the last.
template <int kCount, typename T>
ZNCC_HOST_DEVICE inline void load_together(const T* from, int apart, T* four) {
  ZNCC_UNROLL
  for (int i = 0; i < kTilePerThread / kCount; ++i) {
    const auto some = *reinterpret_cast<const Together<T, kCount>*>(from + i * apart);
    ZNCC_UNROLL
    for (int j = 0; j < kCount; ++j) {
      four[i * kCount + j] = some.part[j];
    }
  }
}

template <int kCount, typename T>
ZNCC_HOST_DEVICE inline Together<T, kCount> together(const T* from) {
  Together<T, kCount> some;
  ZNCC_UNROLL
  for (int j = 0; j < kCount; ++j) {
    some.part[j] = from[j];
  }
  return some;
}

template <int kCount, typename T>
ZNCC_HOST_DEVICE inline void store_together(T* to, int apart, const T* four) {
  ZNCC_UNROLL
  for (int i = 0; i < kTilePerThread / kCount; ++i) {
    *reinterpret_cast<Together<T, kCount>*>(to + i * apart) = together<kCount>(four + i * kCount);
  }
}

// Into a result, which does not take the place in the cache of rows that will be read again.
template <int kCount, typename T>
ZNCC_HOST_DEVICE inline void stream_together(T* to, const T* four) {
#ifdef __CUDA_ARCH__
  using Word = std::conditional_t<kCount * sizeof(T) == 16, uint4, uint2>;
  ZNCC_UNROLL
  for (int i = 0; i < kTilePerThread; i += kCount) {
    const auto some = together<kCount>(four + i);
    __stcs(reinterpret_cast<Word*>(to + i), *reinterpret_cast<const Word*>(&some));
  }
#else
  store_together<kCount>(to, kCount, four);
#endif
}

// Four elements from `from` on, `at_once` together; where only `count` may be read, the last of these stands for those
// after it.
template <typename T>
ZNCC_HOST_DEVICE inline void load_four(const T* from, int at_once, int count, T* four) {
  constexpr int kWidth = kVectorWidth<T>;
  if (count >= kTilePerThread && at_once >= kWidth) {
    load_together<kWidth>(from, kWidth, four);
  } else if (count >= kTilePerThread && at_once == 2) {
    load_together<2>(from, 2, four);
  } else {
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      four[j] = from[j < count ? j : count - 1];
    }
  }
}

template <typename T>
ZNCC_HOST_DEVICE inline void store_four(T* to, int at_once, int count, const T* four) {
  constexpr int kWidth = kVectorWidth<T>;
  if (count == kTilePerThread && at_once >= kWidth) {
    stream_together<kWidth>(to, four);
  } else if (count == kTilePerThread && at_once == 2) {
    stream_together<2>(to, four);
  } else {
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      if (j < count) {
        to[j] = four[j];
      }
    }
  }
}

// A thread's four elements of a line of shared memory: 16 bytes of each thread beside those of the next one.
template <typename T>
ZNCC_HOST_DEVICE inline void load_beside(const T* line, int t, T* four) {
  constexpr int kCount = kVectorWidth<T>;
  load_together<kCount>(line + t * kCount, kCount * kTileThreads, four);
}

template <typename T>
ZNCC_HOST_DEVICE inline void store_beside(T* line, int t, const T* four) {
  constexpr int kCount = kVectorWidth<T>;
  store_together<kCount>(line + t * kCount, kCount * kTileThreads, four);
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

// What enters takes the place of what leaves, and is remembered in its slot.
template <typename Op>
ZNCC_HOST_DEVICE inline void enter(const Op& op, typename Op::Shared& shared, unsigned char* memory, int slot, int t,
                                   typename Op::Thread& me) {
  if constexpr (Op::kRemembers) {
    typename Op::Leaves kept[kTilePerThread];
    op.keep(shared, me.enters, kept);
    me.suspect |= op.replace(shared, kept, me.leaves, me.column);
    op.remember(memory, slot, t, kept);
  } else {
    me.suspect |= op.replace(shared, me.enters, me.leaves, me.column);
  }
}

// The sums of the rows before the last one of the first windows; and what the first step reads.
template <typename Op>
ZNCC_HOST_DEVICE inline void warm_up(const Op& op, typename Op::Shared& shared, unsigned char* memory, const Tile& tile,
                                     int t, typename Op::Thread& me) {
  ZNCC_UNROLL
  for (int j = 0; j < kTilePerThread; ++j) {
    ZNCC_UNROLL
    for (int k = 0; k < Op::K; ++k) {
      me.column[j][k] = 0.0;
    }
  }
  me.at = op.index(tile, tile.top, t * kTilePerThread);
  ZNCC_UNROLL
  for (int j = 0; j < kTilePerThread; ++j) {
    me.leaves[j] = op.nothing(shared);
  }
  ZNCC_UNROLL_SOME
  for (int64_t i = 0; i < op.h - 1; ++i, me.at += op.pitch()) {
    load_row(op, tile, tile.top + i, t, me.at, me.enters);
    enter(op, shared, memory, static_cast<int>(i), t, me);
  }
  load_row(op, tile, tile.top + op.h - 1, t, me.at, me.enters);
  if constexpr (Op::kRemembers) {
    op.remember(memory, static_cast<int>(op.h) - 1, t, me.leaves);
  }
}

template <typename Op>
ZNCC_HOST_DEVICE inline void march(const Op& op, typename Op::Shared& shared, unsigned char* memory, int slot,
                                   const Tile& tile, int64_t y, int t, typename Op::Thread& me) {
  if constexpr (Op::kRemembers) {
    op.recall(memory, slot, t, me.leaves);
  }
  enter(op, shared, memory, slot, t, me);
  if (y + 1 < tile.bottom) {
    me.at += op.pitch();
    load_row(op, tile, y + op.h, t, me.at, me.enters);
    if constexpr (!Op::kRemembers) {
      load_row(op, tile, y, t, me.at - op.window_pitch, me.leaves);
    }
  }
}

template <typename Op>
ZNCC_HOST_DEVICE inline void march_carefully(const Op& op, typename Op::Shared& shared, const Tile& tile, int64_t y,
                                             int t, int turn) {
  double sum[kTilePerThread][Op::K] = {};
  typename Op::Leaves nothing[kTilePerThread];
  for (int j = 0; j < kTilePerThread; ++j) {
    nothing[j] = op.nothing(shared);
  }
  for (int64_t i = 0; i < op.h; ++i) {
    typename Op::Raw raw[kTilePerThread];
    load_row(op, tile, y + i, t, op.index(tile, y + i, t * kTilePerThread), raw);
    if constexpr (Op::kRemembers) {
      typename Op::Leaves kept[kTilePerThread];
      op.keep(shared, raw, kept);
      op.replace(shared, kept, nothing, sum);
    } else {
      op.replace(shared, raw, nothing, sum);
    }
  }
  for (int k = 0; k < Op::K; ++k) {
    for (int j = 0; j < kTilePerThread; ++j) {
      shared.line[turn][k][j * kPart + t] = sum[j][k];
    }
  }
}

// What lies before each of the thread's columns among its own, and behind the last one: their sum.
template <typename Op>
ZNCC_HOST_DEVICE inline void own_prefix(const typename Op::Thread& me, int k, double* prefix) {
  prefix[0] = 0.0;
  prefix[1] = me.column[0][k];
  ZNCC_UNROLL
  for (int j = 2; j <= kTilePerThread; ++j) {
    prefix[j] = prefix[j - 1] + me.column[j - 1][k];
  }
}

template <Way kWay, typename Op, typename Block>
ZNCC_HOST_DEVICE inline void publish(Block& block, typename Op::Shared& shared, int turn) {
  constexpr bool kIsWide = kWay == Way::kWide;
  ZNCC_UNROLL
  for (int k = 0; k < Op::K; ++k) {
    if (kIsWide) {
      block.alone([&](int, auto& me) {
        double prefix[kTilePerThread + 1];
        own_prefix<Op>(me, k, prefix);
        me.before[k] = prefix[kTilePerThread];
      });
      block.prefix_sums([&](auto& me) -> double& { return me.before[k]; });
    }
    block.alone([&](int t, auto& me) {
      double prefix[kTilePerThread + 1], *line = shared.line[turn][k] + t;
      own_prefix<Op>(me, k, prefix);
      line[0] = kIsWide ? me.before[k] : prefix[kTilePerThread];
      ZNCC_UNROLL
      for (int j = 1; j < kTilePerThread; ++j) {
        line[j * kPart] = kIsWide ? me.before[k] + prefix[j] : prefix[j];
      }
      if (kIsWide && t % 32 == 31) {
        shared.total[turn][k][t / 32] = me.before[k] + prefix[kTilePerThread];
      }
    });
  }
}

// The sums over the windows that begin at the thread's columns. Each ends with kRest columns (any number, where that is
// negative) of a thread whose others it does not hold.
template <Way kWay, int kRest, typename Op>
ZNCC_HOST_DEVICE inline void window_sums(const Op& op, const typename Op::Shared& shared, int t, int turn,
                                         const typename Op::Thread& me, double (*S)[Op::K]) {
  constexpr bool kIsWide = kWay == Way::kWide;
  const int w = static_cast<int>(op.w), threads = w / kTilePerThread, rest = kRest < 0 ? w % kTilePerThread : kRest;
  const auto& line = shared.line[turn];
  // From the thread's first column to the first one of the thread where a window ends; or of the next one.
  double whole[Op::K], more[Op::K];
  if (kIsWide) {
    int segment = t / 32;
    ZNCC_UNROLL
    for (int k = 0; k < Op::K; ++k) {
      whole[k] = -me.before[k];
    }
    ZNCC_NO_UNROLL
    for (; segment < (t + threads) / 32; ++segment) {
      ZNCC_UNROLL
      for (int k = 0; k < Op::K; ++k) {
        whole[k] += shared.total[turn][k][segment];
      }
    }
    ZNCC_UNROLL
    for (int k = 0; k < Op::K; ++k) {
      more[k] = segment < (t + threads + 1) / 32 ? whole[k] + shared.total[turn][k][segment] : whole[k];
    }
  } else {
    ZNCC_UNROLL
    for (int k = 0; k < Op::K; ++k) {
      whole[k] = 0.0;
    }
    ZNCC_NO_UNROLL
    for (int i = 0; i < threads; ++i) {
      ZNCC_UNROLL
      for (int k = 0; k < Op::K; ++k) {
        whole[k] += line[k][t + i];
      }
    }
    ZNCC_UNROLL
    for (int k = 0; k < Op::K; ++k) {
      more[k] = whole[k] + line[k][t + threads];
    }
  }
  ZNCC_UNROLL
  for (int k = 0; k < Op::K; ++k) {
    double prefix[kTilePerThread + 1];
    own_prefix<Op>(me, k, prefix);
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      const int part = (rest + j) % kTilePerThread, further = (rest + j) / kTilePerThread;
      const double until = further ? more[k] : whole[k];
      const bool begins = !kIsWide && part == 0;  // before the first column of a thread there is nothing
      S[j][k] = (begins ? until : until + line[k][part * kPart + t + threads + further]) - prefix[j];
    }
  }
}

template <typename Op>
ZNCC_HOST_DEVICE inline void window_sums_carefully(const Op& op, const typename Op::Shared& shared, int t, int turn,
                                                   int count, double (*S)[Op::K]) {
  const int w = static_cast<int>(op.w);
  ZNCC_UNROLL
  for (int j = 0; j < kTilePerThread; ++j) {
    ZNCC_UNROLL
    for (int k = 0; k < Op::K; ++k) {
      S[j][k] = 0.0;
      ZNCC_NO_UNROLL
      for (int i = t * kTilePerThread + j, end = j < count ? i + w : i; i < end; ++i) {
        S[j][k] += shared.line[turn][k][place(i)];
      }
    }
  }
}

// Of how many columns of the tile's result the thread computes the sums; negative for those behind the last one.
ZNCC_HOST_DEVICE inline int windows_of(const Tile& tile, int t) {
  const int left = tile.columns - t * kTilePerThread;
  return left < kTilePerThread ? left : kTilePerThread;
}

template <Way kWay, typename Op>
ZNCC_HOST_DEVICE inline void gather(const Op& op, typename Op::Shared& shared, int count, int t,
                                    typename Op::Thread& me, int turn) {
  double S[kTilePerThread][Op::K];
  if (kWay == Way::kCareful) {
    window_sums_carefully(op, shared, t, turn, count, S);
  } else if (kWay == Way::kWide) {
    window_sums<kWay, -1>(op, shared, t, turn, me, S);
  } else {
    static_assert(kTilePerThread == 4, "one case for each");
    switch (static_cast<int>(op.w) % kTilePerThread) {
      case 0:
        window_sums<kWay, 0>(op, shared, t, turn, me, S);
        break;
      case 1:
        window_sums<kWay, 1>(op, shared, t, turn, me, S);
        break;
      case 2:
        window_sums<kWay, 2>(op, shared, t, turn, me, S);
        break;
      default:
        window_sums<kWay, 3>(op, shared, t, turn, me, S);
    }
  }
  op.write(shared, me, me.result, count, S);
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

template <Way kWay, typename Op, typename Block>
ZNCC_HOST_DEVICE inline void sum_rows(const Op& op, Block& block, typename Op::Shared& shared, const Tile& tile) {
  block.alone([&](int t, auto& me) {
    op.begin(me);
    me.suspect = false;
    me.result = (tile.plane * op.grid.rows + tile.top) * op.grid.columns + tile.left + t * kTilePerThread;
    if (t < Op::K) {
      for (int line = 0; line < Op::kLines; ++line) {
        shared.line[line][t][place(kTileColumns)] = 0.0;
      }
    }
    if (kWay != Way::kCareful) {
      warm_up(op, shared, block.memory(), tile, t, me);
    }
  });
  int turn = 0, slot = static_cast<int>(op.h) - 1;
  for (int64_t y = tile.top; y < tile.bottom;
       ++y, turn = Op::kLines - 1 - turn, slot = slot + 1 < op.h ? slot + 1 : 0) {
    block.alone([&](int t, auto& me) {
      const int count = windows_of(tile, t);
      if (count > 0) {
        op.fetch(me, tile, y, t * kTilePerThread, me.result, count);
      }
    });
    if (kWay == Way::kCareful) {
      block.alone([&](int t, auto&) { march_carefully(op, shared, tile, y, t, turn); });
    } else {
      block.alone([&](int t, auto& me) { march(op, shared, block.memory(), slot, tile, y, t, me); });
      publish<kWay, Op>(block, shared, turn);
    }
    block.wait();
    block.alone([&](int t, auto& me) {
      const int count = windows_of(tile, t);
      if (count > 0) {
        gather<kWay>(op, shared, count, t, me, turn);
      }
      me.result += op.grid.columns;
    });
    if (Op::kLines == 1) {
      block.wait();
    }
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
  bool careful = false;
  if constexpr (!Op::kFinite) {
    careful = op.always_careful();
  }
  if (!careful) {
    if (op.w > kNarrowWindow) {
      sum_rows<Way::kWide>(op, block, shared, tile);
    } else {
      sum_rows<Way::kNarrow>(op, block, shared, tile);
    }
  }
  if constexpr (!Op::kFinite) {
    if (!careful) {
      block.each([&](int, auto& me) {
        if (me.suspect) {
          shared.suspect = 1;
        }
      });
      careful = shared.suspect && calls_for_care(op, block, shared, tile);
    }
    if (careful) {
      sum_rows<Way::kCareful>(op, block, shared, tile);
    }
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
    // A warp for each.
    for (int which = t / 32; which < count; which += kTileThreads / 32) {
      const Centre centre = centre_of_samples(space + which * kSamples);
      if (t % 32 == 0) {
        centres[which] = TileCentre<Map>(centre);
      }
    }
  });
}

}  // namespace zncc
