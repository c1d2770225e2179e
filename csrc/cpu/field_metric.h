// The field metric on the CPU, in one pass over the fixed frame. Formulas: ../field_metric.h.
#pragma once

#include "../field_metric_data.h"
#include "../strips.h"

namespace zncc {

StripGrid field_grid(const FieldShape& shape);

// sums (strips, kFieldSums).
void field_metric(const FieldShape& shape, const FieldInput& in, const FieldOutput& out, StripQueue& strips,
                  double* sums);

}  // namespace zncc
