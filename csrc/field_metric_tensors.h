// The field metric's tensors, checked, on any device: its bindings differ in what computes.
//
// On, a device: strips(shape), how many rows `sums` has, and compute(shape, in, out, sums, fixed).
#pragma once

#include "field_metric_data.h"
#include "tensors.h"

#include <algorithm>
#include <optional>
#include <string>

namespace zncc {

inline void check(const Tensor& tensor, const char* name, int64_t numel, ScalarType dtype, bool cpu = true) {
  ZNCC_CHECK(tensor.scalar_type() == dtype && tensor.is_contiguous() && tensor.is_cpu() == cpu,
             std::string(name) + " has another dtype, layout or device than expected");
  ZNCC_CHECK(tensor.numel() == numel, expected(name, tensor.numel(), numel));
}

inline void check(const std::optional<Tensor>& tensor, const char* name, int64_t numel, ScalarType dtype,
                  bool cpu = true) {
  if (tensor) {
    check(*tensor, name, numel, dtype, cpu);
  }
}

template <typename T>
const T* data(const std::optional<Tensor>& tensor) {
  return tensor ? tensor->const_data_ptr<T>() : nullptr;
}

// Nodes (rows, columns) for a frame: enough of them, or a pixel would have none.
inline void check_grid(int64_t height, int64_t width, int64_t rows, int64_t columns, double spacing) {
  ZNCC_CHECK(height > 0 && width > 0 && spacing > 0.0, "a frame must have pixels, and a spacing above zero");
  const auto covers = [=](int64_t pixels, int64_t nodes) {
    return nodes >= 4 && static_cast<double>(pixels - 1) <= static_cast<double>(nodes - 3) * spacing * (1.0 + 1e-9);
  };
  ZNCC_CHECK(covers(height, rows) && covers(width, columns), "the nodes must cover the frame");
}

// box: left, top, right, bottom. numbers: spacing, eps of f and of m, least determinant.
template <typename On>
void field_metric_of(const Tensor& fixed, const Tensor& gradient, const Tensor& knots, const Tensor& box,
                     const std::optional<Tensor>& fixed_mask, const std::optional<Tensor>& moving_mask,
                     const Tensor& matrix, const Tensor& coefficients, const std::optional<Tensor>& weight,
                     int64_t window, int64_t wide, const Tensor& numbers, const Tensor& sums, const Tensor& pixels,
                     const std::optional<Tensor>& maps) {
  ZNCC_CHECK(fixed.dim() == 2 && knots.dim() == 2 && coefficients.dim() == 3,
             "fixed and knots must have shape (H, W), coefficients (2, rows, columns)");
  const int64_t size = fixed.numel();
  const bool cpu = fixed.is_cpu();
  FieldShape shape{};
  shape.height = fixed.size(0);
  shape.width = fixed.size(1);
  shape.moving_height = knots.size(0);
  shape.moving_width = knots.size(1);
  shape.rows = coefficients.size(1);
  shape.columns = coefficients.size(2);
  check(fixed, "fixed", size, ScalarType::Float, cpu);
  check(gradient, "gradient", 2 * size, ScalarType::Float, cpu);
  check(knots, "knots", knots.numel(), ScalarType::Float, cpu);
  check(box, "box", 4, ScalarType::Double);
  check(fixed_mask, "fixed_mask", size, ScalarType::Byte, cpu);
  check(moving_mask, "moving_mask", knots.numel(), ScalarType::Float, cpu);
  check(matrix, "matrix", 9, ScalarType::Double);
  check(coefficients, "coefficients", 2 * shape.rows * shape.columns, ScalarType::Float, cpu);
  check(weight, "weight", size, ScalarType::Float, cpu);
  check(numbers, "numbers", 4, ScalarType::Double);
  check(pixels, "pixels", kFieldPlanes * size, ScalarType::Float, cpu);
  check(maps, "maps", kFieldMaps * size, ScalarType::Float, cpu);
  ZNCC_CHECK(window >= 1 && window % 2 == 1 && wide >= window && wide % 2 == 1,
             "windows must be odd, and the wide one wider");
  const double *sides = box.const_data_ptr<double>(), *by = numbers.const_data_ptr<double>();
  shape.left = sides[0];
  shape.top = sides[1];
  shape.right = sides[2];
  shape.bottom = sides[3];
  ZNCC_CHECK(shape.left >= 0.0 && shape.top >= 0.0 && shape.right <= static_cast<double>(shape.moving_width - 1) &&
                 shape.bottom <= static_cast<double>(shape.moving_height - 1),
             "the box must lie in the moving image");
  shape.spacing = by[0];
  shape.eps_f = by[1];
  shape.eps_m = by[2];
  shape.least_determinant = by[3];
  shape.window = window;
  shape.wide = wide;
  std::copy_n(matrix.const_data_ptr<double>(), 9, shape.M);
  check_grid(shape.height, shape.width, shape.rows, shape.columns, shape.spacing);
  check(sums, "sums", On::strips(shape) * kFieldSums, ScalarType::Double, cpu);
  const FieldInput in{fixed.const_data_ptr<float>(),
                      gradient.const_data_ptr<float>(),
                      knots.const_data_ptr<float>(),
                      data<float>(moving_mask),
                      data<uint8_t>(fixed_mask),
                      coefficients.const_data_ptr<float>(),
                      data<float>(weight)};
  const FieldOutput out{pixels.mutable_data_ptr<float>(), maps ? maps->mutable_data_ptr<float>() : nullptr};
  On::compute(shape, in, out, sums.mutable_data_ptr<double>(), fixed);
}

}  // namespace zncc
