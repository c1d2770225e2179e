// What blocks of CUDA threads do for the local standard deviation, on the tiles of tile_sums.h. Formulas and NaN
// policy: local_std.h.
//
// Traffic in planes of the image's size (a copy is two), where the rows that leave a window are still in the cache:
//   StdTiles        reads I, writes StdMap                                 2 in float, 2 in double
//   SumTiles        reads I, writes S1 in double                           3 in float, 2 in double
//   GradientTiles   reads g, StdMap, S1, I, writes dI                      6 in float, 5 in double
// Forward one copy, backward four and a half (float). S1 is kept in double: dI is the small difference of I box(q) and
// box(q mean). What is around a tile is read by its neighbours too: (h - 1) / strip and (w - 1) / width more.
//
// Every tile has a centre of its own, near its pixels. S1 goes from SumTiles to GradientTiles, whose tiles are others,
// and so is shifted to the centre of the plane.
#pragma once

#include "local_std_box.h"
#include "tile_sums.h"

namespace zncc {

template <int K, typename Map>
struct CentredShared : TileShared<K> {
  TileCentre<Map> centres[2];  // of the tile and of the plane
};

template <typename Map>
struct StdTiles {
  static constexpr int K = 2, kBlocks = sizeof(Map) == 4 ? 6 : 4;
  using Raw = Map;
  using Shared = CentredShared<K, Map>;
  using Thread = TileThread<K, Raw>;

  const Map* image;
  Map* std;
  int64_t height, width, h, w;
  double eps;
  WindowSize window;
  TileGrid grid;

  StdTiles(const LocalStdShape& shape, const Map* image, Map* std)
      : image(image), std(std), height(shape.height), width(shape.width), h(shape.h), w(shape.w), eps(shape.eps),
        window(shape.h * shape.w), grid(shape.planes, shape.map_height(), shape.map_width(), shape.h, shape.w, kBlocks) {}

  // There Var is zero to the last bit.
  ZNCC_HOST_DEVICE bool always_careful() const { return h * w == 1; }

  template <typename Block>
  ZNCC_HOST_DEVICE void prepare(Block& block, Shared& shared, const Tile& tile) const {
    find_centres(block, shared.line[0][0], shared.centres, 1, [&](int i, int) {
      return static_cast<double>(image[index(tile, sample_row(i, tile.top, tile.bottom + h - 1),
                                             static_cast<int>(sample_column(i, 0, tile.columns + w - 1)))]);
    });
  }

  ZNCC_HOST_DEVICE int64_t pitch() const { return width; }

  ZNCC_HOST_DEVICE int64_t index(const Tile& tile, int64_t row, int x) const {
    return (tile.plane * height + row) * width + tile.left + x;
  }

  ZNCC_HOST_DEVICE void load(const Tile&, int64_t, int, int64_t at, int count, Raw* raw) const {
    load_four(image + at, count, raw);
  }

  ZNCC_HOST_DEVICE void values(const Shared& shared, Raw raw, double* v) const {
    v[0] = static_cast<double>(raw) - shared.centres[0].value;
    v[1] = v[0] * v[0];
  }

  ZNCC_HOST_DEVICE bool suspect(const Shared& shared, Raw raw, const double*) const {
    return shared.centres[0].is_far(raw);
  }

  ZNCC_HOST_DEVICE int met(const Shared& shared, const Tile& tile, int64_t row, int x) const {
    return met_pixel(image[index(tile, row, x)], shared.centres[0]);
  }

  ZNCC_HOST_DEVICE void begin(Thread&) const {}

  ZNCC_HOST_DEVICE void fetch(Thread&, int, int64_t) const {}

  ZNCC_HOST_DEVICE void write(const Shared&, Thread&, int, int64_t at, const double* S) const {
    std[at] = std_map<Map>(S[0], S[1], window, eps);
  }

  template <typename Block>
  ZNCC_HOST_DEVICE void finish(Block&, Shared&, const Tile&) const {}
};

template <typename Map>
struct SumTiles {
  static constexpr int K = 1, kBlocks = sizeof(Map) == 4 ? 6 : 4;
  using Raw = Map;
  using Shared = CentredShared<K, Map>;
  using Thread = TileThread<K, Raw>;

  const Map* image;
  double* S1;
  int64_t height, width, h, w;
  TileGrid grid;

  SumTiles(const LocalStdShape& shape, const Map* image, double* S1)
      : image(image), S1(S1), height(shape.height), width(shape.width), h(shape.h), w(shape.w),
        grid(shape.planes, shape.map_height(), shape.map_width(), shape.h, shape.w, kBlocks) {}

  ZNCC_HOST_DEVICE bool always_careful() const { return h * w == 1; }

  template <typename Block>
  ZNCC_HOST_DEVICE void prepare(Block& block, Shared& shared, const Tile& tile) const {
    find_centres(block, shared.line[0][0], shared.centres, 2, [&](int i, int which) {
      const int64_t row = which == 0 ? sample_row(i, tile.top, tile.bottom + h - 1) : sample_row(i, 0, height);
      const int64_t x = which == 0 ? tile.left + sample_column(i, 0, tile.columns + w - 1) : sample_column(i, 0, width);
      return static_cast<double>(image[(tile.plane * height + row) * width + x]);
    });
  }

  ZNCC_HOST_DEVICE int64_t pitch() const { return width; }

  ZNCC_HOST_DEVICE int64_t index(const Tile& tile, int64_t row, int x) const {
    return (tile.plane * height + row) * width + tile.left + x;
  }

  ZNCC_HOST_DEVICE void load(const Tile&, int64_t, int, int64_t at, int count, Raw* raw) const {
    load_four(image + at, count, raw);
  }

  ZNCC_HOST_DEVICE void values(const Shared& shared, Raw raw, double* v) const {
    v[0] = static_cast<double>(raw) - shared.centres[0].value;
  }

  ZNCC_HOST_DEVICE bool suspect(const Shared& shared, Raw raw, const double*) const {
    return shared.centres[0].is_far(raw);
  }

  ZNCC_HOST_DEVICE int met(const Shared& shared, const Tile& tile, int64_t row, int x) const {
    return met_pixel(image[index(tile, row, x)], shared.centres[0]);
  }

  ZNCC_HOST_DEVICE void begin(Thread&) const {}

  ZNCC_HOST_DEVICE void fetch(Thread&, int, int64_t) const {}

  ZNCC_HOST_DEVICE void write(const Shared& shared, Thread&, int, int64_t at, const double* S) const {
    S1[at] = S[0] + static_cast<double>(h * w) * (shared.centres[0].value - shared.centres[1].value);
  }

  template <typename Block>
  ZNCC_HOST_DEVICE void finish(Block&, Shared&, const Tile&) const {}
};

// The tiles are of the image; window row i of pixel row y is row y - (h - 1) + i of the maps, without a gradient outside.
template <typename Map>
struct GradientTiles {
  static constexpr int K = 2, kBlocks = sizeof(Map) == 4 ? 4 : 3;
  struct Raw {
    Map g, std;
    double S1;
  };
  using Shared = CentredShared<K, Map>;
  struct Thread : TileThread<K, Raw> {
    Map pixel[kTilePerThread];
  };

  const Map *g, *image, *std;
  const double* S1;
  Map* dI;
  int64_t map_height, map_width, h, w;
  double eps;
  WindowSize window;
  TileGrid grid;

  GradientTiles(const LocalStdShape& shape, const Map* g, const Map* image, const Map* std, const double* S1, Map* dI)
      : g(g), image(image), std(std), S1(S1), dI(dI), map_height(shape.map_height()), map_width(shape.map_width()),
        h(shape.h), w(shape.w), eps(shape.eps), window(shape.h * shape.w),
        grid(shape.planes, shape.height, shape.width, shape.h, shape.w, kBlocks) {}

  ZNCC_HOST_DEVICE bool always_careful() const { return false; }

  template <typename Block>
  ZNCC_HOST_DEVICE void prepare(Block& block, Shared& shared, const Tile& tile) const {
    // That of SumTiles, to the last bit.
    find_centres(block, shared.line[0][0], shared.centres + 1, 1, [&](int i, int) {
      const int64_t row = tile.plane * grid.rows + sample_row(i, 0, grid.rows);
      return static_cast<double>(image[row * grid.columns + sample_column(i, 0, grid.columns)]);
    });
  }

  ZNCC_HOST_DEVICE int64_t pitch() const { return map_width; }

  ZNCC_HOST_DEVICE int64_t index(const Tile& tile, int64_t row, int x) const {
    return (tile.plane * map_height + row - (h - 1)) * map_width + tile.left + x - (w - 1);
  }

  ZNCC_HOST_DEVICE void load(const Tile& tile, int64_t row, int x, int64_t at, int, Raw* raw) const {
    const int64_t map_row = row - (h - 1), map_x = tile.left + x - (w - 1);
    const bool inside = map_row >= 0 && map_row < map_height;
    if (inside && map_x >= 0 && map_x + kTilePerThread <= map_width) {
      Map g_here[kTilePerThread], std_here[kTilePerThread];
      double S1_here[kTilePerThread];
      load_four(g + at, kTilePerThread, g_here);
      load_four(std + at, kTilePerThread, std_here);
      load_four(S1 + at, kTilePerThread, S1_here);
ZNCC_UNROLL
      for (int j = 0; j < kTilePerThread; ++j) {
        raw[j] = {g_here[j], std_here[j], S1_here[j]};
      }
      return;
    }
ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      const bool here = inside && map_x + j >= 0 && map_x + j < map_width;
      raw[j] = here ? Raw{g[at + j], std[at + j], S1[at + j]} : Raw{Map(0), Map(1), 0.0};
    }
  }

  ZNCC_HOST_DEVICE void values(const Shared&, const Raw& raw, double* v) const {
    const SumGradients d = sum_gradients<Map>(raw.g, raw.std, raw.S1, window, eps, 0.0);
    v[0] = d.dS1;
    v[1] = d.dS2;
  }

  // dS1 has dS2 for a factor, and is lost with it.
  ZNCC_HOST_DEVICE bool suspect(const Shared&, const Raw&, const double* v) const { return is_lost(v[0]); }

  ZNCC_HOST_DEVICE int met(const Shared& shared, const Tile& tile, int64_t row, int x) const {
    Raw raw[kTilePerThread];
    load(tile, row, x, index(tile, row, x), 1, raw);
    double v[K];
    values(shared, raw[0], v);
    return is_lost(v[0]) ? kMetLost : 0;
  }

  ZNCC_HOST_DEVICE void begin(Thread&) const {}

  ZNCC_HOST_DEVICE void fetch(Thread& me, int j, int64_t at) const { me.pixel[j] = image[at]; }

  ZNCC_HOST_DEVICE void write(const Shared& shared, Thread& me, int j, int64_t at, const double* S) const {
    dI[at] = image_gradient<Map>(S[0], S[1], static_cast<double>(me.pixel[j]) - shared.centres[1].value);
  }

  template <typename Block>
  ZNCC_HOST_DEVICE void finish(Block&, Shared&, const Tile&) const {}
};

}  // namespace zncc
