// Schemas and CPU kernels of the field metric, of the normal equations of a B-spline field, and of banded matrices:
// field_metric.h, spline_system.h, banded.h. Tensors are contiguous; the last argument(s) are written.
#include "../tensors.h"
#include "banded.h"
#include "field_metric.h"
#include "spline_system.h"

#include <algorithm>

namespace zncc {
namespace {

void check(const Tensor& tensor, const char* name, int64_t numel, ScalarType dtype) {
  ZNCC_CHECK(tensor.scalar_type() == dtype && tensor.is_contiguous() && tensor.is_cpu(),
             std::string(name) + " has another dtype, layout or device than expected");
  ZNCC_CHECK(tensor.numel() == numel, expected(name, tensor.numel(), numel));
}

void check(const std::optional<Tensor>& tensor, const char* name, int64_t numel, ScalarType dtype) {
  if (tensor) {
    check(*tensor, name, numel, dtype);
  }
}

template <typename T>
const T* data(const std::optional<Tensor>& tensor) {
  return tensor ? tensor->const_data_ptr<T>() : nullptr;
}

// Nodes (rows, columns) for a frame: enough of them, or a pixel would have none.
void check_grid(int64_t height, int64_t width, int64_t rows, int64_t columns, double spacing) {
  ZNCC_CHECK(height > 0 && width > 0 && spacing > 0.0, "a frame must have pixels, and a spacing above zero");
  const auto covers = [=](int64_t pixels, int64_t nodes) {
    return nodes >= 4 && static_cast<double>(pixels - 1) <= static_cast<double>(nodes - 3) * spacing * (1.0 + 1e-9);
  };
  ZNCC_CHECK(covers(height, rows) && covers(width, columns), "the nodes must cover the frame");
}

// box: left, top, right, bottom. numbers: spacing, eps of f and of m, least determinant.
void field_metric_of(const Tensor& fixed, const Tensor& gradient, const Tensor& knots, const Tensor& box,
                     const std::optional<Tensor>& fixed_mask, const std::optional<Tensor>& moving_mask,
                     const Tensor& matrix, const Tensor& coefficients, const std::optional<Tensor>& weight,
                     int64_t window, int64_t wide, const Tensor& numbers, const Tensor& sums, const Tensor& pixels,
                     const std::optional<Tensor>& maps) {
  ZNCC_CHECK(fixed.dim() == 2 && knots.dim() == 2 && coefficients.dim() == 3,
             "fixed and knots must have shape (H, W), coefficients (2, rows, columns)");
  const int64_t size = fixed.numel();
  FieldShape shape{};
  shape.height = fixed.size(0);
  shape.width = fixed.size(1);
  shape.moving_height = knots.size(0);
  shape.moving_width = knots.size(1);
  shape.rows = coefficients.size(1);
  shape.columns = coefficients.size(2);
  check(fixed, "fixed", size, ScalarType::Float);
  check(gradient, "gradient", 2 * size, ScalarType::Float);
  check(knots, "knots", knots.numel(), ScalarType::Float);
  check(box, "box", 4, ScalarType::Double);
  check(fixed_mask, "fixed_mask", size, ScalarType::Byte);
  check(moving_mask, "moving_mask", knots.numel(), ScalarType::Float);
  check(matrix, "matrix", 9, ScalarType::Double);
  check(coefficients, "coefficients", 2 * shape.rows * shape.columns, ScalarType::Float);
  check(weight, "weight", size, ScalarType::Float);
  check(numbers, "numbers", 4, ScalarType::Double);
  check(pixels, "pixels", kFieldPlanes * size, ScalarType::Float);
  check(maps, "maps", kFieldMaps * size, ScalarType::Float);
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
  const int64_t count = field_grid(shape).strips_of_plane();
  check(sums, "sums", count * kFieldSums, ScalarType::Double);
  const FieldInput in{fixed.const_data_ptr<float>(),
                      gradient.const_data_ptr<float>(),
                      knots.const_data_ptr<float>(),
                      data<float>(moving_mask),
                      data<uint8_t>(fixed_mask),
                      coefficients.const_data_ptr<float>(),
                      data<float>(weight)};
  const FieldOutput out{pixels.mutable_data_ptr<float>(), maps ? maps->mutable_data_ptr<float>() : nullptr};
  double* to = sums.mutable_data_ptr<double>();
  StripQueue strips(count);
  torch::stable::parallel_for(0, count, 1, [&](int64_t, int64_t) { field_metric(shape, in, out, strips, to); });
}

int64_t field_metric_strips(int64_t height, int64_t width, int64_t wide) {
  FieldShape shape{};
  shape.height = height;
  shape.width = width;
  shape.wide = wide;
  return field_grid(shape).strips_of_plane();
}

void spline_adjoint_of(const Tensor& scores, int64_t height, int64_t width, double spacing, const Tensor& out) {
  ZNCC_CHECK(out.dim() == 3, "out must have shape (2, rows, columns)");
  const SplineGrid grid{height, width, out.size(1), out.size(2), spacing};
  check(scores, "scores", 2 * height * width, ScalarType::Float);
  check(out, "out", 2 * grid.rows * grid.columns, ScalarType::Double);
  check_grid(height, width, grid.rows, grid.columns, spacing);
  spline_adjoint(grid, scores.const_data_ptr<float>(), out.mutable_data_ptr<double>());
}

void spline_curvature_of(const Tensor& curvature, int64_t height, int64_t width, double spacing, const Tensor& out) {
  ZNCC_CHECK(out.dim() == 4, "out must have shape (25, 3, rows, columns)");
  const SplineGrid grid{height, width, out.size(2), out.size(3), spacing};
  check(curvature, "curvature", 3 * height * width, ScalarType::Float);
  check(out, "out", kStencil * 3 * grid.rows * grid.columns, ScalarType::Double);
  check_grid(height, width, grid.rows, grid.columns, spacing);
  spline_curvature(grid, curvature.const_data_ptr<float>(), out.mutable_data_ptr<double>());
}

int64_t conjugate_gradients_of(const Tensor& stencil, const Tensor& b, int64_t most, double tolerance,
                               const Tensor& x) {
  ZNCC_CHECK(x.dim() == 3, "x must have shape (2, rows, columns)");
  const int64_t rows = x.size(1), columns = x.size(2);
  check(stencil, "stencil", kStencil * 3 * rows * columns, ScalarType::Double);
  check(b, "b", 2 * rows * columns, ScalarType::Double);
  check(x, "x", 2 * rows * columns, ScalarType::Double);
  return conjugate_gradients(rows, columns, stencil.const_data_ptr<double>(), b.const_data_ptr<double>(),
                             x.mutable_data_ptr<double>(), most, tolerance);
}

void stencil_product_of(const Tensor& stencil, const Tensor& x, const Tensor& out) {
  ZNCC_CHECK(x.dim() == 3, "x must have shape (2, rows, columns)");
  const int64_t rows = x.size(1), columns = x.size(2);
  check(stencil, "stencil", kStencil * 3 * rows * columns, ScalarType::Double);
  check(x, "x", 2 * rows * columns, ScalarType::Double);
  check(out, "out", 2 * rows * columns, ScalarType::Double);
  stencil_product(rows, columns, stencil.const_data_ptr<double>(), x.const_data_ptr<double>(),
                  out.mutable_data_ptr<double>());
}

void stencil_band_of(const Tensor& stencil, const Tensor& form, double factor, const Tensor& out) {
  ZNCC_CHECK(form.dim() == 3 && form.size(1) >= 4 && form.size(2) >= 4, "form must have shape (25, rows, columns)");
  const int64_t rows = form.size(1), columns = form.size(2);
  check(stencil, "stencil", kStencil * 3 * rows * columns, ScalarType::Double);
  check(form, "form", kStencil * rows * columns, ScalarType::Double);
  check(out, "out", 2 * rows * columns * stencil_band_row(rows, columns), ScalarType::Double);
  stencil_band(rows, columns, stencil.const_data_ptr<double>(), form.const_data_ptr<double>(), factor,
               out.mutable_data_ptr<double>());
}

void lag_products_of(const Tensor& planes, int64_t step, const Tensor& out) {
  ZNCC_CHECK(planes.dim() == 3 && out.dim() == 2 && out.size(1) == 2 * out.size(0) - 1 && step >= 1,
             "planes must have shape (C, H, W), out (n + 1, 2 n + 1), and the step be positive");
  check(planes, "planes", planes.numel(), ScalarType::Float);
  check(out, "out", out.numel(), ScalarType::Double);
  lag_products(planes.size(0), planes.size(1), planes.size(2), out.size(0) - 1, step, planes.const_data_ptr<float>(),
               out.mutable_data_ptr<double>());
}

void shift_products_of(const Tensor& f, const Tensor& m, int64_t side, int64_t reach, const Tensor& out) {
  ZNCC_CHECK(f.dim() == 2 && side >= 1 && side % 2 == 1 && reach >= 0 && reach < 64,
             "f must have shape (H, W), the side be odd and the reach small");
  const int64_t height = f.size(0), width = f.size(1), shifts = 2 * reach + 1;
  check(f, "f", f.numel(), ScalarType::Float);
  check(m, "m", f.numel(), ScalarType::Float);
  check(out, "out", shifts * shifts * shift_windows(height) * shift_windows(width), ScalarType::Float);
  shift_products(height, width, side, reach, f.const_data_ptr<float>(), m.const_data_ptr<float>(),
                 out.mutable_data_ptr<float>());
}

void check_band(const Tensor& matrix) {
  ZNCC_CHECK(matrix.dim() == 2 && matrix.size(1) >= 1, "a banded matrix must have shape (n, width + 1)");
  check(matrix, "a banded matrix", matrix.numel(), ScalarType::Double);
}

int64_t banded_cholesky_of(const Tensor& matrix) {
  check_band(matrix);
  return banded_cholesky(matrix.size(0), matrix.size(1) - 1, matrix.mutable_data_ptr<double>()) ? 1 : 0;
}

void banded_solve_of(const Tensor& factor, const Tensor& b) {
  check_band(factor);
  check(b, "b", factor.size(0), ScalarType::Double);
  banded_solve(factor.size(0), factor.size(1) - 1, factor.const_data_ptr<double>(), b.mutable_data_ptr<double>());
}

void banded_inverse_of(const Tensor& factor, const Tensor& out) {
  check_band(factor);
  check(out, "out", factor.numel(), ScalarType::Double);
  banded_inverse(factor.size(0), factor.size(1) - 1, factor.const_data_ptr<double>(), out.mutable_data_ptr<double>());
}

}  // namespace
}  // namespace zncc

STABLE_TORCH_LIBRARY_FRAGMENT(zncc, m) {
  m.def(
      "field_metric(Tensor fixed, Tensor gradient, Tensor knots, Tensor box, Tensor? fixed_mask, Tensor? moving_mask,"
      " Tensor matrix, Tensor coefficients, Tensor? weight, int window, int wide, Tensor numbers, Tensor(a!) sums,"
      " Tensor(b!) pixels, Tensor(c!)? maps) -> ()");
  m.def("field_metric_strips(int height, int width, int wide) -> int");
  m.def("spline_adjoint(Tensor scores, int height, int width, float spacing, Tensor(a!) out) -> ()");
  m.def("spline_curvature(Tensor curvature, int height, int width, float spacing, Tensor(a!) out) -> ()");
  m.def("conjugate_gradients(Tensor stencil, Tensor b, int most, float tolerance, Tensor(a!) x) -> int");
  m.def("stencil_product(Tensor stencil, Tensor x, Tensor(a!) out) -> ()");
  m.def("stencil_band(Tensor stencil, Tensor form, float factor, Tensor(a!) out) -> ()");
  m.def("lag_products(Tensor planes, int step, Tensor(a!) out) -> ()");
  m.def("shift_products(Tensor f, Tensor m, int side, int reach, Tensor(a!) out) -> ()");
  m.def("banded_cholesky(Tensor(a!) matrix) -> int");
  m.def("banded_solve(Tensor factor, Tensor(a!) b) -> ()");
  m.def("banded_inverse(Tensor factor, Tensor(a!) out) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(zncc, CPU, m) {
  m.impl("field_metric", TORCH_BOX(&zncc::field_metric_of));
  m.impl("spline_adjoint", TORCH_BOX(&zncc::spline_adjoint_of));
  m.impl("spline_curvature", TORCH_BOX(&zncc::spline_curvature_of));
  m.impl("conjugate_gradients", TORCH_BOX(&zncc::conjugate_gradients_of));
  m.impl("stencil_product", TORCH_BOX(&zncc::stencil_product_of));
  m.impl("stencil_band", TORCH_BOX(&zncc::stencil_band_of));
  m.impl("lag_products", TORCH_BOX(&zncc::lag_products_of));
  m.impl("shift_products", TORCH_BOX(&zncc::shift_products_of));
  m.impl("banded_cholesky", TORCH_BOX(&zncc::banded_cholesky_of));
  m.impl("banded_solve", TORCH_BOX(&zncc::banded_solve_of));
  m.impl("banded_inverse", TORCH_BOX(&zncc::banded_inverse_of));
}

STABLE_TORCH_LIBRARY_IMPL(zncc, CompositeExplicitAutograd, m) {
  m.impl("field_metric_strips", TORCH_BOX(&zncc::field_metric_strips));
}
