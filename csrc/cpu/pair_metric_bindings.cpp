// Schema and CPU kernel of the pair metric. Formulas: pair_metric.h.
#include "pair_metric.h"

#include "../tensors.h"

#include <algorithm>
#include <vector>

namespace zncc {
namespace {

// Coordinates are 32 bit indices.
constexpr int64_t kMaxSide = static_cast<int64_t>(kMaxCoordinate);

template <typename Map>
const Map* data_of(const std::optional<Tensor>& plane) {
  return plane ? plane->const_data_ptr<Map>() : nullptr;
}

void check_optional(const std::optional<Tensor>& plane, const char* name, int64_t numel, const Tensor& like,
                    ScalarType dtype) {
  if (plane) {
    ZNCC_CHECK(plane->numel() == numel, expected(name, plane->numel(), numel));
    ZNCC_CHECK(plane->scalar_type() == dtype && plane->is_contiguous() && plane->device() == like.device(),
               std::string(name) + " has another dtype, layout or device than expected");
  }
}

// box: left, top, right, bottom. eps: of f and of m, alpha, beta, second eps of f and of m, floor of v_m, kappa. cells: top, left,
// height, width, rows, columns, whether only windows inside count.
void pair_metric_cpu(const Tensor& fixed, const Tensor& knots, const Tensor& matrix, const std::optional<Tensor>& field,
                     int64_t degree, const Tensor& box, const std::optional<Tensor>& fixed_mask,
                     const std::optional<Tensor>& moving_mask, const std::optional<Tensor>& fixed_measured,
                     const std::optional<Tensor>& moving_measured, const std::optional<Tensor>& weight, int64_t window,
                     const Tensor& eps, const Tensor& cell_grid, int64_t step, bool projective, const Tensor& sums,
                     const std::optional<Tensor>& cells, const std::optional<Tensor>& scores,
                     const std::optional<Tensor>& curvature, const std::optional<Tensor>& z,
                     const std::optional<Tensor>& w, const std::optional<Tensor>& pixels) {
  ZNCC_CHECK(fixed.dim() == 2 && knots.dim() == 2 && fixed.is_contiguous() && knots.is_contiguous(),
             "fixed and knots must be contiguous, of shape (H, W)");
  ZNCC_CHECK(fixed.scalar_type() == knots.scalar_type(), "fixed and knots must have one dtype");
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
  }
  for (const auto& [numbers, count, name] : {std::tuple{&box, 4, "box"}, {&cell_grid, 7, "cell_grid"}}) {
    ZNCC_CHECK(numbers->numel() == count, expected(name, numbers->numel(), count));
    ZNCC_CHECK(numbers->scalar_type() == ScalarType::Long && numbers->is_contiguous(),
               std::string(name) + " must be int64");
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
  double* to_sums = sums.mutable_data_ptr<double>();
  double* to_cells = cells ? cells->mutable_data_ptr<double>() : nullptr;
  double* to_curvature = curvature ? curvature->mutable_data_ptr<double>() : nullptr;
  with_map_type(fixed, [&](auto type) {
    using Map = decltype(type);
    const PairMetricInput<Map> in{fixed.const_data_ptr<Map>(),   knots.const_data_ptr<Map>(),
                                  data_of<Map>(field),           data_of<uint8_t>(fixed_mask),
                                  data_of<Map>(moving_mask),     data_of<Map>(fixed_measured),
                                  data_of<Map>(moving_measured), data_of<Map>(weight)};
    const PairMetricOutput<Map> out{to_sums,
                                    to_cells,
                                    scores ? scores->mutable_data_ptr<double>() : nullptr,
                                    to_curvature,
                                    z ? z->mutable_data_ptr<Map>() : nullptr,
                                    w ? w->mutable_data_ptr<Map>() : nullptr,
                                    pixels ? pixels->mutable_data_ptr<Map>() : nullptr};
    const int64_t count = shape.grid().strips_of_plane();
    std::vector<std::vector<double>> partial(static_cast<size_t>(count));
    StripQueue strips(count);
    torch::stable::parallel_for(0, count, 1,
                                [&](int64_t, int64_t) { pair_metric(shape, in, out, strips, partial.data()); });
    add_partial_sums(shape, partial, to_sums, to_cells, to_curvature);
  });
}

}  // namespace
}  // namespace zncc

STABLE_TORCH_LIBRARY_FRAGMENT(zncc, m) {
  m.def(
      "pair_metric(Tensor fixed, Tensor knots, Tensor matrix, Tensor? field, int degree, Tensor box, Tensor? "
      "fixed_mask,"
      " Tensor? moving_mask, Tensor? fixed_measured, Tensor? moving_measured, Tensor? weight, int window, Tensor eps,"
      " Tensor cell_grid, int step, bool projective, Tensor(a!) sums, Tensor(b!)? cells, Tensor(c!)? scores,"
      " Tensor(d!)? curvature, Tensor(e!)? z, Tensor(f!)? w, Tensor(g!)? pixels) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(zncc, CPU, m) { m.impl("pair_metric", TORCH_BOX(&zncc::pair_metric_cpu)); }
