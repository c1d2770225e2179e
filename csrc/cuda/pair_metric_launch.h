// Launcher of the pair metric on CUDA: the border between pair_metric.cu, which knows no torch, and pair_metric.cpp, which
// knows no CUDA.
#pragma once

#include "../pair_metric_data.h"

namespace zncc {

// The memory that the kernels need between them, in elements.
struct PairMetricMemory {
  int64_t maps, sums;
};

template <typename Map>
PairMetricMemory launch_memory(const PairMetricShape& shape, const PairMetricInput<Map>& in,
                               const PairMetricOutput<Map>& out);

// Computes the pair metric. All pointers are to memory of the current device, `maps` and `sums` to as much as
// launch_memory said. No window is wider than kMaxTileWindow. `stream` is a cudaStream_t. Returns nullptr, or what a launch
// failed with.
template <typename Map>
const char* launch_pair_metric(const PairMetricShape& shape, const PairMetricInput<Map>& in,
                               const PairMetricOutput<Map>& out, Map* maps, double* sums, void* stream);

}  // namespace zncc
