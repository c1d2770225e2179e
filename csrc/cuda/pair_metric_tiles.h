// The windows of the pair metric on CUDA, on the tiles of tile_sums.h: what each window counts, what it explains of the
// curvature, and what the windows that hold a pixel say of it. Formulas: pair_metric.h. The images are finite and of about
// unit variance, so that no tile has a centre of its own or calls for care.
#pragma once

#include "pair_metric_pixels.h"
#include "tile_sums.h"

namespace zncc {

// What all of these tiles have in common.
struct FiniteTiles {
  static constexpr bool kFinite = true, kRemembers = false;
  static constexpr int kLines = 2;

  template <typename Block, typename Shared>
  ZNCC_HOST_DEVICE void prepare(Block&, Shared&, const Tile&) const {}

  template <typename Thread>
  ZNCC_HOST_DEVICE void begin(Thread&) const {}

  template <typename Block, typename Shared>
  ZNCC_HOST_DEVICE void finish(Block&, Shared&, const Tile&) const {}
};

// Tiles of the windows, which read planes of the frame.
struct WindowTiles : FiniteTiles {
  PairMetricShape shape;
  int64_t h, w, window_pitch;
  WindowSize window;
  TileGrid grid;

  WindowTiles(const PairMetricShape& shape, int blocks)
      : shape(shape), h(shape.h), w(shape.h), window_pitch(h * shape.width()), window(h * h),
        grid(1, shape.map_height(), shape.map_width(), h, h, blocks) {}

  ZNCC_HOST_DEVICE int64_t pitch() const { return shape.width(); }

  ZNCC_HOST_DEVICE int64_t index(const Tile& tile, int64_t row, int x) const {
    return row * shape.width() + tile.left + x;
  }
};

// Compares the windows: z, W e, the planes whose sums are the scores, and the sums over all windows.
template <typename Map>
struct CompareTiles : WindowTiles {
  // A thread's pixels and terms in double need the registers of another block.
  static constexpr int K = 5, kBlocks = sizeof(Map) == sizeof(float) ? 3 : 2, kTotals = 4;
  struct Raw {
    Map f, m;
  };
  using Leaves = Raw;
  using Shared = TileShared<K>;
  struct Thread : TileThread<K, Raw> {
    double totals[kTotals];  // of W, W e, W z, W e z
    Map W[kTilePerThread];
    bool counts;
  };

  const Map *f, *m;
  PairMetricPlanes<Map> planes;
  int pixels_at_once, maps_at_once, sums_at_once;

  CompareTiles(const PairMetricShape& shape, const Map* fixed, const PairMetricPlanes<Map>& planes)
      : WindowTiles(shape, kBlocks), f(fixed), m(planes.m), planes(planes),
        pixels_at_once(elements_at_once(shape.width(), f, m)),
        maps_at_once(elements_at_once(grid.columns, planes.W, planes.z, planes.w, planes.z2)),
        sums_at_once(elements_at_once(grid.columns, planes.A, planes.B, planes.C, planes.s, planes.contrast)) {}

  ZNCC_HOST_DEVICE void load(const Tile&, int64_t, int, int64_t at, int count, Raw* raw) const {
    Map f_here[kTilePerThread], m_here[kTilePerThread];
    load_four(f + at, pixels_at_once, count, f_here);
    load_four(m + at, pixels_at_once, count, m_here);
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      raw[j] = {f_here[j], m_here[j]};
    }
  }

  ZNCC_HOST_DEVICE Raw nothing(const Shared&) const { return {Map(0), Map(0)}; }

  // a^2 - b^2 = (a - b) (a + b)
  ZNCC_HOST_DEVICE bool replace(const Shared&, const Raw* enters, const Raw* leaves, double (*column)[K]) const {
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      const double f_in = static_cast<double>(enters[j].f), f_out = static_cast<double>(leaves[j].f);
      const double m_in = static_cast<double>(enters[j].m), m_out = static_cast<double>(leaves[j].m);
      double* sums = column[j];
      sums[0] += f_in - f_out;
      sums[1] += m_in - m_out;
      sums[2] = std::fma(f_in - f_out, f_in + f_out, sums[2]);
      sums[3] = std::fma(m_in - m_out, m_in + m_out, sums[3]);
      sums[4] = std::fma(f_in, m_in, std::fma(-f_out, m_out, sums[4]));
    }
    return false;
  }

  ZNCC_HOST_DEVICE void begin(Thread& me) const {
    ZNCC_UNROLL
    for (int k = 0; k < kTotals; ++k) {
      me.totals[k] = 0.0;
    }
  }

  ZNCC_HOST_DEVICE void fetch(Thread& me, const Tile& tile, int64_t y, int x, int64_t at, int count) const {
    load_four(planes.W + at, maps_at_once, count, me.W);
    me.counts = counts_at(shape, y, tile.left + x);
  }

  ZNCC_HOST_DEVICE void write(const Shared&, Thread& me, int64_t at, int count, const double (*S)[K]) const {
    const MetricWeights& by = shape.by;
    double A[kTilePerThread], B[kTilePerThread], C[kTilePerThread], s[kTilePerThread], contrast[kTilePerThread];
    Map z[kTilePerThread], w[kTilePerThread], z2[kTilePerThread];
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      const PairSums sums{S[j][0], S[j][1], S[j][2], S[j][3], S[j][4]};
      const ComparedWindow t = compared(sums, window, by);
      const double W = static_cast<double>(me.W[j]), counted = me.counts && j < count ? W : 0.0;
      me.totals[0] += counted;
      me.totals[1] += counted * t.e;
      me.totals[2] += counted * t.z;
      me.totals[3] += counted * t.e * t.z;
      z[j] = me.counts ? static_cast<Map>(t.z) : Map(0);
      w[j] = static_cast<Map>(counted * t.e);
      z2[j] = planes.z2 ? static_cast<Map>(second_zncc(t, by)) : Map(0);
      const ScoredWindow scores = scored(sums, t, W, window, by);
      A[j] = scores.A;
      B[j] = scores.B;
      C[j] = scores.C;
      s[j] = scores.s;
      contrast[j] = scores.s / (t.v_m > by.floor ? t.v_m : by.floor);
    }
    if (planes.z) {
      store_four(planes.z + at, maps_at_once, count, z);
      store_four(planes.w + at, maps_at_once, count, w);
    }
    if (planes.z2) {
      store_four(planes.z2 + at, maps_at_once, count, z2);
    }
    if (planes.A) {
      store_four(planes.A + at, sums_at_once, count, A);
      store_four(planes.B + at, sums_at_once, count, B);
      store_four(planes.C + at, sums_at_once, count, C);
    }
    if (planes.s) {
      store_four(planes.s + at, sums_at_once, count, s);
    }
    if (planes.contrast) {
      store_four(planes.contrast + at, sums_at_once, count, contrast);
    }
  }

  template <typename Block>
  ZNCC_HOST_DEVICE void finish(Block& block, Shared& shared, const Tile& tile) const {
    sum_over_block<kTotals>(
        block, *reinterpret_cast<SumSpace*>(shared.line), [](const Thread& me, int k) { return me.totals[k]; },
        [&](int k, double sum) { planes.totals[tile.index * kTotals + k] = sum; });
  }
};

// What a change of the windows' means and contrasts explains of the curvature: of each window the symmetric matrix by
// which, with the derivatives of (u, v), its part is made.
template <typename Map>
struct ExplainTiles : WindowTiles {
  static constexpr int K = 5, kBlocks = 2;
  struct Raw {
    Map m, gx, gy;
  };
  using Leaves = Raw;
  using Shared = TileShared<K>;
  struct Thread : TileThread<K, Raw> {
    double s[kTilePerThread], contrast[kTilePerThread];
  };

  PairMetricPlanes<Map> planes;
  int pixels_at_once, sums_at_once;

  ExplainTiles(const PairMetricShape& shape, const PairMetricPlanes<Map>& planes)
      : WindowTiles(shape, kBlocks), planes(planes),
        pixels_at_once(elements_at_once(shape.width(), planes.m, planes.gx, planes.gy)),
        sums_at_once(elements_at_once(grid.columns, planes.s, planes.contrast, planes.xx, planes.xy, planes.yy)) {}

  ZNCC_HOST_DEVICE void load(const Tile&, int64_t, int, int64_t at, int count, Raw* raw) const {
    Map m[kTilePerThread], gx[kTilePerThread], gy[kTilePerThread];
    load_four(planes.m + at, pixels_at_once, count, m);
    load_four(planes.gx + at, pixels_at_once, count, gx);
    load_four(planes.gy + at, pixels_at_once, count, gy);
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      raw[j] = {m[j], gx[j], gy[j]};
    }
  }

  ZNCC_HOST_DEVICE Raw nothing(const Shared&) const { return {Map(0), Map(0), Map(0)}; }

  ZNCC_HOST_DEVICE bool replace(const Shared&, const Raw* enters, const Raw* leaves, double (*column)[K]) const {
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      const double m_in = static_cast<double>(enters[j].m), m_out = static_cast<double>(leaves[j].m);
      const double x_in = static_cast<double>(enters[j].gx), x_out = static_cast<double>(leaves[j].gx);
      const double y_in = static_cast<double>(enters[j].gy), y_out = static_cast<double>(leaves[j].gy);
      double* sums = column[j];
      sums[0] += m_in - m_out;
      sums[1] += x_in - x_out;
      sums[2] += y_in - y_out;
      sums[3] = std::fma(x_in, m_in, std::fma(-x_out, m_out, sums[3]));
      sums[4] = std::fma(y_in, m_in, std::fma(-y_out, m_out, sums[4]));
    }
    return false;
  }

  ZNCC_HOST_DEVICE void fetch(Thread& me, const Tile& tile, int64_t y, int x, int64_t at, int count) const {
    load_four(planes.s + at, sums_at_once, count, me.s);
    load_four(planes.contrast + at, sums_at_once, count, me.contrast);
    const bool counts = counts_at(shape, y, tile.left + x);
    const int64_t centre = (y + h / 2) * shape.width() + tile.left + x + h / 2;
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      const bool measures = planes.measured && j < count;
      const double q = !counts ? 0.0 : measures ? static_cast<double>(planes.measured[centre + j]) : 1.0;
      me.s[j] *= q;
      me.contrast[j] *= q;
    }
  }

  ZNCC_HOST_DEVICE void write(const Shared&, Thread& me, int64_t at, int count, const double (*S)[K]) const {
    double xx[kTilePerThread], xy[kTilePerThread], yy[kTilePerThread];
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      const double S_m = S[j][0], S_x = S[j][1], S_y = S[j][2];
      const double by_mean = -me.s[j] * window.inverse_N, by_contrast = -me.contrast[j];
      const double k_x = S[j][3] - S_x * S_m * window.inverse_N, k_y = S[j][4] - S_y * S_m * window.inverse_N;
      xx[j] = by_mean * S_x * S_x + by_contrast * k_x * k_x;
      xy[j] = by_mean * S_x * S_y + by_contrast * k_x * k_y;
      yy[j] = by_mean * S_y * S_y + by_contrast * k_y * k_y;
    }
    store_four(planes.xx + at, sums_at_once, count, xx);
    store_four(planes.xy + at, sums_at_once, count, xy);
    store_four(planes.yy + at, sums_at_once, count, yy);
  }
};

// What the windows that hold a pixel say of it. The tiles are of the frame; window row i of pixel row y is row
// y - (h - 1) + i of the maps, zero outside.
template <typename Map, bool kShare>
struct DifferenceTiles : FiniteTiles {
  static constexpr int K = kShare ? 5 : 4, kBlocks = 2;
  struct Raw {
    double A, B, C, s;
    Map W;
  };
  using Leaves = Raw;
  using Shared = TileShared<K>;
  struct Thread : TileThread<K, Raw> {
    Map f[kTilePerThread], m[kTilePerThread], q[kTilePerThread];
  };

  const Map* fixed;
  PairMetricPlanes<Map> planes;
  int64_t map_height, map_width, h, w, window_pitch;
  WindowSize window;
  TileGrid grid;
  int maps_at_once, sums_at_once, pixels_at_once;

  DifferenceTiles(const PairMetricShape& shape, const Map* fixed, const PairMetricPlanes<Map>& planes)
      : fixed(fixed), planes(planes), map_height(shape.map_height()), map_width(shape.map_width()), h(shape.h),
        w(shape.h), window_pitch(h * map_width), window(h * h), grid(1, shape.height(), shape.width(), h, h, kBlocks),
        maps_at_once(elements_at_once(map_width, planes.W - (w - 1))),
        sums_at_once(elements_at_once(map_width, planes.A - (w - 1), planes.B - (w - 1), planes.C - (w - 1),
                                      kShare ? planes.s - (w - 1) : nullptr)),
        pixels_at_once(elements_at_once(shape.width(), fixed, planes.m, planes.measured, planes.D, planes.share)) {}

  ZNCC_HOST_DEVICE int64_t pitch() const { return map_width; }

  ZNCC_HOST_DEVICE int64_t index(const Tile& tile, int64_t row, int x) const {
    return (row - (h - 1)) * map_width + tile.left + x - (w - 1);
  }

  ZNCC_HOST_DEVICE void load(const Tile& tile, int64_t row, int x, int64_t at, int, Raw* raw) const {
    const int64_t map_row = row - (h - 1), map_x = tile.left + x - (w - 1);
    const bool inside = map_row >= 0 && map_row < map_height;
    if (inside && map_x >= 0 && map_x + kTilePerThread <= map_width) {
      double A[kTilePerThread], B[kTilePerThread], C[kTilePerThread], s[kTilePerThread] = {};
      Map W[kTilePerThread];
      load_four(planes.A + at, sums_at_once, kTilePerThread, A);
      load_four(planes.B + at, sums_at_once, kTilePerThread, B);
      load_four(planes.C + at, sums_at_once, kTilePerThread, C);
      load_four(planes.W + at, maps_at_once, kTilePerThread, W);
      if (kShare) {
        load_four(planes.s + at, sums_at_once, kTilePerThread, s);
      }
      ZNCC_UNROLL
      for (int j = 0; j < kTilePerThread; ++j) {
        raw[j] = {A[j], B[j], C[j], s[j], W[j]};
      }
      return;
    }
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      const bool has_it = inside && map_x + j >= 0 && map_x + j < map_width;
      raw[j] = has_it ? Raw{planes.A[at + j], planes.B[at + j], planes.C[at + j], kShare ? planes.s[at + j] : 0.0,
                            planes.W[at + j]}
                      : Raw{0.0, 0.0, 0.0, 0.0, Map(0)};
    }
  }

  ZNCC_HOST_DEVICE Raw nothing(const Shared&) const { return {0.0, 0.0, 0.0, 0.0, Map(0)}; }

  ZNCC_HOST_DEVICE bool replace(const Shared&, const Raw* enters, const Raw* leaves, double (*column)[K]) const {
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      double* sums = column[j];
      sums[0] += enters[j].A - leaves[j].A;
      sums[1] += enters[j].B - leaves[j].B;
      sums[2] += enters[j].C - leaves[j].C;
      sums[3] += (enters[j].W > Map(0) ? 1.0 : 0.0) - (leaves[j].W > Map(0) ? 1.0 : 0.0);
      if (kShare) {
        sums[K - 1] += enters[j].s - leaves[j].s;
      }
    }
    return false;
  }

  ZNCC_HOST_DEVICE void fetch(Thread& me, const Tile&, int64_t, int, int64_t at, int count) const {
    load_four(fixed + at, pixels_at_once, count, me.f);
    load_four(planes.m + at, pixels_at_once, count, me.m);
    if (planes.measured) {
      load_four(planes.measured + at, pixels_at_once, count, me.q);
    }
  }

  ZNCC_HOST_DEVICE void write(const Shared&, Thread& me, int64_t at, int count, const double (*S)[K]) const {
    Map D[kTilePerThread], share[kTilePerThread];
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      const double q = planes.measured ? static_cast<double>(me.q[j]) : 1.0;
      D[j] = static_cast<Map>(q * difference(static_cast<double>(me.f[j]), static_cast<double>(me.m[j]), S[j][0],
                                             S[j][1], S[j][2], S[j][3], window));
      share[j] = static_cast<Map>(q * S[j][K - 1]);
    }
    store_four(planes.D + at, pixels_at_once, count, D);
    if (kShare) {
      store_four(planes.share + at, pixels_at_once, count, share);
    }
  }
};

}  // namespace zncc
