// Launcher of the field metric on CUDA: the border between field_metric.cu, which knows no torch, and field_metric.cpp, which
// knows no CUDA.
#pragma once

#include "../field_metric_data.h"

namespace zncc {

// The memory that the kernels need between them, in elements.
struct FieldMetricMemory {
  int64_t floats, doubles;
};

FieldMetricMemory launch_field_memory(const FieldShape& shape);

// Computes the field metric. All pointers are to memory of the current device, `floats` and `doubles` to as much as
// launch_field_memory said, `sums` to kFieldSums. `stream` is a cudaStream_t. Returns nullptr, or what a launch failed with.
const char* launch_field_metric(const FieldShape& shape, const FieldInput& in, const FieldOutput& out, float* floats,
                                double* doubles, double* sums, void* stream);

}  // namespace zncc
