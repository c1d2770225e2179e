// CUDA binding of the field metric, whose schema cpu/field_bindings.cpp defines.
#include "field_metric_launch.h"

#include "on_device.h"
#include "../field_metric_tensors.h"

namespace zncc {
namespace {

struct OnCuda {
  static int64_t strips(const FieldShape&) { return 1; }

  static void compute(const FieldShape& shape, const FieldInput& in, const FieldOutput& out, double* sums,
                      const Tensor& fixed) {
    const FieldMetricMemory memory = launch_field_memory(shape);
    const Tensor floats = workspace(fixed, memory.floats, ScalarType::Float);
    const Tensor doubles = workspace(fixed, memory.doubles);
    on_device_of(fixed, [&](void* stream) {
      return launch_field_metric(shape, in, out, floats.mutable_data_ptr<float>(), doubles.mutable_data_ptr<double>(),
                                 sums, stream);
    });
  }
};

}  // namespace
}  // namespace zncc

STABLE_TORCH_LIBRARY_IMPL(zncc, CUDA, m) { m.impl("field_metric", TORCH_BOX(&zncc::field_metric_of<zncc::OnCuda>)); }
