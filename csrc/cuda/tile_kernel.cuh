// The blocks of tile_sums.h as CUDA kernels.
#pragma once

#include "tile_sums.h"

#include <cuda_runtime.h>

#include <mutex>

namespace zncc {

// One thread of a block.
template <typename Thread>
struct DeviceBlock {
  int t;
  Thread thread;

  template <typename Phase>
  ZNCC_HOST_DEVICE void alone(const Phase& phase) {
    phase(t, thread);
  }

  ZNCC_HOST_DEVICE void wait() {
#ifdef __CUDA_ARCH__
    __syncthreads();
#endif
  }

  template <typename Phase>
  ZNCC_HOST_DEVICE void each(const Phase& phase) {
    alone(phase);
    wait();
  }

  ZNCC_HOST_DEVICE unsigned char* memory() const {
#ifdef __CUDA_ARCH__
    extern __shared__ __align__(16) unsigned char further[];
    return further;
#else
    return nullptr;
#endif
  }

  template <typename Of>
  ZNCC_HOST_DEVICE void prefix_sums(const Of& of) {
#ifdef __CUDA_ARCH__
    double& value = of(thread);
    ZNCC_UNROLL
    for (int distance = 1; distance < 32; distance *= 2) {
      const double before = __shfl_up_sync(0xffffffffu, value, distance);
      value = t % 32 >= distance ? value + before : value;
    }
    const double before = __shfl_up_sync(0xffffffffu, value, 1);
    value = t % 32 == 0 ? 0.0 : before;
#endif
  }
};

template <typename Op>
__global__ void __launch_bounds__(kTileThreads, Op::kBlocks) tile_kernel(const Op op) {
  __shared__ typename Op::Shared shared;
  DeviceBlock<typename Op::Thread> block;
  block.t = static_cast<int>(threadIdx.x);
  // A grid has at most 2^31 - 1 blocks.
  for (int64_t index = blockIdx.x; index < op.grid.count(); index += gridDim.x) {
    sum_tile(op, block, shared, op.grid.tile(index));
  }
}

inline const char* launch_error() {
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

constexpr int64_t kMaxGridBlocks = 2147483647;

// Whether a processor of the current device has the shared memory for as many blocks of a remembering Op as its
// registers are for.
template <typename Op>
bool has_memory(const Op& op) {
  int device = 0, of_block = 0, of_processor = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&of_block, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) != cudaSuccess ||
      cudaDeviceGetAttribute(&of_processor, cudaDevAttrMaxSharedMemoryPerMultiprocessor, device) != cudaSuccess) {
    cudaGetLastError();  // none of the launch that comes
    return false;
  }
  constexpr int64_t kReserved = 1024;  // by the driver, of each block
  const int64_t bytes = op.memory_bytes() + static_cast<int64_t>(sizeof(typename Op::Shared));
  return bytes <= of_block && Op::kBlocks * (bytes + kReserved) <= of_processor;
}

template <typename Op>
const char* launch_tiles(const Op& op, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned int>(std::min(op.grid.count(), kMaxGridBlocks));
  if constexpr (Op::kRemembers) {
    // The attribute is the whole process's: no other thread may set it between here and the launch.
    static std::mutex launching;
    const std::lock_guard<std::mutex> alone(launching);
    const int bytes = static_cast<int>(op.memory_bytes());
    cudaFuncSetAttribute(tile_kernel<Op>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    tile_kernel<Op><<<blocks, kTileThreads, bytes, stream>>>(op);
    return launch_error();
  } else {
    tile_kernel<Op><<<blocks, kTileThreads, 0, stream>>>(op);
    return launch_error();
  }
}

}  // namespace zncc
