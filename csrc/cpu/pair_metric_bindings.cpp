// Schema and CPU kernel of the pair metric. Formulas: pair_metric.h.
#include "pair_metric.h"

#include "../pair_metric_tensors.h"

#include <vector>

namespace zncc {
namespace {

struct OnCpu {
  template <typename Map>
  static void compute(const PairMetricShape& shape, const PairMetricInput<Map>& in, const PairMetricOutput<Map>& out,
                      const Tensor&) {
    const int64_t count = pair_metric_grid(shape).strips_of_plane();
    std::vector<std::vector<double>> partial(static_cast<size_t>(count));
    StripQueue strips(count);
    torch::stable::parallel_for(0, count, 1,
                                [&](int64_t, int64_t) { pair_metric(shape, in, out, strips, partial.data()); });
    add_partial_sums(shape, partial, out.sums, out.cells, out.curvature);
  }
};

}  // namespace
}  // namespace zncc

STABLE_TORCH_LIBRARY_FRAGMENT(zncc, m) {
  m.def(
      "pair_metric(Tensor fixed, Tensor knots, Tensor matrix, Tensor? field, int degree, Tensor box, Tensor? "
      "fixed_mask,"
      " Tensor? moving_mask, Tensor? fixed_measured, Tensor? moving_measured, Tensor? weight, int window, Tensor eps,"
      " Tensor cell_grid, int step, bool projective, Tensor(a!) sums, Tensor(b!)? cells, Tensor(c!)? scores,"
      " Tensor(d!)? curvature, Tensor(e!)? z, Tensor(f!)? w, Tensor(g!)? pixels) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(zncc, CPU, m) { m.impl("pair_metric", TORCH_BOX(&zncc::pair_metric_of<zncc::OnCpu>)); }
