// Runs the kernels of the CUDA field metric on the CPU, one after another, block by block.
#include "emulated_block.h"

#include "cuda/field_metric_kernels.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace zncc {
namespace {

struct Emulation {
  int order;

  template <typename Op>
  void blocks(const Op& op) {
    const int64_t count = op.count();
    for (int64_t i = 0; i < count; ++i) {
      const auto shared = unwritten<typename Op::Shared>();
      EmulatedBlock<typename Op::Thread> block(order);
      op.compute(block, *shared, order == 1 ? count - 1 - i : i);
    }
  }
};

}  // namespace
}  // namespace zncc

// n: height, width, of the knots, rows, columns, window, wide. numbers: spacing, eps of f and of m, least determinant.
extern "C" void field_metric_emulated(const int64_t* n, const double* M, const double* box, const double* numbers,
                                      int order, void* const* input, void* const* output) {
  using namespace zncc;
  FieldShape shape{};
  shape.height = n[0];
  shape.width = n[1];
  shape.moving_height = n[2];
  shape.moving_width = n[3];
  shape.rows = n[4];
  shape.columns = n[5];
  shape.window = n[6];
  shape.wide = n[7];
  shape.spacing = numbers[0];
  shape.eps_f = numbers[1];
  shape.eps_m = numbers[2];
  shape.least_determinant = numbers[3];
  std::copy_n(M, 9, shape.M);
  shape.left = box[0];
  shape.top = box[1];
  shape.right = box[2];
  shape.bottom = box[3];
  const auto plane = [&](int i) { return static_cast<const float*>(input[i]); };
  const FieldInput in{plane(0), plane(1), plane(2), plane(3), static_cast<const uint8_t*>(input[4]),
                      plane(5), plane(6)};
  const FieldOutput out{static_cast<float*>(output[1]), static_cast<float*>(output[2])};
  std::vector<float> floats(field_floats(shape), std::numeric_limits<float>::quiet_NaN());
  std::vector<double> doubles(field_doubles(shape), std::numeric_limits<double>::quiet_NaN());
  Emulation emulation{order};
  field_metric(shape, in, out, field_planes(shape, floats.data(), doubles.data()), static_cast<double*>(output[0]),
               emulation);
}
