// What blocks of CUDA threads do for the local standard deviation, on the tiles of tile_sums.h. Formulas and NaN
// policy: local_std.h.
//
// Traffic in planes of the image's size (a copy is two), where the rows that leave a window are still in the cache:
//   StdTiles        reads I, writes StdMap, and M where a gradient will be wanted     2, 3
//   GradientTiles   reads g, StdMap, M, I, writes dI                                  5
// What is around a tile is read by its neighbours too: (h - 1) / strip and (w - 1) / width more.
//
//   M     half of what the mean of a window lies above one of its pixels, `about`; in the type of the image
//   q     g / (2 StdMap), and zero where Var was clamped
//   dI    2 (I (q (*) 1) - (q mean) (*) 1)
//
// dI is a small difference where a window's mean is far from the tile's centre, and a mean of the image's type would
// lose digits; M does not, because a window's pixels are about as far from their mean as the pixels of dI are. (Where
// that pixel alone is far from all others, so is StdMap from zero, and the window counts little.) Half, because twice the
// largest number of the type is infinite.
//
// Every tile has a centre of its own, near its pixels, which it takes off.
#pragma once

#include "vector_math.h"
#include "../local_std_box.h"
#include "tile_sums.h"

#include <type_traits>

namespace zncc {

template <int K, typename Map, int kLines = 2>
struct CentredShared : TileShared<K, kLines> {
  TileCentre<Map> centre;
};

// The pixel that a window's M is told from: near its middle, and where four can be read at once.
struct About {
  int64_t row, column;

  About(int64_t h, int64_t w) : row(h / 2), column(w / 2 / kTilePerThread * kTilePerThread) {}
};

template <typename Map>
struct StdTiles {
  static constexpr bool kFinite = false, kRemembers = false;
  static constexpr int K = 2, kBlocks = sizeof(Map) == 4 ? 5 : 4, kLines = 2;
  using Raw = Map;
  using Leaves = Map;
  using Shared = CentredShared<K, Map>;
  struct Thread : TileThread<K, Map> {
    Map about[kTilePerThread];
  };

  const Map* image;
  Map *std, *M;  // either may be null
  int64_t height, width, h, w, window_pitch;
  int pixels_at_once, maps_at_once;
  About about;
  double eps, half_inverse_N;
  WindowSize window;
  TileGrid grid;

  StdTiles(const LocalStdShape& shape, const Map* image, Map* std, Map* M)
      : image(image), std(std), M(M), height(shape.height), width(shape.width), h(shape.h), w(shape.w),
        window_pitch(h * width), pixels_at_once(elements_at_once(width, image)),
        maps_at_once(elements_at_once(shape.map_width(), std, M)), about(h, w), eps(shape.eps),
        half_inverse_N(0.5 / static_cast<double>(h * w)), window(h * w),
        grid(shape.planes, shape.map_height(), shape.map_width(), h, w, kBlocks) {}

  // There Var is zero to the last bit.
  ZNCC_HOST_DEVICE bool always_careful() const { return h * w == 1; }

  template <typename Block>
  ZNCC_HOST_DEVICE void prepare(Block& block, Shared& shared, const Tile& tile) const {
    find_centres(block, shared.line[0][0], &shared.centre, 1, [&](int i, int) {
      return static_cast<double>(image[index(tile, sample_row(i, tile.top, tile.bottom + h - 1),
                                             static_cast<int>(sample_column(i, 0, tile.columns + w - 1)))]);
    });
  }

  ZNCC_HOST_DEVICE int64_t pitch() const { return width; }

  ZNCC_HOST_DEVICE int64_t index(const Tile& tile, int64_t row, int x) const {
    return (tile.plane * height + row) * width + tile.left + x;
  }

  ZNCC_HOST_DEVICE void load(const Tile&, int64_t, int, int64_t at, int count, Raw* raw) const {
    load_four(image + at, pixels_at_once, count, raw);
  }

  ZNCC_HOST_DEVICE Map nothing(const Shared& shared) const { return shared.centre.pixel; }

  // a^2 - b^2 = (a - b) (a + b)
  ZNCC_HOST_DEVICE bool replace(const Shared& shared, const Map* enters, const Map* leaves, double (*column)[K]) const {
    bool suspect = false;
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      const double a = static_cast<double>(enters[j]) - shared.centre.value;
      const double b = static_cast<double>(leaves[j]) - shared.centre.value;
      column[j][0] += a - b;
      column[j][1] = std::fma(a - b, a + b, column[j][1]);
      suspect |= shared.centre.is_far(enters[j]);
    }
    return suspect;
  }

  ZNCC_HOST_DEVICE int met(const Shared& shared, const Tile& tile, int64_t row, int x) const {
    return met_pixel(image[index(tile, row, x)], shared.centre);
  }

  ZNCC_HOST_DEVICE void begin(Thread&) const {}

  ZNCC_HOST_DEVICE void fetch(Thread& me, const Tile& tile, int64_t y, int x, int64_t, int count) const {
    if (M) {
      const int64_t at = index(tile, y + about.row, x + static_cast<int>(about.column));
      load_four(image + at, pixels_at_once, count, me.about);
    }
  }

  ZNCC_HOST_DEVICE void write(const Shared& shared, Thread& me, int64_t at, int count, const double (*S)[K]) const {
    Map here[kTilePerThread];
    if (std) {
      ZNCC_UNROLL
      for (int j = 0; j < kTilePerThread; ++j) {
        here[j] = var_map<Map>(S[j][0], S[j][1], window, eps);
      }
      take_roots<kTilePerThread>(here);
      store_four(std + at, maps_at_once, count, here);
    }
    if (M) {
      ZNCC_UNROLL
      for (int j = 0; j < kTilePerThread; ++j) {
        const double about_here = static_cast<double>(me.about[j]) - shared.centre.value;
        here[j] = static_cast<Map>(S[j][0] * half_inverse_N - 0.5 * about_here);
      }
      store_four(M + at, maps_at_once, count, here);
    }
  }

  template <typename Block>
  ZNCC_HOST_DEVICE void finish(Block&, Shared&, const Tile&) const {}
};

// The tiles are of the image; window row i of pixel row y is row y - (h - 1) + i of the maps, without a gradient outside.
template <typename Map, bool kInMemory>
struct GradientTiles {
  static constexpr bool kFinite = false, kRemembers = kInMemory;
  static constexpr int K = 2, kBlocks = sizeof(Map) == 8 || kRemembers ? 3 : 4, kLines = kRemembers ? 1 : 2;
  struct Raw {
    Map g, std, M, about;
  };
  struct Terms {
    double q_mean;
    Map q;
  };
  using Leaves = std::conditional_t<kRemembers, Terms, Raw>;
  using Shared = CentredShared<K, Map, kLines>;
  struct Thread : TileThread<K, Raw, Leaves> {
    Map pixel[kTilePerThread];
  };

  const Map *g, *image, *std, *M;
  Map* dI;
  int64_t map_height, map_width, h, w, window_pitch;
  int maps_at_once, about_at_once, pixels_at_once;
  About about;
  Map floor;  // what StdMap is where Var was clamped
  TileGrid grid;

  GradientTiles(const LocalStdShape& shape, const Map* g, const Map* image, const Map* std, const Map* M, Map* dI)
      : g(g), image(image), std(std), M(M), dI(dI), map_height(shape.map_height()), map_width(shape.map_width()),
        h(shape.h), w(shape.w), window_pitch(h * map_width), about(h, w), floor(std::sqrt(static_cast<Map>(shape.eps))),
        grid(shape.planes, shape.height, shape.width, shape.h, shape.w, kBlocks) {
    const int64_t back = w - 1;
    maps_at_once = elements_at_once(map_width, g - back, std - back, M - back);
    about_at_once = elements_at_once(shape.width, image - back + about.column);
    pixels_at_once = elements_at_once(shape.width, image, dI);
  }

  ZNCC_HOST_DEVICE bool always_careful() const { return false; }

  template <typename Block>
  ZNCC_HOST_DEVICE void prepare(Block& block, Shared& shared, const Tile& tile) const {
    find_centres(block, shared.line[0][0], &shared.centre, 1, [&](int i, int) {
      const int64_t row = tile.plane * grid.rows + sample_row(i, tile.top, tile.bottom);
      return static_cast<double>(image[row * grid.columns + sample_column(i, tile.left, tile.left + tile.columns)]);
    });
  }

  ZNCC_HOST_DEVICE int64_t pitch() const { return map_width; }

  ZNCC_HOST_DEVICE int64_t index(const Tile& tile, int64_t row, int x) const {
    return (tile.plane * map_height + row - (h - 1)) * map_width + tile.left + x - (w - 1);
  }

  // Where a window lies in the maps, and the pixel that its M is told from in the image.
  struct Place {
    int64_t row, x, about;
  };

  ZNCC_HOST_DEVICE Place place_of(const Tile& tile, int64_t row, int x) const {
    const int64_t map_row = row - (h - 1), map_x = tile.left + x - (w - 1);
    const int64_t image_row = tile.plane * grid.rows + map_row + about.row;
    return {map_row, map_x, image_row * grid.columns + map_x + about.column};
  }

  ZNCC_HOST_DEVICE bool has_row(const Place& place) const { return place.row >= 0 && place.row < map_height; }

  ZNCC_HOST_DEVICE Raw load_one(bool has_it, const Place& place, int64_t at, int j) const {
    const bool here = has_it && place.x + j >= 0 && place.x + j < map_width;
    return here ? Raw{g[at + j], std[at + j], M[at + j], image[place.about + j]} : Raw{Map(0), Map(1), Map(0), Map(0)};
  }

  ZNCC_HOST_DEVICE void load(const Tile& tile, int64_t row, int x, int64_t at, int, Raw* raw) const {
    const Place place = place_of(tile, row, x);
    const bool inside = has_row(place);
    if (inside && place.x >= 0 && place.x + kTilePerThread <= map_width) {
      Map g_here[kTilePerThread], std_here[kTilePerThread], M_here[kTilePerThread], about_here[kTilePerThread];
      load_four(g + at, maps_at_once, kTilePerThread, g_here);
      load_four(std + at, maps_at_once, kTilePerThread, std_here);
      load_four(M + at, maps_at_once, kTilePerThread, M_here);
      load_four(image + place.about, about_at_once, kTilePerThread, about_here);
      ZNCC_UNROLL
      for (int j = 0; j < kTilePerThread; ++j) {
        raw[j] = {g_here[j], std_here[j], M_here[j], about_here[j]};
      }
      return;
    }
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      raw[j] = load_one(inside, place, at, j);
    }
  }

  ZNCC_HOST_DEVICE void keep(const Shared& shared, const Raw* raw, Terms* terms) const {
    Map g_here[kTilePerThread], divisor[kTilePerThread], quotient[kTilePerThread];
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      g_here[j] = raw[j].g;
      divisor[j] = 2 * raw[j].std;
    }
    quotients<kTilePerThread>(g_here, divisor, quotient);
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      const double about_here = static_cast<double>(raw[j].about) - shared.centre.value;
      const double mean = std::fma(2.0, static_cast<double>(raw[j].M), about_here);
      const Map q = unclamped(quotient[j], raw[j].std, floor);
      terms[j] = {static_cast<double>(q) * mean, q};
    }
  }

  ZNCC_HOST_DEVICE static Leaves nothing(const Shared&) {
    if constexpr (kRemembers) {
      return {0.0, Map(0)};
    } else {
      return {Map(0), Map(1), Map(0), Map(0)};
    }
  }

  // What is lost of q is lost of its product, too.
  ZNCC_HOST_DEVICE bool replace(const Shared&, const Terms* enters, const Terms* leaves, double (*column)[K]) const {
    bool suspect = false;
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      column[j][0] += enters[j].q_mean - leaves[j].q_mean;
      column[j][1] += static_cast<double>(enters[j].q) - static_cast<double>(leaves[j].q);
      suspect |= is_lost(enters[j].q_mean);
    }
    return suspect;
  }

  ZNCC_HOST_DEVICE bool replace(const Shared& shared, const Raw* enters, const Raw* leaves, double (*column)[K]) const {
    Terms in[kTilePerThread], out[kTilePerThread];
    keep(shared, enters, in);
    keep(shared, leaves, out);
    return replace(shared, in, out, column);
  }

  // Of each slot first q_mean; behind all of these q.
  int64_t memory_bytes() const { return h * kTileColumns * static_cast<int64_t>(sizeof(double) + sizeof(Map)); }

  ZNCC_HOST_DEVICE void recall(const unsigned char* memory, int slot, int t, Terms* four) const {
    const unsigned char* behind = memory + h * kTileColumns * sizeof(double);
    double q_mean[kTilePerThread];
    Map q[kTilePerThread];
    load_beside(reinterpret_cast<const double*>(memory) + slot * kTileColumns, t, q_mean);
    load_beside(reinterpret_cast<const Map*>(behind) + slot * kTileColumns, t, q);
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      four[j] = {q_mean[j], q[j]};
    }
  }

  ZNCC_HOST_DEVICE void remember(unsigned char* memory, int slot, int t, const Terms* four) const {
    unsigned char* behind = memory + h * kTileColumns * sizeof(double);
    double q_mean[kTilePerThread];
    Map q[kTilePerThread];
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      q_mean[j] = four[j].q_mean;
      q[j] = four[j].q;
    }
    store_beside(reinterpret_cast<double*>(memory) + slot * kTileColumns, t, q_mean);
    store_beside(reinterpret_cast<Map*>(behind) + slot * kTileColumns, t, q);
  }

  ZNCC_HOST_DEVICE int met(const Shared& shared, const Tile& tile, int64_t row, int x) const {
    const Place place = place_of(tile, row, x);
    const Raw one = load_one(has_row(place), place, index(tile, row, x), 0);
    const Raw ones[kTilePerThread] = {one, one, one, one};
    Terms here[kTilePerThread];
    keep(shared, ones, here);
    return is_lost(here[0].q_mean) ? kMetLost : 0;
  }

  ZNCC_HOST_DEVICE void begin(Thread&) const {}

  ZNCC_HOST_DEVICE void fetch(Thread& me, const Tile&, int64_t, int, int64_t at, int count) const {
    load_four(image + at, pixels_at_once, count, me.pixel);
  }

  ZNCC_HOST_DEVICE void write(const Shared& shared, Thread& me, int64_t at, int count, const double (*S)[K]) const {
    Map here[kTilePerThread];
    ZNCC_UNROLL
    for (int j = 0; j < kTilePerThread; ++j) {
      const double I = static_cast<double>(me.pixel[j]) - shared.centre.value;
      here[j] = static_cast<Map>(2.0 * (I * S[j][1] - S[j][0]));
    }
    store_four(dI + at, pixels_at_once, count, here);
  }

  template <typename Block>
  ZNCC_HOST_DEVICE void finish(Block&, Shared&, const Tile&) const {}
};

}  // namespace zncc
