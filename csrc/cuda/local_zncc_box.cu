// The summed local ZNCC and its gradient on CUDA: two kernels for the value, a third one for the gradient. What they do
// and what they read and write: local_zncc_tiles.h. Doubles: see local_std_box.cu.
#include "local_zncc_box_launch.h"

#include "local_zncc_tiles.h"
#include "tile_kernel.cuh"

namespace zncc {
namespace {

__global__ void __launch_bounds__(kTileThreads) partial_sums_kernel(const PartialSums op, int64_t planes) {
  __shared__ PartialSums::Shared shared;
  DeviceBlock<PartialSums::Thread> block;
  block.t = static_cast<int>(threadIdx.x);
  for (int64_t plane = blockIdx.x; plane < planes; plane += gridDim.x) {
    sum_partials(op, block, shared, plane);
  }
}

}  // namespace

template <typename Map>
const char* launch_zncc_box(const LocalZnccShape& shape, const LocalZnccData<Map>& data, double* partial, double* ABC,
                            void* stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  const PairTiles<Map> tiles(shape, data, partial, ABC);
  const char* error = launch_tiles(tiles, on);
  if (error) {
    return error;
  }
  const PartialSums sums{partial, tiles.grid.strips * tiles.grid.tiles, data.wz, shape.strip_grid().strips_of_plane()};
  const int64_t blocks = std::min(shape.planes, kMaxGridBlocks);
  partial_sums_kernel<<<static_cast<unsigned int>(blocks), kTileThreads, 0, on>>>(sums, shape.planes);
  error = launch_error();
  return error || !data.dm ? error : launch_tiles(PairGradientTiles<Map>(shape, data, ABC), on);
}

template const char* launch_zncc_box<float>(const LocalZnccShape&, const LocalZnccData<float>&, double*, double*,
                                            void*);
template const char* launch_zncc_box<double>(const LocalZnccShape&, const LocalZnccData<double>&, double*, double*,
                                             void*);

}  // namespace zncc
