// The pair metric on CUDA: a dozen kernels, of which pair_metric_kernels.h says what each does, reads and writes.
#include "pair_metric_launch.h"

#include "pair_metric_kernels.h"
#include "tile_kernel.cuh"

namespace zncc {
namespace {

template <typename Op>
__global__ void __launch_bounds__(kTileThreads) block_kernel(const Op op) {
  __shared__ typename Op::Shared shared;
  DeviceBlock<typename Op::Thread> block;
  block.t = static_cast<int>(threadIdx.x);
  const int64_t count = op.count();
  // A grid has at most 2^31 - 1 blocks.
  for (int64_t index = blockIdx.x; index < count; index += gridDim.x) {
    op.compute(block, shared, index);
  }
}

// Launches one kernel after another, until one fails.
struct Launches {
  cudaStream_t stream;
  const char* error = nullptr;

  template <typename Op>
  void tiles(const Op& op) {
    error = error ? error : launch_tiles(op, stream);
  }

  template <typename Op>
  void blocks(const Op& op) {
    const auto count = static_cast<unsigned int>(std::min(op.count(), kMaxGridBlocks));
    if (!error && count > 0) {
      block_kernel<<<count, kTileThreads, 0, stream>>>(op);
      error = launch_error();
    }
  }
};

}  // namespace

template <typename Map>
PairMetricMemory launch_memory(const PairMetricShape& shape, const PairMetricInput<Map>& in,
                               const PairMetricOutput<Map>& out) {
  Room<Map> maps;
  Room<double> sums;
  pair_metric_planes(shape, in, out, maps, sums);
  return {maps.used, sums.used};
}

template <typename Map>
const char* launch_pair_metric(const PairMetricShape& shape, const PairMetricInput<Map>& in,
                               const PairMetricOutput<Map>& out, Map* maps, double* sums, void* stream) {
  Room<Map> of_maps{maps};
  Room<double> of_sums{sums};
  const PairMetricPlanes<Map> planes = pair_metric_planes(shape, in, out, of_maps, of_sums);
  Launches launches{static_cast<cudaStream_t>(stream)};
  pair_metric(shape, in, out, planes, launches);
  return launches.error;
}

#define ZNCC_FOR_MAP(Map)                                                                           \
  template PairMetricMemory launch_memory<Map>(const PairMetricShape&, const PairMetricInput<Map>&, \
                                               const PairMetricOutput<Map>&);                       \
  template const char* launch_pair_metric<Map>(const PairMetricShape&, const PairMetricInput<Map>&, \
                                               const PairMetricOutput<Map>&, Map*, double*, void*);
ZNCC_FOR_MAP(float)
ZNCC_FOR_MAP(double)

}  // namespace zncc
