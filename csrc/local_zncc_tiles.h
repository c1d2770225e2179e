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

#include "local_zncc.h"
#include "local_zncc_box.h"
#include "tile_sums.h"

namespace zncc {

template <typename Map>
struct PairTiles {
  static constexpr int K = 5, R = 1, kBlocks = 2;
  struct Raw {
    Map f, m;
  };
  struct Shared : TileShared<K, R> {
    Centre centres[4];  // of f and m, in the tile; and in the plane
  };
  struct Thread : TileThread<K> {
    double wz;
  };

  const Map *f, *m, *weight;  // weight may be null: one for every window
  Map* z;                     // null where it is not wanted
  double *partial;            // one sum for each tile
  double *A, *B, *C;          // null where no gradient is wanted
  int64_t height, width, h, w;
  double eps_f, eps_m;
  WindowSize window;
  TileGrid grid;

  PairTiles(const LocalZnccShape& shape, const LocalZnccData<Map>& data, double* partial, double* ABC)
      : f(data.f), m(data.m), weight(data.weight), z(data.z), partial(partial), A(ABC), B(nullptr), C(nullptr),
        height(shape.height), width(shape.width), h(shape.h), w(shape.w), eps_f(shape.eps_f), eps_m(shape.eps_m),
        window(shape.h * shape.w), grid(shape.planes, shape.map_height(), shape.map_width(), shape.h, shape.w) {
    if (ABC) {
      const int64_t maps = shape.planes * shape.map_height() * shape.map_width();
      B = ABC + maps;
      C = ABC + 2 * maps;
    }
  }

  // There Var is zero to the last bit.
  ZNCC_HOST_DEVICE bool always_careful() const { return h * w == 1; }

  template <typename Block>
  ZNCC_HOST_DEVICE void prepare(Block& block, Shared& shared, const Tile& tile) const {
    find_centres(block, shared.line[0], shared.centres, 4, [&](int i, int which) {
      // A window of one pixel has no gradient to the last bit, which a shift would not leave.
      const bool of_tile = which < 2 && h * w > 1;
      const int64_t row = of_tile ? sample_row(i, tile.top, tile.bottom + h - 1) : sample_row(i, 0, height);
      const int64_t x = of_tile ? tile.left + sample_column(i, 0, tile.columns + w - 1) : sample_column(i, 0, width);
      const int64_t at = (tile.plane * height + row) * width + x;
      const int64_t about = tile.plane * grid.rows * grid.columns + window_about(row, x, grid.rows, grid.columns, h, w);
      return counted_pixel(which % 2 == 0 ? f[at] : m[at], !weight || weight[about] != 0);
    });
  }

  ZNCC_HOST_DEVICE Raw load(const Tile& tile, int64_t row, int x) const {
    const int64_t at = (tile.plane * height + row) * width + tile.left + x;
    return {f[at], m[at]};
  }

  ZNCC_HOST_DEVICE void values(const Shared& shared, const Raw& raw, double* v) const {
    v[0] = static_cast<double>(raw.f) - shared.centres[0].value;
    v[1] = static_cast<double>(raw.m) - shared.centres[1].value;
    v[2] = v[0] * v[0];
    v[3] = v[1] * v[1];
    v[4] = v[0] * v[1];
  }

  ZNCC_HOST_DEVICE int met(const Shared& shared, const Raw& raw) const {
    const Centre *of_f = shared.centres, *of_m = shared.centres + 1;
    return met_pixel(raw.f, static_cast<double>(raw.f) - of_f->value, of_f->square) |
           met_pixel(raw.m, static_cast<double>(raw.m) - of_m->value, of_m->square);
  }

  ZNCC_HOST_DEVICE void begin(Thread& me) const { me.wz = 0.0; }

  ZNCC_HOST_DEVICE void write(const Shared& shared, Thread& me, const Tile& tile, int64_t row, int x,
                              const double* S) const {
    const int64_t at = (tile.plane * grid.rows + row) * grid.columns + tile.left + x;
    const double weight_here = weight ? static_cast<double>(weight[at]) : 1.0;
    const WindowTerms terms = window_terms({S[0], S[1], S[2], S[3], S[4]}, weight_here, window, eps_f, eps_m);
    me.wz += terms.wz;
    if (z) {
      z[at] = static_cast<Map>(terms.z);
    }
    if (A) {
      const Centre* c = shared.centres;
      A[at] = terms.A;
      B[at] = terms.B;
      C[at] = terms.C + (terms.A * (c[0].value - c[2].value) - terms.B * (c[1].value - c[3].value));
    }
  }

  // In a tree, so that the order does not depend on which thread comes first.
  template <typename Block>
  ZNCC_HOST_DEVICE void finish(Block& block, Shared& shared, const Tile& tile) const {
    double* sums = shared.line[0];
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
  static constexpr int K = 3, R = 1, kBlocks = 2;
  struct Raw {
    double A, B, C;
  };
  struct Shared : TileShared<K, R> {
    Centre centres[2];  // of f and m in the plane
  };
  using Thread = TileThread<K>;

  const Map *f, *m, *weight;
  const double *A, *B, *C;
  Map* dm;
  int64_t map_height, map_width, h, w;
  TileGrid grid;

  PairGradientTiles(const LocalZnccShape& shape, const LocalZnccData<Map>& data, const double* ABC)
      : f(data.f), m(data.m), weight(data.weight), A(ABC), B(ABC + shape.planes * shape.map_height() * shape.map_width()),
        C(ABC + 2 * shape.planes * shape.map_height() * shape.map_width()), dm(data.dm),
        map_height(shape.map_height()), map_width(shape.map_width()), h(shape.h), w(shape.w),
        grid(shape.planes, shape.height, shape.width, shape.h, shape.w) {}

  ZNCC_HOST_DEVICE bool always_careful() const { return h * w == 1; }

  template <typename Block>
  ZNCC_HOST_DEVICE void prepare(Block& block, Shared& shared, const Tile& tile) const {
    // Those of PairTiles, to the last bit.
    find_centres(block, shared.line[0], shared.centres, 2, [&](int i, int which) {
      const int64_t row = sample_row(i, 0, grid.rows), x = sample_column(i, 0, grid.columns);
      const int64_t at = (tile.plane * grid.rows + row) * grid.columns + x;
      const int64_t about = tile.plane * map_height * map_width + window_about(row, x, map_height, map_width, h, w);
      return counted_pixel(which == 0 ? f[at] : m[at], !weight || weight[about] != 0);
    });
  }

  ZNCC_HOST_DEVICE Raw load(const Tile& tile, int64_t row, int x) const {
    const int64_t map_row = row - (h - 1), map_x = tile.left + x - (w - 1);
    if (map_row < 0 || map_row >= map_height || map_x < 0 || map_x >= map_width) {
      return {0.0, 0.0, 0.0};
    }
    const int64_t at = (tile.plane * map_height + map_row) * map_width + map_x;
    return {A[at], B[at], C[at]};
  }

  ZNCC_HOST_DEVICE void values(const Shared&, const Raw& raw, double* v) const {
    v[0] = raw.A;
    v[1] = raw.B;
    v[2] = raw.C;
  }

  ZNCC_HOST_DEVICE int met(const Shared&, const Raw& raw) const {
    return is_finite(raw.A) && is_finite(raw.B) && is_finite(raw.C) ? 0 : kMetLost;
  }

  ZNCC_HOST_DEVICE void begin(Thread&) const {}

  ZNCC_HOST_DEVICE void write(const Shared& shared, Thread& me, const Tile& tile, int64_t row, int x,
                              const double* S) const {
    const int64_t at = (tile.plane * grid.rows + row) * grid.columns + tile.left + x;
    const double f_here = static_cast<double>(f[at]) - shared.centres[0].value;
    const double m_here = static_cast<double>(m[at]) - shared.centres[1].value;
    // A pixel that no window counts may hold anything, and there the sums must be zero to the last bit.
    me.met |= met_pixel(f[at], f_here, shared.centres[0].square) | met_pixel(m[at], m_here, shared.centres[1].square);
    dm[at] = pair_gradient<Map>(S[0], S[1], S[2], f_here, m_here);
  }

  template <typename Block>
  ZNCC_HOST_DEVICE void finish(Block&, Shared&, const Tile&) const {}
};

// Adds up the tiles of a plane, and leaves the sum in the first of the plane's pieces.
struct PartialSums {
  struct Shared {
    double sums[kTileThreads];
  };
  struct Thread {};

  const double* partial;
  int64_t tiles;  // of a plane
  double* pieces;
  int64_t pieces_of_plane;
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
    for (int64_t i = t; i < op.pieces_of_plane; i += kTileThreads) {
      op.pieces[plane * op.pieces_of_plane + i] = i == 0 ? shared.sums[0] : 0.0;
    }
  });
}

}  // namespace zncc
