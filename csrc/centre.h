// What an image is centred by: one of its own pixels, near the mean of a few that lie scattered over a rectangle. CPU
// and CUDA kernels run these very lines.
#pragma once

#include "local_std.h"

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

template <typename Map>
ZNCC_HOST_DEVICE inline Centre centre_of_samples(const Map* samples) {
  int count = 0;
  double sum = 0.0;
  for (int i = 0; i < kSamples; ++i) {
    const double value = static_cast<double>(samples[i]);
    count += is_finite(value) ? 1 : 0;
    sum += is_finite(value) ? value : 0.0;
  }
  if (count == 0) {
    return {0.0, 0.0};
  }
  const double mean = sum / count;
  double best = 0.0, nearest = HUGE_VAL, spread = 0.0;
  for (int i = 0; i < kSamples; ++i) {
    const double value = static_cast<double>(samples[i]), away = std::fabs(value - mean);
    if (is_finite(value)) {
      best = away < nearest ? value : best;
      nearest = away < nearest ? away : nearest;
      spread += away;
    }
  }
  spread /= count;
  return {best, spread * spread};
}

// Looks at rows [top, bottom) and columns [left, right).
template <typename Map>
inline Centre centre_of(const Map* image, int64_t width, int64_t top, int64_t bottom, int64_t left, int64_t right) {
  Map samples[kSamples];
  for (int i = 0; i < kSamples; ++i) {
    samples[i] = image[sample_row(i, top, bottom) * width + sample_column(i, left, right)];
  }
  return centre_of_samples(samples);
}

}  // namespace zncc
