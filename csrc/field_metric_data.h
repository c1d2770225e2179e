// What the field metric reads and writes, on any device. Formulas: field_metric.h.
#pragma once

#include <cstdint>

namespace zncc {

constexpr int kFieldPlanes = 9;  // of FieldOutput::pixels
constexpr int kFieldMaps = 5;    // of FieldOutput::maps
constexpr int kFieldSums =
    6;  // sums of c, c z, traces of the curvature without and with rho, folded pixels, valid pixels

struct FieldShape {
  int64_t height, width;                // of the fixed frame
  int64_t moving_height, moving_width;  // of the knots
  int64_t rows, columns;                // of the coefficients
  double spacing;  // of their nodes, pixels of the frame; node (i, j) lies on ((i - 1), (j - 1)) times it
  double M[9];     // frame -> knots
  double left, top, right, bottom;  // the outermost columns and rows of the knots that count
  int64_t window, wide;             // sides of the windows of z and of rho, odd
  double eps_f, eps_m;
  double least_determinant;  // a pixel with less counts as folded
};

// Planes (H, W) of the frame but for knots and moving mask; nullptr where there is none.
struct FieldInput {
  const float *fixed, *gradient;  // gradient (2, H, W): of the fixed image by x and y
  const float *knots, *moving_mask;
  const uint8_t* fixed_mask;
  const float* coefficients;  // (2, rows, columns)
  const float* weight;        // of the windows around each pixel
};

// pixels (9, H, W): score by x and y, curvature by xx, xy and yy, the residual r_f sqrt(c / a), the fixed image's gradient
// times sqrt(a) by x and y, and the determinant of the Jacobian. maps (5, H, W): z, c, and e times
// the share of the window, the warped moving image, and k.
struct FieldOutput {
  float *pixels, *maps;
};

}  // namespace zncc
