// Pixels by themselves, on the CPU: standardized over those that count, and single ones that stand out. Images are planes
// (height, width), masks of one byte for each pixel: one where it counts, else zero.
//
// How strips and rows are shared out to threads changes no bit.
#pragma once

#include <cstdint>
#include <vector>

namespace zncc {

// What is known of a strip of pixels: of those that count, are finite and have none of the gaps' values.
constexpr int64_t kMomentsStrip = 1 << 15;  // pixels
struct Moments {
  double count, mean, low, high;  // zero where there is none
  double squares;                 // the sum of the squared distances from the mean
};

// Of pixels [begin, end), at most kMomentsStrip; writes which of them are counted.
template <typename Pixel>
Moments moments(const Pixel* pixels, const uint8_t* mask, const double* gaps, int64_t gap_count, uint8_t* counted,
                int64_t begin, int64_t end);

// (pixel - mean) factor where a pixel counts (everywhere without a mask), zero elsewhere; of pixels [begin, end).
template <typename Pixel>
void standardize(const Pixel* pixels, const uint8_t* mask, double mean, double factor, float* out, int64_t begin,
                 int64_t end);

// The darkest and the brightest of the eight neighbours are low and high; of rows [first, last). The outermost pixels of
// the image have no eight neighbours. Images are finite.
struct SinglePixels {
  int64_t height, width;
  double min_excess, min_excess_ranges;
  const uint8_t* mask;  // null where all count
};
// Appends the places y width + x where pixel - high > excess, and -1 less the places where low - pixel > excess, excess
// being the larger of min_excess and min_excess_ranges (high - low); where the pixel and its neighbours count.
void find_single_pixels(const SinglePixels& shape, const float* image, int64_t first, int64_t last,
                        std::vector<int64_t>* places);
void find_single_pixels(const SinglePixels& shape, const double* image, int64_t first, int64_t last,
                        std::vector<int64_t>* places);
// Pixels clamped to [low, high].
void without_single_pixels(int64_t height, int64_t width, const float* image, float* out, int64_t first, int64_t last);
void without_single_pixels(int64_t height, int64_t width, const double* image, double* out, int64_t first,
                           int64_t last);

}  // namespace zncc
