// What prepares images for a registration, on the CPU: planes (height, width) of pixels and masks of one byte each, one
// for a pixel that counts and zero for one that does not. Values of pixels that do not count are never used: they may be
// NaN.
//
// All of them work on rows, or on strips of pixels, for themselves: how these are shared out to threads changes no bit.
#pragma once

#include <cstdint>

namespace zncc {

// Rows [top, bottom) and columns [left, right).
struct Box {
  int64_t top, bottom, left, right;
};

// Returns whether the pixels of a mask that count are one rectangle, and which.
bool find_rectangle(int64_t height, int64_t width, const uint8_t* mask, Box* box);

// Means over the neighbours that count, by a kernel of 2 reach + 1 taps, positive and symmetric, of sum one, along each
// axis:
//
//   total(y, x)   the sum of taps[j] taps[i] over the pixels (y + j, x + i) that count
//   mean(y, x)    the sum of taps[j] taps[i] (pixel(y + j, x + i) - offset) over the same ones, by total, and offset
//
// (normalised convolution; Knutsson and Westin 1993, doi:10.1109/CVPR.1993.341081).
struct Kernel {
  int64_t reach;
  const double* taps;  // the first of them
};

struct SmoothShape {
  int64_t height, width;
  int64_t step;  // every step-th pixel of every step-th row is computed, from the first on
  Kernel kernel;
  double
      min_share;  // of the total, in a box along each axis: where there is less, the result does not count, and is zero
  const uint8_t* mask;  // null where the pixels of `box` count and no others
  Box box;

  int64_t out_height() const { return (height + step - 1) / step; }
  int64_t out_width() const { return (width + step - 1) / step; }
};

// Rows [first, last) of the mean where the pixel itself counts, and of the mask of the result.
void smooth(const SmoothShape& shape, const float* image, float* out, uint8_t* valid, int64_t first, int64_t last);
void smooth(const SmoothShape& shape, const double* image, double* out, uint8_t* valid, int64_t first, int64_t last);

// Rows [first, last) of an image, its pixels that do not count replaced by the mean; by offset where total is at most
// min_total.
struct FillShape {
  int64_t height, width;
  Kernel kernel;
  double min_total, offset;
  const uint8_t* mask;
};
void fill_holes(const FillShape& shape, const float* image, float* out, int64_t first, int64_t last);
void fill_holes(const FillShape& shape, const double* image, double* out, int64_t first, int64_t last);

// Rows [first, last) of an image, its pixels outside the box replaced by the nearest ones in it.
void replicate(int64_t width, const Box& box, const float* image, float* out, int64_t first, int64_t last);
void replicate(int64_t width, const Box& box, const double* image, double* out, int64_t first, int64_t last);

// A gap is a run of pixels that do not count, along a row or a column, with one that does at either end; its line runs
// straight from end to end.
struct GapShape {
  int64_t height, width;
  int64_t longest;  // gap that is filled, pixels
  const uint8_t* mask;
};
// Rows [first, last) of an image, its pixels in gaps replaced by the mean of their lines, weighted by the inverse squares
// of the gaps' lengths; and of the mask of the result. Return how many were replaced.
int64_t fill_gaps(const GapShape& shape, const float* image, float* out, uint8_t* valid, int64_t first, int64_t last);
int64_t fill_gaps(const GapShape& shape, const double* image, double* out, uint8_t* valid, int64_t first, int64_t last);

}  // namespace zncc
