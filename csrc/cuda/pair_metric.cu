// The pair metric on CUDA: a dozen kernels, of which pair_metric_kernels.h says what each does, reads and writes.
#include "pair_metric_launch.h"

#include "pair_metric_kernels.h"
#include "launches.cuh"

namespace zncc {

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
