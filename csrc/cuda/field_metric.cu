// The field metric on CUDA: nine kernels, of which field_metric_kernels.h says what each does.
#include "field_metric_launch.h"

#include "field_metric_kernels.h"
#include "launches.cuh"

namespace zncc {

FieldMetricMemory launch_field_memory(const FieldShape& shape) { return {field_floats(shape), field_doubles(shape)}; }

const char* launch_field_metric(const FieldShape& shape, const FieldInput& in, const FieldOutput& out, float* floats,
                                double* doubles, double* sums, void* stream) {
  Launches launches{static_cast<cudaStream_t>(stream)};
  field_metric(shape, in, out, field_planes(shape, floats, doubles), sums, launches);
  return launches.error;
}

}  // namespace zncc
