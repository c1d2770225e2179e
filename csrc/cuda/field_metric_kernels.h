// The kernels of the field metric on CUDA, one after another, and the memory between them. Formulas: field_metric.h.
//
//   WarpPixels           the warped moving image, where both are valid, both gradients, and the determinant of each pixel
//   AcrossBlocks         sums along the rows of the windows: of the images, then of the gradients, then of what is weighted
//   WeighPixels          sums down the windows; z, rho and c of each, and what c weights
//   ScorePixels          sums down the windows; scores and curvature of each pixel
//
// Sums are taken in float64, window by window, so that they forget nothing and no order is left to chance. The memory
// between the kernels is 144 bytes of a pixel.
#pragma once

#include "../field_metric.h"
#include "../field_metric_data.h"
#include "../mirrored.h"
#include "frame_blocks.h"

namespace zncc {

constexpr int kFieldImages = 6, kFieldGradients = 3, kFieldWeighted = 5;  // quantities that windows sum up

// Planes (H, W) but for the sums that blocks leave.
struct FieldPlanes {
  float *m, *k, *px, *py, *qx, *qy, *rho, *c;
  double *across, *gradients, *weighted;       // (quantities, H, W)
  double *of_pixels, *of_windows, *of_scores;  // (blocks, 2)
};

constexpr int kFieldFloats = 8, kFieldDoubles = kFieldImages + kFieldGradients + kFieldWeighted;

ZNCC_HOST_DEVICE inline int64_t field_floats(const FieldShape& shape) {
  return kFieldFloats * shape.height * shape.width;
}

ZNCC_HOST_DEVICE inline int64_t field_doubles(const FieldShape& shape) {
  return kFieldDoubles * shape.height * shape.width + 6 * blocks_of(shape.height, shape.width);
}

// Hands out memory of as many floats and doubles.
inline FieldPlanes field_planes(const FieldShape& shape, float* floats, double* doubles) {
  const int64_t size = shape.height * shape.width, blocks = blocks_of(shape.height, shape.width);
  double* sums = doubles + kFieldDoubles * size;
  return {floats,
          floats + size,
          floats + 2 * size,
          floats + 3 * size,
          floats + 4 * size,
          floats + 5 * size,
          floats + 6 * size,
          floats + 7 * size,
          doubles,
          doubles + kFieldImages * size,
          doubles + (kFieldImages + kFieldGradients) * size,
          sums,
          sums + 2 * blocks,
          sums + 4 * blocks};
}

// Two sums of a thread.
struct TwoSums {
  double first, second;
};

// What kernels that compute each pixel by itself are given.
struct FieldPixels {
  FieldShape shape;
  FieldInput in;
  FieldOutput out;
  FieldPlanes planes;
};

// Computes all pixels of the frame, and leaves two sums of each block: pixels.compute(y, x, sums) computes one pixel and
// adds to the sums.
template <typename Pixels>
struct PixelBlocks {
  using Shared = SumSpace;
  using Thread = TwoSums;

  Pixels pixels;  // FieldPixels
  double* sums;   // (blocks, 2)

  ZNCC_HOST_DEVICE int64_t count() const { return blocks_of(pixels.shape.height, pixels.shape.width); }

  template <typename Block>
  ZNCC_HOST_DEVICE void compute(Block& block, Shared& shared, int64_t index) const {
    block.alone([&](int t, TwoSums& me) {
      me = {0.0, 0.0};
      for_pixels(pixels.shape.height, pixels.shape.width, index, t,
                 [&](int64_t y, int64_t x) { pixels.compute(y, x, me); });
    });
    sum_over_block<2>(
        block, shared, [](const TwoSums& me, int k) { return k == 0 ? me.first : me.second; },
        [&](int k, double sum) { sums[2 * index + k] = sum; });
  }
};

struct WarpPixels : FieldPixels {
  ZNCC_HOST_DEVICE void compute(int64_t y, int64_t x, TwoSums& sums) const {
    const int64_t size = shape.height * shape.width, i = y * shape.width + x;
    const FieldPlace place = field_place(shape.M, static_cast<double>(x), static_cast<double>(y), bend(y, x),
                                         in.gradient[i], in.gradient[size + i]);
    // No number is less than any other: what is not finite is not valid.
    bool valid = place.depth > 0.0 && place.X >= shape.left && place.X <= shape.right && place.Y >= shape.top &&
                 place.Y <= shape.bottom;
    valid = valid && (!in.fixed_mask || in.fixed_mask[i]);
    valid = valid && (!in.moving_mask || is_valid(place.X, place.Y));
    planes.px[i] = place.px;
    planes.py[i] = place.py;
    planes.k[i] = valid ? 1.0f : 0.0f;
    out.pixels[(kFieldPlanes - 1) * size + i] = static_cast<float>(place.determinant);
    sums.first += valid && place.determinant < shape.least_determinant ? 1.0 : 0.0;
    sums.second += valid ? 1.0 : 0.0;
    float m = 0.0f, qx = 0.0f, qy = 0.0f;
    if (valid) {
      const int64_t column = static_cast<int64_t>(place.X), row = static_cast<int64_t>(place.Y);
      const CubicWeights a = cubic_weights(static_cast<float>(place.X - static_cast<double>(column)));
      const CubicWeights d = cubic_weights(static_cast<float>(place.Y - static_cast<double>(row)));
      float value[4], slope[4];
      ZNCC_UNROLL
      for (int n = 0; n < 4; ++n) {
        const int64_t from = mirrored(column - 1 + n, shape.moving_width);
        value[n] = slope[n] = 0.0f;
        ZNCC_UNROLL
        for (int j = 0; j < 4; ++j) {
          const float knot = in.knots[mirrored(row - 1 + j, shape.moving_height) * shape.moving_width + from];
          value[n] += knot * d.value[j];
          slope[n] += knot * d.slope[j];
        }
      }
      m = (value[0] * a.value[0] + value[1] * a.value[1]) + (value[2] * a.value[2] + value[3] * a.value[3]);
      qx = (value[0] * a.slope[0] + value[1] * a.slope[1]) + (value[2] * a.slope[2] + value[3] * a.slope[3]);
      qy = (slope[0] * a.value[0] + slope[1] * a.value[1]) + (slope[2] * a.value[2] + slope[3] * a.value[3]);
    }
    planes.m[i] = m;
    planes.qx[i] = qx;
    planes.qy[i] = qy;
  }

 private:
  // The weights of the nodes around a pixel of an axis, of which `first` becomes the first one.
  ZNCC_HOST_DEVICE CubicWeights nodes_around(int64_t pixel, int64_t nodes, int64_t& first) const {
    const double place = static_cast<double>(pixel) / shape.spacing;
    const int64_t cell = static_cast<int64_t>(place), last = nodes - 4;
    first = cell < last ? cell : last;
    CubicWeights w = cubic_weights(static_cast<float>(place - static_cast<double>(first)));
    const float spacing = static_cast<float>(shape.spacing);
    ZNCC_UNROLL
    for (int i = 0; i < 4; ++i) {
      w.slope[i] = w.slope[i] / spacing;
    }
    return w;
  }

  ZNCC_HOST_DEVICE FieldBend bend(int64_t y, int64_t x) const {
    int64_t row = 0, column = 0;
    const CubicWeights down = nodes_around(y, shape.rows, row), across = nodes_around(x, shape.columns, column);
    float of[2][3];
    ZNCC_UNROLL
    for (int axis = 0; axis < 2; ++axis) {
      const float* c = in.coefficients + (axis * shape.rows + row) * shape.columns + column;
      float value = 0.0f, by_x = 0.0f, by_y = 0.0f;
      ZNCC_UNROLL
      for (int i = 0; i < 4; ++i) {
        float along = 0.0f, slope = 0.0f;
        ZNCC_UNROLL
        for (int j = 0; j < 4; ++j) {
          along += down.value[j] * c[j * shape.columns + i];
          slope += down.slope[j] * c[j * shape.columns + i];
        }
        value += along * across.value[i];
        by_x += along * across.slope[i];
        by_y += slope * across.value[i];
      }
      of[axis][0] = value;
      of[axis][1] = by_x;
      of[axis][2] = by_y;
    }
    return {of[0][0], of[1][0], of[0][1], of[0][2], of[1][1], of[1][2]};
  }

  // Whether all pixels around a point of the moving image are valid.
  ZNCC_HOST_DEVICE bool is_valid(double X, double Y) const {
    const int64_t x = static_cast<int64_t>(X), y = static_cast<int64_t>(Y);
    const int64_t right = x + (X > static_cast<double>(x) && x + 1 < shape.moving_width ? 1 : 0);
    const int64_t bottom = y + (Y > static_cast<double>(y) && y + 1 < shape.moving_height ? 1 : 0);
    const float *top = in.moving_mask + y * shape.moving_width, *below = in.moving_mask + bottom * shape.moving_width;
    return top[x] > 0.0f && top[right] > 0.0f && below[x] > 0.0f && below[right] > 0.0f;
  }
};

// Sums `Of`'s quantities along the rows of the windows around the pixels; beyond the frame there are zeros.
template <typename Of>
struct AcrossBlocks {
  using Shared = Nothing;
  using Thread = Nothing;

  Of of;
  int64_t height, width, window;
  double* sums;  // (Of::kCount, height, width)

  ZNCC_HOST_DEVICE int64_t count() const { return blocks_of(height, width); }

  template <typename Block>
  ZNCC_HOST_DEVICE void compute(Block& block, Shared&, int64_t index) const {
    block.alone([&](int t, Thread&) {
      for_pixels(height, width, index, t, [&](int64_t y, int64_t x) {
        const int64_t r = window / 2, first = x < r ? 0 : x - r, last = x + r < width ? x + r : width - 1;
        double total[Of::kCount] = {};
        ZNCC_NO_UNROLL
        for (int64_t i = first; i <= last; ++i) {
          of.add(y * width + i, total);
        }
        ZNCC_UNROLL
        for (int n = 0; n < Of::kCount; ++n) {
          sums[(n * height + y) * width + x] = total[n];
        }
      });
    });
  }
};

struct OfImages {
  static constexpr int kCount = kFieldImages;
  const float *f, *m, *k;

  ZNCC_HOST_DEVICE void add(int64_t i, double* total) const {
    const double valid = static_cast<double>(k[i]), a = static_cast<double>(f[i]) * valid;
    const double b = static_cast<double>(m[i]);  // zero where not valid
    total[0] += valid;
    total[1] += a;
    total[2] += b;
    total[3] += a * a;
    total[4] += b * b;
    total[5] += a * b;
  }
};

struct OfGradients {
  static constexpr int kCount = kFieldGradients;
  const float *k, *px, *py, *qx, *qy;

  ZNCC_HOST_DEVICE void add(int64_t i, double* total) const {
    const double ax = static_cast<double>(px[i]), ay = static_cast<double>(py[i]);
    const double bx = static_cast<double>(qx[i]), by = static_cast<double>(qy[i]);  // zero where not valid
    total[0] += static_cast<double>(k[i]) * (ax * ax + ay * ay);
    total[1] += bx * bx + by * by;
    total[2] += ax * bx + ay * by;
  }
};

struct OfWeighted {
  static constexpr int kCount = kFieldWeighted;
  const double* of;
  int64_t size;

  ZNCC_HOST_DEVICE void add(int64_t i, double* total) const {
    ZNCC_UNROLL
    for (int n = 0; n < kCount; ++n) {
      total[n] += of[n * size + i];
    }
  }
};

// Sums kCount planes (height, width) of sums along rows down the window around a pixel.
template <int kCount>
ZNCC_HOST_DEVICE inline void sum_down(const double* planes, const FieldShape& shape, int64_t window, int64_t y,
                                      int64_t x, double* total) {
  const int64_t r = window / 2, first = y < r ? 0 : y - r, last = y + r < shape.height ? y + r : shape.height - 1;
  ZNCC_UNROLL
  for (int n = 0; n < kCount; ++n) {
    total[n] = 0.0;
  }
  ZNCC_NO_UNROLL
  for (int64_t row = first; row <= last; ++row) {
    ZNCC_UNROLL
    for (int n = 0; n < kCount; ++n) {
      total[n] += planes[(n * shape.height + row) * shape.width + x];
    }
  }
}

struct WeighPixels : FieldPixels {
  ZNCC_HOST_DEVICE void compute(int64_t y, int64_t x, TwoSums& sums) const {
    const int64_t size = shape.height * shape.width, i = y * shape.width + x;
    double S[kFieldImages], G[kFieldGradients];
    sum_down<kFieldImages>(planes.across, shape, shape.window, y, x, S);
    sum_down<kFieldGradients>(planes.gradients, shape, shape.wide, y, x, G);
    const double inverse_N = 1.0 / static_cast<double>(shape.window * shape.window);
    const double inverse = 1.0 / static_cast<double>(shape.wide * shape.wide);
    const FieldWindow window = field_window({S[0], S[1], S[2], S[3], S[4], S[5]}, inverse_N, shape.eps_f, shape.eps_m);
    const float rho = static_cast<float>(gradient_correlation(G[0] * inverse, G[1] * inverse, G[2] * inverse));
    const double weight = in.weight ? static_cast<double>(in.weight[i]) : 1.0;
    const float c = static_cast<float>(window_weight(window, static_cast<double>(rho), weight));
    const double by_f = 1.0 / sqrt(window.v_f), by_m = 1.0 / sqrt(window.v_m), by = static_cast<double>(c);
    const double t = by * (window.mean_f * by_f - window.mean_m * by_m);
    planes.rho[i] = rho;
    planes.c[i] = c;
    planes.weighted[i] = by * by_f * by_f;
    planes.weighted[size + i] = by * by_f * by_m;
    planes.weighted[2 * size + i] = by * by_m * by_m;
    planes.weighted[3 * size + i] = t * by_f;
    planes.weighted[4 * size + i] = t * by_m;
    sums.first += by;
    sums.second += by * window.z;
    if (out.maps) {
      out.maps[i] = static_cast<float>(window.z);
      out.maps[size + i] = c;
      out.maps[2 * size + i] = static_cast<float>(window.e * window_share(window));
      out.maps[3 * size + i] = planes.m[i];
      out.maps[4 * size + i] = planes.k[i];
    }
  }
};

struct ScorePixels : FieldPixels {
  ZNCC_HOST_DEVICE void compute(int64_t y, int64_t x, TwoSums& sums) const {
    const int64_t size = shape.height * shape.width, i = y * shape.width + x;
    double S[kFieldWeighted];
    sum_down<kFieldWeighted>(planes.across, shape, shape.window, y, x, S);
    const double scale = static_cast<double>(planes.k[i]) / static_cast<double>(shape.window * shape.window);
    const FieldScore told = field_score(
        {S[0] * scale, S[1] * scale, S[2] * scale, S[3] * scale, S[4] * scale},
        {in.fixed[i], planes.m[i], planes.px[i], planes.py[i], planes.qx[i], planes.qy[i], planes.rho[i], planes.c[i]});
    float* to = out.pixels + i;
    to[0] = static_cast<float>(told.x);
    to[size] = static_cast<float>(told.y);
    to[2 * size] = static_cast<float>(told.xx);
    to[3 * size] = static_cast<float>(told.xy);
    to[4 * size] = static_cast<float>(told.yy);
    to[5 * size] = static_cast<float>(told.residual);
    to[6 * size] = static_cast<float>(told.gx);
    to[7 * size] = static_cast<float>(told.gy);
    sums.first += told.without_rho;
    sums.second += told.with_rho;
  }
};

// Computes the field metric and its kFieldSums sums: run.blocks(op) runs one kernel each, in this order.
template <typename Run>
void field_metric(const FieldShape& shape, const FieldInput& in, const FieldOutput& out, const FieldPlanes& planes,
                  double* sums, Run& run) {
  const int64_t height = shape.height, width = shape.width, blocks = blocks_of(height, width);
  const FieldPixels pixels{shape, in, out, planes};
  run.blocks(PixelBlocks<WarpPixels>{{pixels}, planes.of_pixels});
  run.blocks(PartialSumsBlocks{planes.of_pixels, 1, blocks, 2, sums + 4});
  run.blocks(AcrossBlocks<OfImages>{{in.fixed, planes.m, planes.k}, height, width, shape.window, planes.across});
  run.blocks(AcrossBlocks<OfGradients>{
      {planes.k, planes.px, planes.py, planes.qx, planes.qy}, height, width, shape.wide, planes.gradients});
  run.blocks(PixelBlocks<WeighPixels>{{pixels}, planes.of_windows});
  run.blocks(PartialSumsBlocks{planes.of_windows, 1, blocks, 2, sums});
  run.blocks(AcrossBlocks<OfWeighted>{{planes.weighted, height * width}, height, width, shape.window, planes.across});
  run.blocks(PixelBlocks<ScorePixels>{{pixels}, planes.of_scores});
  run.blocks(PartialSumsBlocks{planes.of_scores, 1, blocks, 2, sums + 2});
}

}  // namespace zncc
