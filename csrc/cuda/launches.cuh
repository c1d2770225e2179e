// The blocks of frame_blocks.h as CUDA kernels, and launches of kernels one after another.
#pragma once

#include "frame_blocks.h"
#include "tile_kernel.cuh"

namespace zncc {

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

}  // namespace zncc
