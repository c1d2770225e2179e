// What blocks of CUDA threads do for the summed local ZNCC, on the tiles of tile_sums.h. Formulas and NaN policy:
// local_zncc.h.
//
// Traffic in planes of the images' size (a copy is two), where the rows that leave a window are still in the cache:
//   PairTiles           reads f, m (and w), writes A, B, C in double       8 in float, 5 in double; 2 without a gradient
//   PairGradientTiles   reads A, B, C, f, m, writes dm                     9 in float, 6 in double
// Value alone one copy, with a gradient eight and a half (float). A, B, C are kept in double: dm is the small difference
// of f box(A) and m box(B) + box(C).
//
// Every tile has centres of its own, near its pixels. C goes from PairTiles to PairGradientTiles, whose tiles are
// others, and so is shifted to the centres of the plane. A block adds up its w z in an order of its own making, and the
// blocks of a plane are added up in theirs.
#pragma once

#include "../local_zncc.h"
#include "../local_zncc_box.h"
#include "tile_sums.h"

namespace zncc {

template <typename Map>
struct PairTiles {
  static constexpr bool kFinite = false, kRemembers = false;
  static constexpr int K = 5, kBlocks = kPairBlocks, kLines = 2;
  struct Raw {
    Map f, m;
  };
  using Leaves = Raw;
  struct Shared : TileShared<K> {
    TileCentre<Map> centres[4];  // of f and m, in the tile; and in the plane
  };
  struct Thread : TileThread<K, Raw> {
    double wz;
    Map weight[kTilePerThread];
  };

  const Map *f, *m, *weight;  // weight may be null: one for every window
  Map* z;                     // null where it is not wanted
  double* partial;            // one sum for each tile
  double *A, *B, *C;          // null where no gradient is wanted
  int64_t height, width, h, w, window_pitch;
  int pixels_at_once, maps_at_once, sums_at_once;
  double eps_f, eps_m;
  WindowSize window;
  TileGrid grid;

  PairTiles(const LocalZnccShape& shape, const LocalZnccData<Map>& data, double* partial, double* ABC)
      : f(data.f), m(data.m), weight(data.weight), z(data.z), partial(partial), A(ABC), B(nullptr), C(nullptr),
        height(shape.height), width(shape.width), h(shape.h), w(shape.w), window_pitch(h * width), eps_f(shape.eps_f),
        eps_m(shape.eps_m), window(shape.h * shape.w),
        grid(shape.planes, shape.map_height(), shape.map_width(), shape.h, shape.w, kBlocks) {
    if (ABC) {
      const int64_t maps = shape.planes * shape.map_height() * shape.map_width();
      B = ABC + maps;
      C = ABC + 2 * maps;
    }
    pixels_at_once = elements_at_once(width, f, m);
    maps_at_once = elements_at_once(grid.columns, weight, z);
    sums_at_once = elements_at_once(grid.columns, A, B, C);
  }

  // There Var is zero to the last bit.
  ZNCC_HOST_DEVICE bool always_careful() const { return h * w == 1; }

  template <typename Block>
  ZNCC_HOST_DEVICE void prepare(Block& block, Shared& shared, const Tile& tile) const {
    find_centres(block, shared.line[0][0], shared.centres, 4, [&](int i, int which) {
      // A window of one pixel has no gradient to the last bit, which a shift would not leave.
      const bool of_tile = which < 2 && h * w > 1;
      const int64_t row = of_tile ? sample_row(i, tile.top, tile.bottom + h - 1) : sample_row(i, 0, height);
      const int64_t x = of_tile ? tile.left + sample_column(i, 0, tile.columns + w - 1) : sample_column(i, 0, width);
      const int64_t at = (tile.plane * height + row) * width + x;
      const int64_t about = tile.plane * grid.rows * grid.columns + window_about(row, x, grid.rows, grid.columns, h, w);
      return counted_pixel(which % 2 == 0 ? f[at] : m[at], !weight || weight[about] != 0);
    });
  }

  ZNCC_HOST_DEVICE int64_t pitch() const { return width; }

  ZNCC_HOST_DEVICE int64_t index(const Tile& tile, int64_t row, int x) const {
    return (tile.plane * height + row) * width + tile.left + x;
  }

  ZNCC_HOST_DEVICE void load(const Tile&, int64_t, int, int64_t at, int count, Raw* raw) const {
    Map f_here[kTilePerThread], m_here[kTilePerThread];
    load_four(f + at, pixels_at_once, count, f_here);
    load_four(m + at, pixels_at_once, count, m_here);
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      raw[j] = {f_here[j], m_here[j]};
    }
  }

  ZNCC_HOST_DEVICE Raw nothing(const Shared& shared) const {
    return {shared.centres[0].pixel, shared.centres[1].pixel};
  }

  // a^2 - b^2 = (a - b) (a + b)
  ZNCC_HOST_DEVICE bool replace(const Shared& shared, const Raw* enters, const Raw* leaves, double (*column)[K]) const {
    const double c_f = shared.centres[0].value, c_m = shared.centres[1].value;
    bool suspect = false;
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      const double f_in = static_cast<double>(enters[j].f) - c_f, f_out = static_cast<double>(leaves[j].f) - c_f;
      const double m_in = static_cast<double>(enters[j].m) - c_m, m_out = static_cast<double>(leaves[j].m) - c_m;
      double* sums = column[j];
      sums[0] += f_in - f_out;
      sums[1] += m_in - m_out;
      sums[2] = std::fma(f_in - f_out, f_in + f_out, sums[2]);
      sums[3] = std::fma(m_in - m_out, m_in + m_out, sums[3]);
      sums[4] = std::fma(f_in, m_in, std::fma(-f_out, m_out, sums[4]));
      suspect |= shared.centres[0].is_far(enters[j].f) | shared.centres[1].is_far(enters[j].m);
    }
    return suspect;
  }

  ZNCC_HOST_DEVICE int met(const Shared& shared, const Tile& tile, int64_t row, int x) const {
    const int64_t at = index(tile, row, x);
    return met_pixel(f[at], shared.centres[0]) | met_pixel(m[at], shared.centres[1]);
  }

  ZNCC_HOST_DEVICE void begin(Thread& me) const { me.wz = 0.0; }

  ZNCC_HOST_DEVICE void fetch(Thread& me, const Tile&, int64_t, int, int64_t at, int count) const {
    if (weight) {
      load_four(weight + at, maps_at_once, count, me.weight);
      return;
    }
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      me.weight[j] = Map(1);
    }
  }

  ZNCC_HOST_DEVICE void write(const Shared& shared, Thread& me, int64_t at, int count, const double (*S)[K]) const {
    const TileCentre<Map>* c = shared.centres;
    double A_here[kTilePerThread], B_here[kTilePerThread], C_here[kTilePerThread];
    Map z_here[kTilePerThread];
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      const double weight_here = static_cast<double>(me.weight[j]);
      const PairSums sums{S[j][0], S[j][1], S[j][2], S[j][3], S[j][4]};
      const WindowTerms terms = window_terms(sums, weight_here, window, eps_f, eps_m);
      me.wz += j < count ? terms.wz : 0.0;
      z_here[j] = static_cast<Map>(terms.z);
      A_here[j] = terms.A;
      B_here[j] = terms.B;
      C_here[j] = terms.C + (terms.A * (c[0].value - c[2].value) - terms.B * (c[1].value - c[3].value));
    }
    if (z) {
      store_four(z + at, maps_at_once, count, z_here);
    }
    if (A) {
      store_four(A + at, sums_at_once, count, A_here);
      store_four(B + at, sums_at_once, count, B_here);
      store_four(C + at, sums_at_once, count, C_here);
    }
  }

  // In a tree, so that the order does not depend on which thread comes first.
  template <typename Block>
  ZNCC_HOST_DEVICE void finish(Block& block, Shared& shared, const Tile& tile) const {
    double* sums = shared.line[0][0];
    block.each([&](int t, auto& me) { sums[t] = me.wz; });
    for (int half = kTileThreads / 2; half > 0; half /= 2) {
      block.each([&](int t, auto&) {
        if (t < half) {
          sums[t] += sums[t + half];
        }
      });
    }
    block.each([&](int t, auto&) {
      if (t == 0) {
        partial[tile.index] = sums[0];
      }
    });
  }
};

// The tiles are of the images; window row i of pixel row y is row y - (h - 1) + i of the maps, zero outside.
template <typename Map>
struct PairGradientTiles {
  static constexpr bool kFinite = false, kRemembers = false;
  static constexpr int K = 3, kBlocks = 3, kLines = 2;
  struct Raw {
    double A, B, C;
  };
  using Leaves = Raw;
  struct Shared : TileShared<K> {
    TileCentre<Map> centres[2];  // of f and m in the plane
  };
  struct Thread : TileThread<K, Raw> {
    Map f[kTilePerThread], m[kTilePerThread];
  };

  const Map *f, *m, *weight;
  const double *A, *B, *C;
  Map* dm;
  int64_t map_height, map_width, h, w, window_pitch;
  int sums_at_once, pixels_at_once;
  TileGrid grid;

  PairGradientTiles(const LocalZnccShape& shape, const LocalZnccData<Map>& data, const double* ABC)
      : f(data.f), m(data.m), weight(data.weight), A(ABC),
        B(ABC + shape.planes * shape.map_height() * shape.map_width()),
        C(ABC + 2 * shape.planes * shape.map_height() * shape.map_width()), dm(data.dm), map_height(shape.map_height()),
        map_width(shape.map_width()), h(shape.h), w(shape.w), window_pitch(h * map_width),
        sums_at_once(elements_at_once(map_width, A - (w - 1), B - (w - 1), C - (w - 1))),
        pixels_at_once(elements_at_once(shape.width, f, m, dm)),
        grid(shape.planes, shape.height, shape.width, shape.h, shape.w, kBlocks) {}

  ZNCC_HOST_DEVICE bool always_careful() const { return h * w == 1; }

  template <typename Block>
  ZNCC_HOST_DEVICE void prepare(Block& block, Shared& shared, const Tile& tile) const {
    // Those of PairTiles, to the last bit.
    find_centres(block, shared.line[0][0], shared.centres, 2, [&](int i, int which) {
      const int64_t row = sample_row(i, 0, grid.rows), x = sample_column(i, 0, grid.columns);
      const int64_t at = (tile.plane * grid.rows + row) * grid.columns + x;
      const int64_t about = tile.plane * map_height * map_width + window_about(row, x, map_height, map_width, h, w);
      return counted_pixel(which == 0 ? f[at] : m[at], !weight || weight[about] != 0);
    });
  }

  ZNCC_HOST_DEVICE int64_t pitch() const { return map_width; }

  ZNCC_HOST_DEVICE int64_t index(const Tile& tile, int64_t row, int x) const {
    return (tile.plane * map_height + row - (h - 1)) * map_width + tile.left + x - (w - 1);
  }

  ZNCC_HOST_DEVICE bool has_row(int64_t map_row) const { return map_row >= 0 && map_row < map_height; }

  ZNCC_HOST_DEVICE Raw load_one(bool has_it, int64_t map_x, int64_t at) const {
    return has_it && map_x >= 0 && map_x < map_width ? Raw{A[at], B[at], C[at]} : Raw{0.0, 0.0, 0.0};
  }

  ZNCC_HOST_DEVICE void load(const Tile& tile, int64_t row, int x, int64_t at, int, Raw* raw) const {
    const int64_t map_x = tile.left + x - (w - 1);
    const bool inside = has_row(row - (h - 1));
    if (inside && map_x >= 0 && map_x + kTilePerThread <= map_width) {
      double A_here[kTilePerThread], B_here[kTilePerThread], C_here[kTilePerThread];
      load_four(A + at, sums_at_once, kTilePerThread, A_here);
      load_four(B + at, sums_at_once, kTilePerThread, B_here);
      load_four(C + at, sums_at_once, kTilePerThread, C_here);
      ZNCC_UNROLL
      for (int j = 0; j < kTilePerThread; ++j) {
        raw[j] = {A_here[j], B_here[j], C_here[j]};
      }
      return;
    }
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      raw[j] = load_one(inside, map_x + j, at + j);
    }
  }

  ZNCC_HOST_DEVICE Raw nothing(const Shared&) const { return {0.0, 0.0, 0.0}; }

  // C is the difference of multiples of A and of B, and is lost with either.
  ZNCC_HOST_DEVICE bool replace(const Shared&, const Raw* enters, const Raw* leaves, double (*column)[K]) const {
    bool suspect = false;
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      column[j][0] += enters[j].A - leaves[j].A;
      column[j][1] += enters[j].B - leaves[j].B;
      column[j][2] += enters[j].C - leaves[j].C;
      suspect |= is_lost(enters[j].C);
    }
    return suspect;
  }

  ZNCC_HOST_DEVICE int met(const Shared& shared, const Tile& tile, int64_t row, int x) const {
    const Raw one = load_one(has_row(row - (h - 1)), tile.left + x - (w - 1), index(tile, row, x));
    const int lost = is_lost(one.C) ? kMetLost : 0;
    if (row >= tile.bottom || x >= tile.columns) {
      return lost;
    }
    const int64_t at = (tile.plane * grid.rows + row) * grid.columns + tile.left + x;
    return lost | met_pixel(f[at], shared.centres[0]) | met_pixel(m[at], shared.centres[1]);
  }

  ZNCC_HOST_DEVICE void begin(Thread&) const {}

  ZNCC_HOST_DEVICE void fetch(Thread& me, const Tile&, int64_t, int, int64_t at, int count) const {
    load_four(f + at, pixels_at_once, count, me.f);
    load_four(m + at, pixels_at_once, count, me.m);
  }

  ZNCC_HOST_DEVICE void write(const Shared& shared, Thread& me, int64_t at, int count, const double (*S)[K]) const {
    Map here[kTilePerThread];
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      const double f_here = static_cast<double>(me.f[j]) - shared.centres[0].value;
      const double m_here = static_cast<double>(me.m[j]) - shared.centres[1].value;
      // A pixel that no window counts may hold anything, and there the sums must be zero to the last bit.
      me.suspect |= shared.centres[0].is_far(me.f[j]) | shared.centres[1].is_far(me.m[j]);
      here[j] = pair_gradient<Map>(S[j][0], S[j][1], S[j][2], f_here, m_here);
    }
    store_four(dm + at, pixels_at_once, count, here);
  }

  template <typename Block>
  ZNCC_HOST_DEVICE void finish(Block&, Shared&, const Tile&) const {}
};

// Adds up the tiles of a plane, and leaves the sum in the first of the plane's strips.
struct PartialSums {
  struct Shared {
    double sums[kTileThreads];
  };
  struct Thread {};

  const double* partial;
  int64_t tiles;  // of a plane
  double* strip_sums;
  int64_t strips_of_plane;
};

template <typename Block>
ZNCC_HOST_DEVICE inline void sum_partials(const PartialSums& op, Block& block, PartialSums::Shared& shared,
                                          int64_t plane) {
  block.each([&](int t, auto&) {
    double sum = 0.0;
    for (int64_t i = t; i < op.tiles; i += kTileThreads) {
      sum += op.partial[plane * op.tiles + i];
    }
    shared.sums[t] = sum;
  });
  for (int half = kTileThreads / 2; half > 0; half /= 2) {
    block.each([&](int t, auto&) {
      if (t < half) {
        shared.sums[t] += shared.sums[t + half];
      }
    });
  }
  block.each([&](int t, auto&) {
    for (int64_t i = t; i < op.strips_of_plane; i += kTileThreads) {
      op.strip_sums[plane * op.strips_of_plane + i] = i == 0 ? shared.sums[0] : 0.0;
    }
  });
}

}  // namespace zncc
