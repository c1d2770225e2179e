// Runs the kernels of the CUDA pair metric on the CPU, one after another, block by block.
#include "emulated_block.h"

#include "cuda/pair_metric_kernels.h"

#include <cmath>
#include <limits>
#include <vector>

namespace zncc {
namespace {

struct Emulation {
  int order;

  template <typename Op>
  void tiles(const Op& op) {
    for (int64_t i = 0; i < op.grid.count(); ++i) {
      const auto shared = unwritten<typename Op::Shared>();
      EmulatedBlock<typename Op::Thread> block(order);
      sum_tile(op, block, *shared, op.grid.tile(i));
    }
  }

  template <typename Op>
  void blocks(const Op& op) {
    const int64_t count = op.count();
    for (int64_t i = 0; i < count; ++i) {
      const auto shared = unwritten<typename Op::Shared>();
      EmulatedBlock<typename Op::Thread> block(order);
      op.compute(block, *shared, order == 1 ? count - 1 - i : i);
    }
  }
};

template <typename Map>
void emulate(const int64_t* n, const double* M, const double* by, int order, void* const* input, void* const* output) {
  PairMetricShape shape{};
  shape.warp = {1, n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], {}, {}, {}};
  std::copy_n(M, 9, shape.warp.M);
  shape.h = n[9];
  shape.by = {by[0], by[1], by[2], by[3], by[4], by[5], by[6], by[7]};
  shape.cells = {n[10], n[11], n[12], n[13], n[14], n[15], n[16] != 0};
  shape.step = n[17];
  shape.shift = tile_shift(shape.step);
  shape.projective = n[18] != 0;
  const auto map = [&](int i) { return static_cast<const Map*>(input[i]); };
  const auto sums = [&](int i) { return static_cast<double*>(output[i]); };
  const auto written = [&](int i) { return static_cast<Map*>(output[i]); };
  const PairMetricInput<Map> in{map(0), map(1), map(2), static_cast<const uint8_t*>(input[3]),
                                map(4), map(5), map(6), map(7)};
  const PairMetricOutput<Map> out{sums(0), sums(1), sums(2), sums(3), written(4), written(5), written(6)};
  Room<Map> maps;
  Room<double> doubles;
  pair_metric_planes(shape, in, out, maps, doubles);
  std::vector<Map> of_maps(maps.used, std::numeric_limits<Map>::quiet_NaN());
  std::vector<double> of_sums(doubles.used, std::numeric_limits<double>::quiet_NaN());
  maps = {of_maps.data()};
  doubles = {of_sums.data()};
  Emulation emulation{order};
  pair_metric(shape, in, out, pair_metric_planes(shape, in, out, maps, doubles), emulation);
}

}  // namespace
}  // namespace zncc

extern "C" void pair_metric_float32(const int64_t* n, const double* M, const double* by, int order, void* const* input,
                                    void* const* output) {
  zncc::emulate<float>(n, M, by, order, input, output);
}
extern "C" void pair_metric_float64(const int64_t* n, const double* M, const double* by, int order, void* const* input,
                                    void* const* output) {
  zncc::emulate<double>(n, M, by, order, input, output);
}
