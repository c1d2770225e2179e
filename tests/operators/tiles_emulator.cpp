// Runs the blocks of the CUDA kernels on the CPU.
#include "emulated_block.h"

#include "cuda/local_std_tiles.h"
#include "cuda/local_zncc_tiles.h"

#include <vector>

namespace zncc {
namespace {

// Returns the number of tiles that were computed with care.
template <typename Op>
int64_t run(const Op& op, int order) {
  int64_t careful = 0;
  for (int64_t i = 0; i < op.grid.count(); ++i) {
    const auto shared = unwritten<typename Op::Shared>();
    int64_t bytes = 0;
    if constexpr (Op::kRemembers) {
      bytes = op.memory_bytes();
    }
    EmulatedBlock<typename Op::Thread> block(order, bytes);
    sum_tile(op, block, *shared, op.grid.tile(i));
    careful += shared->lost || (shared->outlier && shared->fraction);
  }
  return careful;
}

template <typename Map>
int64_t forward(const LocalStdShape& shape, int order, const Map* image, Map* std) {
  return run(StdTiles<Map>(shape, image, std, nullptr), order);
}

constexpr int64_t kDiffers = -1000000;  // no number of tiles makes up for it

template <typename Map>
int64_t backward(const LocalStdShape& shape, int order, const Map* g, const Map* image, const Map* std, Map* dI) {
  std::vector<Map> M(shape.planes * shape.map_height() * shape.map_width());
  const int64_t careful = run(StdTiles<Map>(shape, image, nullptr, M.data()), order) +
                          run(GradientTiles<Map, false>(shape, g, image, std, M.data(), dI), order);
  // The other way, which has no other result.
  std::vector<Map> again(shape.planes * shape.height * shape.width);
  run(GradientTiles<Map, true>(shape, g, image, std, M.data(), again.data()), order);
  for (size_t i = 0; i < again.size(); ++i) {
    if (again[i] != dI[i] && !(std::isnan(again[i]) && std::isnan(dI[i]))) {
      return kDiffers;
    }
  }
  return careful;
}

template <typename Map>
int64_t pair(const LocalZnccShape& shape, int order, const LocalZnccData<Map>& data) {
  const TileGrid grid(shape.planes, shape.map_height(), shape.map_width(), shape.h, shape.w, kPairBlocks);
  std::vector<double> partial(grid.count()), ABC(3 * shape.planes * shape.map_height() * shape.map_width());
  int64_t careful = run(PairTiles<Map>(shape, data, partial.data(), data.dm ? ABC.data() : nullptr), order);
  const PartialSums sums{partial.data(), grid.strips * grid.tiles, data.wz, shape.strip_grid().strips_of_plane()};
  for (int64_t plane = 0; plane < shape.planes; ++plane) {
    PartialSums::Shared shared;
    EmulatedBlock<PartialSums::Thread> block(order);
    sum_partials(sums, block, shared, plane);
  }
  if (data.dm) {
    careful += run(PairGradientTiles<Map>(shape, data, ABC.data()), order);
  }
  return careful;
}

}  // namespace
}  // namespace zncc

#define ZNCC_FOR_MAP(Map, name)                                                                                       \
  extern "C" int64_t forward_##name(const int64_t* n, double eps, int order, const Map* image, Map* std) {            \
    return zncc::forward<Map>({n[0], n[1], n[2], n[3], n[4], eps}, order, image, std);                                \
  }                                                                                                                   \
  extern "C" int64_t backward_##name(const int64_t* n, double eps, int order, const Map* g, const Map* image,         \
                                     const Map* std, Map* dI) {                                                       \
    return zncc::backward<Map>({n[0], n[1], n[2], n[3], n[4], eps}, order, g, image, std, dI);                        \
  }                                                                                                                   \
  extern "C" int64_t pair_##name(const int64_t* n, double eps_f, double eps_m, int order, const Map* f, const Map* m, \
                                 const Map* weight, double* strips, Map* dm, Map* z) {                                \
    return zncc::pair<Map>({n[0], n[1], n[2], n[3], n[4], eps_f, eps_m}, order, {f, m, weight, strips, dm, z});       \
  }
ZNCC_FOR_MAP(float, float32)
ZNCC_FOR_MAP(double, float64)
