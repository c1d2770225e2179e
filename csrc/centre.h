// What an image is centred by: one of its own pixels, near the mean of a few that lie scattered over a rectangle. CPU
// and CUDA kernels run these very lines.
#pragma once

#include "local_std.h"

#include <cfloat>
#include <cmath>
#include <cstdint>

namespace zncc {

// The square of a usual difference times this, times the rounding error of a double and the number of rows that it is
// remembered for, is 1e-7 of a usual variance.
constexpr double kOutlier = 16777216.0;

struct Centre {
  double value;   // a pixel near the mean
  double square;  // of a usual difference from it
};

constexpr int kSampleSide = 8;
constexpr int kSamples = kSampleSide * kSampleSide;

ZNCC_HOST_DEVICE inline bool is_finite(double value) { return value - value == 0.0; }

// The place of sample i in rows [top, bottom), and in columns [left, right).
ZNCC_HOST_DEVICE inline int64_t sample_row(int i, int64_t top, int64_t bottom) {
  return top + (bottom - top) * (2 * (i / kSampleSide) + 1) / (2 * kSampleSide);
}

ZNCC_HOST_DEVICE inline int64_t sample_column(int i, int64_t left, int64_t right) {
  // A step of 5/8 of the row from one line to the next, so that no line of pixels has too much weight.
  const int place = (2 * (i % kSampleSide) + 1 + 5 * (i / kSampleSide)) % (2 * kSampleSide);
  return left + (right - left) * place / (2 * kSampleSide);
}

// Samples, of which each lane of a warp looks at two; the CPU looks at all in the same order. What is asked of them is
// known to every lane.
struct Samples {
  static constexpr int kLanes = 32;
  const double* values;

  template <typename Of, typename Join>
  ZNCC_HOST_DEVICE double joined(const Of& of, const Join& join) const {
#ifdef __CUDA_ARCH__
    const int lane = static_cast<int>(threadIdx.x) % kLanes;
    double all = join(of(values[lane]), of(values[lane + kLanes]));
    ZNCC_UNROLL
    for (int distance = kLanes / 2; distance > 0; distance /= 2) {
      all = join(all, __shfl_xor_sync(0xffffffffu, all, distance));
    }
    return all;
#else
    double all[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) {
      all[lane] = join(of(values[lane]), of(values[lane + kLanes]));
    }
    for (int distance = kLanes / 2; distance > 0; distance /= 2) {
      for (int lane = 0; lane < distance; ++lane) {
        all[lane] = join(all[lane], all[lane + distance]);
      }
    }
    return all[0];
#endif
  }

  template <typename Of>
  ZNCC_HOST_DEVICE double sum(const Of& of) const {
    return joined(of, [](double a, double b) { return a + b; });
  }

  template <typename Of>
  ZNCC_HOST_DEVICE double least(const Of& of) const {
    return joined(of, [](double a, double b) { return b < a ? b : a; });
  }

  // The mean of those that are at most `limit` from `from`, and so are numbers.
  template <typename Of>
  ZNCC_HOST_DEVICE double mean_of_near(double from, double limit, const Of& of) const {
    const double count = sum([&](double value) { return std::fabs(value - from) <= limit ? 1.0 : 0.0; });
    return sum([&](double value) { return std::fabs(value - from) <= limit ? of(value) : 0.0; }) / count;
  }
};
static_assert(kSamples == 2 * Samples::kLanes, "two for each lane");

ZNCC_HOST_DEVICE inline Centre centre_of_samples(const double* values) {
  const Samples samples{values};
  // Twice: a sample that is itself an outlier would have all others look like usual ones.
  double from = 0.0, limit = DBL_MAX, mean = 0.0, spread = 0.0;
  ZNCC_NO_UNROLL
  for (int i = 0; i < 2; ++i) {
    mean = samples.mean_of_near(from, limit, [](double value) { return value; });
    if (!is_finite(mean)) {  // there are none
      return {0.0, 0.0};
    }
    spread = samples.mean_of_near(from, limit, [&](double value) { return std::fabs(value - mean); });
    from = mean;
    limit = 2.0 * spread;
  }
  const auto away = [&](double value) { return is_finite(value) ? std::fabs(value - mean) : HUGE_VAL; };
  const double nearest = samples.least(away);
  return {samples.least([&](double value) { return away(value) == nearest ? value : HUGE_VAL; }), spread * spread};
}

// Looks at rows [top, bottom) and columns [left, right), where pixel(row, x) is a pixel.
template <typename Pixel>
inline Centre centre_of(int64_t top, int64_t bottom, int64_t left, int64_t right, const Pixel& pixel) {
  double samples[kSamples];
  for (int i = 0; i < kSamples; ++i) {
    samples[i] = static_cast<double>(pixel(sample_row(i, top, bottom), sample_column(i, left, right)));
  }
  return centre_of_samples(samples);
}

// The map's index of the window about a pixel, or of the one nearest to that.
ZNCC_HOST_DEVICE inline int64_t window_about(int64_t row, int64_t x, int64_t map_height, int64_t map_width, int64_t h,
                                             int64_t w) {
  const int64_t y = row - h / 2, left = x - w / 2;
  const int64_t map_row = y < 0 ? 0 : y >= map_height ? map_height - 1 : y;
  const int64_t map_x = left < 0 ? 0 : left >= map_width ? map_width - 1 : left;
  return map_row * map_width + map_x;
}

// A pixel to take a sample of: no number, which counts for nothing, where the window about it has weight zero and the
// pixel may hold anything.
template <typename Map>
ZNCC_HOST_DEVICE inline double counted_pixel(Map pixel, bool counts) {
  return counts ? static_cast<double>(pixel) : static_cast<double>(NAN);
}

}  // namespace zncc
