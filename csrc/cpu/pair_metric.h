// The pair metric on the CPU, in one pass over the fixed frame: pair_metric.h.
#pragma once

#include "../pair_metric_data.h"
#include "../strips.h"

#include <vector>

namespace zncc {

// How the frame is cut into strips; where only every so many tiles count, each tile is one.
StripGrid pair_metric_grid(const PairMetricShape& shape);

void pair_metric(const PairMetricShape& shape, const PairMetricInput<float>& in, const PairMetricOutput<float>& out,
                 StripQueue& strips, std::vector<double>* partial);
void pair_metric(const PairMetricShape& shape, const PairMetricInput<double>& in, const PairMetricOutput<double>& out,
                 StripQueue& strips, std::vector<double>* partial);

// Adds up what the strips left in `partial`, in their order.
void add_partial_sums(const PairMetricShape& shape, const std::vector<std::vector<double>>& partial, double* sums,
                      double* cells, double* curvature);

}  // namespace zncc
