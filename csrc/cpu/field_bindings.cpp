// Schemas and CPU kernels of the field metric, of the normal equations of a B-spline field, and of banded matrices:
// field_metric.h, spline_system.h, banded.h. Tensors are contiguous; the last argument(s) are written.
#include "../field_metric_tensors.h"
#include "banded.h"
#include "field_metric.h"
#include "spline_system.h"

#include <algorithm>

namespace zncc {
namespace {

struct OnCpu {
  static int64_t strips(const FieldShape& shape) { return field_grid(shape).strips_of_plane(); }

  static void compute(const FieldShape& shape, const FieldInput& in, const FieldOutput& out, double* sums,
                      const Tensor&) {
    const int64_t count = strips(shape);
    StripQueue queue(count);
    torch::stable::parallel_for(0, count, 1, [&](int64_t, int64_t) { field_metric(shape, in, out, queue, sums); });
  }
};

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
  m.impl("field_metric", TORCH_BOX(&zncc::field_metric_of<zncc::OnCpu>));
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
