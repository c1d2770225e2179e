// CUDA kernels of the local standard deviation. Formulas, types and NaN policy: local_std.h.
#include "local_std_launch.h"

#include "../local_std.h"

#include <cuda_runtime.h>

#include <algorithm>

namespace zncc {
namespace {

constexpr int kThreads = 256;
// Each thread strides over the grid; more blocks than this fill no card any better.
constexpr int64_t kMaxBlocks = 65536;

unsigned int blocks_for(int64_t numel) {
  return static_cast<unsigned int>(std::min((numel + kThreads - 1) / kThreads, kMaxBlocks));
}

const char* launch_error() {
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

__device__ inline int64_t first_index() { return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }

__device__ inline int64_t stride() { return static_cast<int64_t>(gridDim.x) * blockDim.x; }

template <typename Map>
__global__ void local_std_forward_kernel(const double* S1, const double* S2, WindowSize window, double eps, Map* std,
                                         int64_t numel) {
  for (int64_t i = first_index(); i < numel; i += stride()) {
    std[i] = std_map<Map>(S1[i], S2[i], window, eps);
  }
}

template <typename Map>
__global__ void local_std_prepare_gradients_kernel(const Map* g, const Map* std, const double* S1, WindowSize window,
                                                   double eps, double d, double* dS1, double* dS2, int64_t numel) {
  for (int64_t i = first_index(); i < numel; i += stride()) {
    const SumGradients gradients = sum_gradients<Map>(g[i], std[i], S1[i], window, eps, d);
    dS1[i] = gradients.dS1;
    dS2[i] = gradients.dS2;
  }
}

template <typename Map>
__global__ void local_std_combine_gradients_kernel(const double* dI_S1, const double* dI_S2, const double* I, Map* dI,
                                                   int64_t numel) {
  for (int64_t i = first_index(); i < numel; i += stride()) {
    dI[i] = image_gradient<Map>(dI_S1[i], dI_S2[i], I[i]);
  }
}

}  // namespace

template <typename Map>
const char* launch_forward(const double* S1, const double* S2, WindowSize window, double eps, Map* std, int64_t numel,
                           void* stream) {
  local_std_forward_kernel<Map>
      <<<blocks_for(numel), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(S1, S2, window, eps, std, numel);
  return launch_error();
}

template <typename Map>
const char* launch_prepare_gradients(const Map* g, const Map* std, const double* S1, WindowSize window, double eps,
                                     double d, double* dS1, double* dS2, int64_t numel, void* stream) {
  local_std_prepare_gradients_kernel<Map><<<blocks_for(numel), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
      g, std, S1, window, eps, d, dS1, dS2, numel);
  return launch_error();
}

template <typename Map>
const char* launch_combine_gradients(const double* dI_S1, const double* dI_S2, const double* I, Map* dI, int64_t numel,
                                     void* stream) {
  local_std_combine_gradients_kernel<Map>
      <<<blocks_for(numel), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(dI_S1, dI_S2, I, dI, numel);
  return launch_error();
}

#define ZNCC_FOR_MAP(Map)                                                                                           \
  template const char* launch_forward<Map>(const double*, const double*, WindowSize, double, Map*, int64_t, void*); \
  template const char* launch_prepare_gradients<Map>(const Map*, const Map*, const double*, WindowSize, double,     \
                                                     double, double*, double*, int64_t, void*);                     \
  template const char* launch_combine_gradients<Map>(const double*, const double*, const double*, Map*, int64_t, void*);
ZNCC_FOR_MAP(float)
ZNCC_FOR_MAP(double)
#undef ZNCC_FOR_MAP

}  // namespace zncc
