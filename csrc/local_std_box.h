// The direct path of the local standard deviation on the CPU. Formulas and NaN policy: local_std.h.
//
// One pass over the image in each direction, whose cost does not grow with the window. Nothing but the image and StdMap
// is needed for the gradient: S1 is computed again on the way. The image is taken less one of its own pixels, near the
// mean of the strip: whatever grid the pixels' values lie on, the differences lie on it too, and their sums in double
// are exact for 8 and 16 bit images.
//
// A strip of a plane (strips.h) is summed by running sums, and again with care where these would have remembered too
// much (cpu/box_sums.h): where a value is not finite, or a pixel is an outlier.
#pragma once

#include "strips.h"

namespace zncc {

// `planes` contiguous planes of height x width, and windows of h x w that fit into them.
struct LocalStdShape {
  int64_t planes, height, width, h, w;
  double eps;

  int64_t map_height() const { return height - h + 1; }
  int64_t map_width() const { return width - w + 1; }
  int64_t pixels() const { return planes * height * width; }
};

// Compute the strips of StdMap that are left in the queue, of all planes, cut as StripGrid(map_height, map_width, h).
void box_forward(const LocalStdShape& shape, const float* image, float* std, StripQueue& strips);
void box_forward(const LocalStdShape& shape, const double* image, double* std, StripQueue& strips);

// Compute the strips of the image's gradient that are left in the queue, cut as StripGrid(height, width, h).
void box_backward(const LocalStdShape& shape, const float* g, const float* image, const float* std, float* dI,
                  StripQueue& strips);
void box_backward(const LocalStdShape& shape, const double* g, const double* image, const double* std, double* dI,
                  StripQueue& strips);

// Compute the strips of the sums over all windows that are left in the queue, cut as those of StdMap; eps is not used.
void window_sums(const LocalStdShape& shape, const float* planes, float* sums, StripQueue& strips);
void window_sums(const LocalStdShape& shape, const double* planes, double* sums, StripQueue& strips);

}  // namespace zncc
