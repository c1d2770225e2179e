// CUDA kernels of the three operators whose schemas local_std.cpp defines. Formulas, types and NaN policy: local_std.h.
#ifndef USE_CUDA
#define USE_CUDA  // the stream shim of the stable ABI is declared only then
#endif
#include "local_std.h"
#include "local_std_tensors.h"

#include <cuda_runtime.h>

#include <algorithm>

namespace zncc {
namespace {

constexpr int kThreads = 256;
// A grid-stride loop needs no more blocks than fill the largest cards several times over.
constexpr int64_t kMaxBlocks = 65536;

template <typename Map>
__global__ void local_std_forward_kernel(const double* S1, const double* S2, double N, double eps, Map* std,
                                         int64_t numel) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < numel; i += step) {
    std[i] = std_map<Map>(S1[i], S2[i], N, eps);
  }
}

template <typename Map>
__global__ void local_std_prepare_gradients_kernel(const Map* g, const Map* std, const double* S1, double N, double eps,
                                                   double* dS1, double* dS2, int64_t numel) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < numel; i += step) {
    const SumGradients d = sum_gradients<Map>(g[i], std[i], S1[i], N, eps);
    dS1[i] = d.dS1;
    dS2[i] = d.dS2;
  }
}

template <typename Map>
__global__ void local_std_combine_gradients_kernel(const double* dI_S1, const double* dI_S2, const double* I, Map* dI,
                                                   int64_t numel) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < numel; i += step) {
    dI[i] = image_gradient<Map>(dI_S1[i], dI_S2[i], I[i]);
  }
}

// Calls launch(blocks, stream) on the device and the current stream of `map`; an empty map launches nothing.
template <typename F>
void on_device_of(const Tensor& map, const F& launch) {
  const int64_t numel = map.numel();
  if (numel == 0) {
    return;
  }
  const int32_t device = map.get_device_index();
  const torch::stable::accelerator::DeviceGuard guard(device);
  void* stream = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(device, &stream));
  const int64_t blocks = std::min((numel + kThreads - 1) / kThreads, kMaxBlocks);
  launch(static_cast<unsigned int>(blocks), static_cast<cudaStream_t>(stream));
  const cudaError_t error = cudaGetLastError();
  STD_TORCH_CHECK(error == cudaSuccess, "zncc: a CUDA kernel was not launched: ", cudaGetErrorString(error));
}

void local_std_forward(const Tensor& S1, const Tensor& S2, int64_t N, double eps, const Tensor& std) {
  check_forward(S1, S2, std);
  with_map_type(std, [&](auto map) {
    using Map = decltype(map);
    on_device_of(std, [&](unsigned int blocks, cudaStream_t stream) {
      local_std_forward_kernel<Map><<<blocks, kThreads, 0, stream>>>(
          S1.const_data_ptr<double>(), S2.const_data_ptr<double>(), static_cast<double>(N), eps,
          std.mutable_data_ptr<Map>(), std.numel());
    });
  });
}

void local_std_prepare_gradients(const Tensor& g, const Tensor& std, const Tensor& S1, int64_t N, double eps,
                                 const Tensor& dS1, const Tensor& dS2) {
  check_prepare(g, std, S1, dS1, dS2);
  with_map_type(std, [&](auto map) {
    using Map = decltype(map);
    on_device_of(std, [&](unsigned int blocks, cudaStream_t stream) {
      local_std_prepare_gradients_kernel<Map><<<blocks, kThreads, 0, stream>>>(
          g.const_data_ptr<Map>(), std.const_data_ptr<Map>(), S1.const_data_ptr<double>(), static_cast<double>(N), eps,
          dS1.mutable_data_ptr<double>(), dS2.mutable_data_ptr<double>(), std.numel());
    });
  });
}

void local_std_combine_gradients(const Tensor& dI_S1, const Tensor& dI_S2, const Tensor& I, const Tensor& dI) {
  check_combine(dI_S1, dI_S2, I, dI);
  with_map_type(dI, [&](auto map) {
    using Map = decltype(map);
    on_device_of(dI, [&](unsigned int blocks, cudaStream_t stream) {
      local_std_combine_gradients_kernel<Map><<<blocks, kThreads, 0, stream>>>(
          dI_S1.const_data_ptr<double>(), dI_S2.const_data_ptr<double>(), I.const_data_ptr<double>(),
          dI.mutable_data_ptr<Map>(), dI.numel());
    });
  });
}

}  // namespace
}  // namespace zncc

STABLE_TORCH_LIBRARY_IMPL(zncc, CUDA, m) {
  m.impl("local_std_forward", TORCH_BOX(&zncc::local_std_forward));
  m.impl("local_std_prepare_gradients", TORCH_BOX(&zncc::local_std_prepare_gradients));
  m.impl("local_std_combine_gradients", TORCH_BOX(&zncc::local_std_combine_gradients));
}
