// The arguments of zncc::pair_metric: their checks, and what its CPU and CUDA kernels make of them.
#pragma once

#include "pair_metric_data.h"
#include "tensors.h"

#include <algorithm>
#include <tuple>

namespace zncc {

// Coordinates are 32 bit indices.
constexpr int64_t kMaxSide = static_cast<int64_t>(kMaxCoordinate);

template <typename Map>
const Map* data_of(const std::optional<Tensor>& plane) {
  return plane ? plane->const_data_ptr<Map>() : nullptr;
}

template <typename T>
T* written(const std::optional<Tensor>& plane) {
  return plane ? plane->mutable_data_ptr<T>() : nullptr;
}

inline void check_optional(const std::optional<Tensor>& plane, const char* name, int64_t numel, const Tensor& like,
                           ScalarType dtype) {
  if (plane) {
    ZNCC_CHECK(plane->numel() == numel, expected(name, plane->numel(), numel));
    ZNCC_CHECK(plane->scalar_type() == dtype && plane->is_contiguous() && plane->device() == like.device(),
               std::string(name) + " has another dtype, layout or device than expected");
  }
}

// Checks the arguments of zncc::pair_metric, and calls Kernel::compute(shape, in, out, fixed).
// box: left, top, right, bottom. eps: of f and of m, alpha, beta, second eps of f and of m, floor of v_m, kappa. cells: top, left,
// height, width, rows, columns, whether only windows inside count.
template <typename Kernel>
void pair_metric_of(const Tensor& fixed, const Tensor& knots, const Tensor& matrix, const std::optional<Tensor>& field,
                    int64_t degree, const Tensor& box, const std::optional<Tensor>& fixed_mask,
                    const std::optional<Tensor>& moving_mask, const std::optional<Tensor>& fixed_measured,
                    const std::optional<Tensor>& moving_measured, const std::optional<Tensor>& weight, int64_t window,
                    const Tensor& eps, const Tensor& cell_grid, int64_t step, bool projective, const Tensor& sums,
                    const std::optional<Tensor>& cells, const std::optional<Tensor>& scores,
                    const std::optional<Tensor>& curvature, const std::optional<Tensor>& z,
                    const std::optional<Tensor>& w, const std::optional<Tensor>& pixels) {
  ZNCC_CHECK(fixed.dim() == 2 && knots.dim() == 2 && fixed.is_contiguous() && knots.is_contiguous(),
             "fixed and knots must be contiguous, of shape (H, W)");
  ZNCC_CHECK(
      fixed.scalar_type() == knots.scalar_type() && fixed.device() == knots.device() && fixed.device() == sums.device(),
      "fixed and knots must have one dtype, and be on one device with the sums");
  ZNCC_CHECK(degree == 1 || degree == 3, "the degree must be 1 or 3");
  ZNCC_CHECK(step >= 1, "the step must be positive");
  const int64_t height = fixed.size(0), width = fixed.size(1), map_size = (height - window + 1) * (width - window + 1);
  ZNCC_CHECK(window >= 1 && window <= height && window <= width, "the window must fit into the image");
  ZNCC_CHECK(knots.numel() > 0 && std::max({height, width, knots.size(0), knots.size(1)}) < kMaxSide,
             "there must be knots, not too many");
  const ScalarType map = fixed.scalar_type();
  for (const auto& [numbers, count, name] :
       {std::tuple{&matrix, 9, "matrix"}, {&eps, 8, "eps"}, {&sums, kSums, "sums"}}) {
    ZNCC_CHECK(numbers->numel() == count, expected(name, numbers->numel(), count));
    ZNCC_CHECK(numbers->scalar_type() == ScalarType::Double && numbers->is_contiguous(),
               std::string(name) + " must be double");
    ZNCC_CHECK(numbers->is_cpu() || numbers == &sums, std::string(name) + " must be on the CPU");
  }
  for (const auto& [numbers, count, name] : {std::tuple{&box, 4, "box"}, {&cell_grid, 7, "cell_grid"}}) {
    ZNCC_CHECK(numbers->numel() == count, expected(name, numbers->numel(), count));
    ZNCC_CHECK(numbers->scalar_type() == ScalarType::Long && numbers->is_contiguous() && numbers->is_cpu(),
               std::string(name) + " must be int64, on the CPU");
  }
  PairMetricShape shape{};
  shape.warp = {1, knots.size(0), knots.size(1), height, width, degree, 0, 0, 0, 0, {}, {}, {}};
  const int64_t *sides = box.const_data_ptr<int64_t>(), *grid = cell_grid.const_data_ptr<int64_t>();
  shape.warp.left = sides[0];
  shape.warp.top = sides[1];
  shape.warp.right = sides[2];
  shape.warp.bottom = sides[3];
  std::copy_n(matrix.const_data_ptr<double>(), 9, shape.warp.M);
  shape.h = window;
  const double* by = eps.const_data_ptr<double>();
  shape.by = {by[0], by[1], by[2], by[3], by[4], by[5], by[6], by[7]};
  shape.cells = {grid[0], grid[1], grid[2], grid[3], grid[4], grid[5], grid[6] != 0};
  ZNCC_CHECK(shape.cells.height > 0 && shape.cells.width > 0 && shape.cells.rows >= 0 && shape.cells.columns >= 0,
             "a cell must have a size");
  shape.step = step;
  shape.shift = tile_shift(step);
  shape.projective = projective;
  check_optional(field, "field", 2 * height * width, fixed, map);
  check_optional(fixed_mask, "fixed_mask", height * width, fixed, ScalarType::Byte);
  check_optional(moving_mask, "moving_mask", knots.numel(), fixed, map);
  check_optional(fixed_measured, "fixed_measured", height * width, fixed, map);
  check_optional(moving_measured, "moving_measured", knots.numel(), fixed, map);
  check_optional(weight, "weight", map_size, fixed, map);
  const int64_t blocks = shape.blocks_down() * shape.blocks_across();
  check_optional(cells, "cells", kCellPlanes * shape.cells.rows * shape.cells.columns, sums, ScalarType::Double);
  check_optional(scores, "scores", 9 * blocks, sums, ScalarType::Double);
  check_optional(curvature, "curvature", 81, sums, ScalarType::Double);
  check_optional(z, "z", map_size, fixed, map);
  check_optional(w, "w", map_size, fixed, map);
  check_optional(pixels, "pixels", 5 * height * width, fixed, map);
  ZNCC_CHECK(z.has_value() == w.has_value(), "z and w are written together");
  with_map_type(fixed, [&](auto type) {
    using Map = decltype(type);
    const PairMetricInput<Map> in{fixed.const_data_ptr<Map>(),   knots.const_data_ptr<Map>(),
                                  data_of<Map>(field),           data_of<uint8_t>(fixed_mask),
                                  data_of<Map>(moving_mask),     data_of<Map>(fixed_measured),
                                  data_of<Map>(moving_measured), data_of<Map>(weight)};
    const PairMetricOutput<Map> out{sums.mutable_data_ptr<double>(),
                                    written<double>(cells),
                                    written<double>(scores),
                                    written<double>(curvature),
                                    written<Map>(z),
                                    written<Map>(w),
                                    written<Map>(pixels)};
    Kernel::compute(shape, in, out, fixed);
  });
}

}  // namespace zncc
