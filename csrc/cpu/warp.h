// Values of an image at the pixels of another frame.
//
//   knots    planes (C, Hm, Wm): the pixels themselves (degree 1), or what the spline filter makes of them (degree 3)
//   M        (3, 3), frame -> planes, acts on (x, y, 1) in pixels; the centre of the top left pixel is (0, 0)
//   u, v     where pixel (x, y) of the frame lies: the first two entries of M (x, y, 1) over the third
//   values   (C, H, W): sum over j, i of knots[j, i] b(v - j) b(u - i), b the B-spline of the degree: bilinear, or the
//            cubic spline through the pixels (Unser 1999, doi:10.1109/79.799930). The knots are mirrored at the planes'
//            first and last row and column.
//            Or (kLanczos) b(d) = sinc(d) sinc(d / 3) for |d| < 3, over the sum of the six weights, of the pixels.
//   depth    (H, W): min(u - left, right - u, v - top, bottom - v), cut to [0, 1]: how safely the point lies between the
//            outermost columns and rows that count
//
// The frame and the knots may be parts of larger ones: their first pixels have the places `frame` and `knots` there, which
// M, u, v and the box are about. The coordinates, and so the values, are the same to the last bit whatever the part.
//
// Coordinates are double. A point that is not finite, or farther away than kMaxCoordinate, has the value NaN and depth zero.
#pragma once

#include <cstdint>

namespace zncc {

constexpr double kMaxCoordinate = 1e9;  // pixels; what is farther has no index of its own

constexpr int64_t kLanczos = -3;

struct Place {
  int64_t column = 0, row = 0;
};

struct WarpShape {
  int64_t planes, height, width;  // of the knots
  int64_t frame_height, frame_width;
  int64_t degree;  // 1, 3 or kLanczos
  int64_t left, top, right, bottom;
  double M[9];
  Place frame, knots;
};

// Values and depth of the frame's rows [first, last).
void warp(const WarpShape& shape, const float* knots, float* values, float* depth, int64_t first, int64_t last);
void warp(const WarpShape& shape, const double* knots, double* values, double* depth, int64_t first, int64_t last);

// The knots of the cubic spline through the pixels of a plane: a recursive filter from either side along each axis, of a
// plane that is mirrored likewise. First along columns [first, last), from the plane into the knots; when all columns are
// done, along rows [first, last) of the knots, in place.
void knots_of_columns(int64_t height, int64_t width, const float* plane, float* knots, int64_t first, int64_t last);
void knots_of_columns(int64_t height, int64_t width, const double* plane, double* knots, int64_t first, int64_t last);
void knots_of_rows(int64_t width, float* knots, int64_t first, int64_t last);
void knots_of_rows(int64_t width, double* knots, int64_t first, int64_t last);

// Rows [first, last) of out (height, width): the sum over j, i in [-reach, reach] of weights[|j|] weights[|i|] times
// pixel (y + reach + j, x + reach + i) of a plane that is 2 reach larger either way. Every pixel is the same sum of the
// pixels around it, in the same order, wherever the plane was cut out of a larger one.
void weighted_sums(int64_t width, int64_t reach, const double* weights, const double* plane, double* out, int64_t first,
                   int64_t last);

}  // namespace zncc
