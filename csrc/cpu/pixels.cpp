// Moments of pixels, and single ones that stand out, on the CPU: pixels.h.
#include "pixels.h"

#include "box_sums.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace zncc {
namespace {

// Pixels that are worked on together: their numbers stay in the nearest cache.
constexpr int64_t kPixels = 256;

// out[x], of count: the pixel from `begin + x` on.
template <typename Pixel>
ZNCC_INLINE void load_doubles(const Pixel* pixels, int64_t count, double* out) {
  ZNCC_VECTOR_LOOP
  for (int64_t x = 0; x < count; ++x) {
    out[x] = static_cast<double>(pixels[x]);
  }
}

// Lane by lane, in an order that no instruction set changes: sums and squares of the distances from a centre, and extremes.
struct Sweep {
  Lanes sum[2] = {}, square[2] = {}, low[2], high[2];
  double centre;

  explicit Sweep(double centre) : centre(centre) {
    for (int half = 0; half < 2; ++half) {
      low[half] = high[half] = Lanes{} + centre;
    }
  }

  // Of count values, a multiple of eight.
  ZNCC_INLINE void add(const double* values, int64_t count) {
    for (int64_t x = 0; x < count; x += 8) {
      ZNCC_UNROLL_PLANES
      for (int half = 0; half < 2; ++half) {
        Lanes value;
        std::memcpy(&value, values + x + 4 * half, sizeof value);
        low[half] = value < low[half] ? value : low[half];
        high[half] = value > high[half] ? value : high[half];
        value -= centre;
        sum[half] += value;
        square[half] += value * value;
      }
    }
  }
};

ZNCC_INLINE double total_of(const Lanes* lanes) {
  const Lanes all = lanes[0] + lanes[1];
  return (all[0] + all[1]) + (all[2] + all[3]);
}

// The range of the eight neighbours of `count` pixels from `here` on, at most kPixels; rows are `stride` apart.
template <typename Map>
ZNCC_INLINE void range_of_neighbours(const Map* here, int64_t stride, int64_t count, Map* low, Map* high) {
  // Of three pixels in a column, and of the outer two.
  Map low_three[kPixels + 2], high_three[kPixels + 2], low_two[kPixels + 2], high_two[kPixels + 2];
  const Map *above = here - stride - 1, *level = here - 1, *below = here + stride - 1;
  ZNCC_VECTOR_LOOP
  for (int64_t x = 0; x < count + 2; ++x) {
    const Map a = above[x], b = below[x], c = level[x];
    const Map least = a < b ? a : b, most = a > b ? a : b;
    low_two[x] = least;
    high_two[x] = most;
    low_three[x] = least < c ? least : c;
    high_three[x] = most > c ? most : c;
  }
  ZNCC_VECTOR_LOOP
  for (int64_t x = 0; x < count; ++x) {
    const Map least = low_three[x] < low_three[x + 2] ? low_three[x] : low_three[x + 2];
    const Map most = high_three[x] > high_three[x + 2] ? high_three[x] : high_three[x + 2];
    low[x] = least < low_two[x + 1] ? least : low_two[x + 1];
    high[x] = most > high_two[x + 1] ? most : high_two[x + 1];
  }
}

// Whether a pixel and its eight neighbours count.
inline bool all_count(const uint8_t* here, int64_t stride) {
  for (const uint8_t* row : {here - stride, here, here + stride}) {
    if (!(row[-1] && row[0] && row[1])) {
      return false;
    }
  }
  return true;
}

template <typename Map>
ZNCC_INLINE void find_single_any(const SinglePixels& shape, const Map* image, int64_t first, int64_t last,
                                 std::vector<int64_t>* places) {
  const Map min_excess = static_cast<Map>(shape.min_excess), ranges = static_cast<Map>(shape.min_excess_ranges);
  for (int64_t y = std::max<int64_t>(first, 1); y < std::min(last, shape.height - 1); ++y) {
    for (int64_t begin = 1; begin < shape.width - 1; begin += kPixels) {
      const int64_t at = y * shape.width + begin, count = std::min(kPixels, shape.width - 1 - begin);
      const Map* here = image + at;
      Map low[kPixels], high[kPixels];
      range_of_neighbours(here, shape.width, count, low, high);
      int any = 0;
      for (int64_t x = 0; x < count; ++x) {
        const Map by_range = ranges * (high[x] - low[x]), excess = by_range > min_excess ? by_range : min_excess;
        any |= static_cast<int>(here[x] - high[x] > excess) | static_cast<int>(low[x] - here[x] > excess);
      }
      for (int64_t x = 0; any != 0 && x < count; ++x) {
        const Map by_range = ranges * (high[x] - low[x]), excess = by_range > min_excess ? by_range : min_excess;
        const bool bright = here[x] - high[x] > excess, dark = low[x] - here[x] > excess;
        if ((bright || dark) && (shape.mask == nullptr || all_count(shape.mask + at + x, shape.width))) {
          places->push_back(bright ? at + x : -1 - (at + x));
        }
      }
    }
  }
}

template <typename Map>
ZNCC_INLINE void clamp_any(int64_t height, int64_t width, const Map* image, Map* out, int64_t first, int64_t last) {
  for (int64_t y = first; y < last; ++y) {
    const Map* from = image + y * width;
    Map* to = out + y * width;
    if (y == 0 || y == height - 1 || width < 3) {
      std::copy_n(from, width, to);
      continue;
    }
    to[0] = from[0];
    to[width - 1] = from[width - 1];
    for (int64_t begin = 1; begin < width - 1; begin += kPixels) {
      const int64_t count = std::min(kPixels, width - 1 - begin);
      const Map* here = from + begin;
      Map* __restrict clamped = to + begin;
      Map low[kPixels], high[kPixels];
      range_of_neighbours(here, width, count, low, high);
      ZNCC_VECTOR_LOOP
      for (int64_t x = 0; x < count; ++x) {
        const Map raised = here[x] < low[x] ? low[x] : here[x];
        clamped[x] = raised > high[x] ? high[x] : raised;
      }
    }
  }
}

}  // namespace

template <typename Pixel>
Moments moments(const Pixel* pixels, const uint8_t* mask, const double* gaps, int64_t gap_count, uint8_t* counted,
                int64_t begin, int64_t end) {
  Moments out{};
  Sweep sweep(0.0);
  for (int64_t at = begin; at < end; at += kPixels) {
    const int64_t count = std::min(kPixels, end - at);
    double values[kPixels];
    load_doubles(pixels + at, count, values);
    uint8_t* __restrict ok = counted + at;
    if (mask != nullptr) {
      std::copy_n(mask + at, count, ok);
    } else {
      std::fill_n(ok, count, uint8_t(1));
    }
    if (std::is_floating_point<Pixel>::value) {
      // A difference of a finite number and itself is zero.
      for (int64_t x = 0; x < count; ++x) {
        ok[x] = values[x] - values[x] == 0.0 ? ok[x] : 0;
      }
    }
    for (int64_t gap = 0; gap < gap_count; ++gap) {
      const double value = gaps[gap];
      for (int64_t x = 0; x < count; ++x) {
        ok[x] = values[x] != value ? ok[x] : 0;
      }
    }
    const void* any = std::memchr(ok, 1, static_cast<size_t>(count));
    if (any == nullptr) {
      continue;
    }
    // The first pixel that counts is the centre: the squares about it are at most as many times those about the mean as
    // there are pixels, so that few digits are lost. In place of pixels that do not count it adds nothing.
    if (out.count == 0.0) {
      sweep = Sweep(values[static_cast<const uint8_t*>(any) - ok]);
    }
    const double centre = sweep.centre;
    int64_t here = count;
    if (std::memchr(ok, 0, static_cast<size_t>(count)) != nullptr) {
      here = 0;
      for (int64_t x = 0; x < count; ++x) {
        here += ok[x];
        values[x] = ok[x] != 0 ? values[x] : centre;
      }
    }
    std::fill(values + count, values + (count + 7) / 8 * 8, centre);
    sweep.add(values, (count + 7) / 8 * 8);
    out.count += static_cast<double>(here);
  }
  if (out.count > 0.0) {
    const double sum = total_of(sweep.sum);
    out.mean = sweep.centre + sum / out.count;
    out.squares = std::max(total_of(sweep.square) - sum * (sum / out.count), 0.0);
    out.low = out.high = sweep.centre;
    for (int lane = 0; lane < 4; ++lane) {
      out.low = std::min({out.low, sweep.low[0][lane], sweep.low[1][lane]});
      out.high = std::max({out.high, sweep.high[0][lane], sweep.high[1][lane]});
    }
  }
  return out;
}

template <typename Pixel>
void standardize(const Pixel* pixels, const uint8_t* mask, double mean, double factor, float* out, int64_t begin,
                 int64_t end) {
  if (mask == nullptr) {
    ZNCC_VECTOR_LOOP
    for (int64_t x = begin; x < end; ++x) {
      out[x] = static_cast<float>((static_cast<double>(pixels[x]) - mean) * factor);
    }
    return;
  }
  for (int64_t at = begin; at < end; at += kPixels) {
    const int64_t count = std::min(kPixels, end - at);
    double values[kPixels];
    load_doubles(pixels + at, count, values);
    const uint8_t* counts = mask + at;
    float* __restrict to = out + at;
    ZNCC_VECTOR_LOOP
    for (int64_t x = 0; x < count; ++x) {
      const float value = static_cast<float>((values[x] - mean) * factor);
      to[x] = counts[x] != 0 ? value : 0.0f;
    }
  }
}

#define ZNCC_PIXELS(Pixel)                                                                                    \
  template Moments moments(const Pixel*, const uint8_t*, const double*, int64_t, uint8_t*, int64_t, int64_t); \
  template void standardize(const Pixel*, const uint8_t*, double, double, float*, int64_t, int64_t);
ZNCC_PIXELS(uint8_t)
ZNCC_PIXELS(int16_t)
ZNCC_PIXELS(uint16_t)
ZNCC_PIXELS(int32_t)
ZNCC_PIXELS(float)
ZNCC_PIXELS(double)
#undef ZNCC_PIXELS

void find_single_pixels(const SinglePixels& shape, const float* image, int64_t first, int64_t last,
                        std::vector<int64_t>* places) {
  find_single_any(shape, image, first, last, places);
}

void find_single_pixels(const SinglePixels& shape, const double* image, int64_t first, int64_t last,
                        std::vector<int64_t>* places) {
  find_single_any(shape, image, first, last, places);
}

void without_single_pixels(int64_t height, int64_t width, const float* image, float* out, int64_t first, int64_t last) {
  clamp_any(height, width, image, out, first, last);
}

void without_single_pixels(int64_t height, int64_t width, const double* image, double* out, int64_t first,
                           int64_t last) {
  clamp_any(height, width, image, out, first, last);
}

}  // namespace zncc
