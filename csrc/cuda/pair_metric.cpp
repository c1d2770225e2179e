// CUDA binding of the pair metric, whose schema cpu/pair_metric_bindings.cpp defines.
#include "pair_metric_launch.h"

#include "on_device.h"
#include "../pair_metric_tensors.h"

namespace zncc {
namespace {

struct OnCuda {
  template <typename Map>
  static void compute(const PairMetricShape& shape, const PairMetricInput<Map>& in, const PairMetricOutput<Map>& out,
                      const Tensor& fixed) {
    check_tile_window(shape.h);
    const PairMetricMemory memory = launch_memory(shape, in, out);
    const Tensor maps = workspace(fixed, memory.maps, fixed.scalar_type()), sums = workspace(fixed, memory.sums);
    on_device_of(fixed, [&](void* stream) {
      return launch_pair_metric(shape, in, out, maps.mutable_data_ptr<Map>(), sums.mutable_data_ptr<double>(), stream);
    });
  }
};

}  // namespace
}  // namespace zncc

STABLE_TORCH_LIBRARY_IMPL(zncc, CUDA, m) { m.impl("pair_metric", TORCH_BOX(&zncc::pair_metric_of<zncc::OnCuda>)); }
