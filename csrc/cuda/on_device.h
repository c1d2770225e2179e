// Where the CUDA bindings launch: the device of a tensor, and its current stream; and what they cannot launch.
#pragma once

#ifndef USE_CUDA
#define USE_CUDA  // torch declares the stream of its C interface only then
#endif
#include "../tensors.h"
#include "tile_grid.h"

namespace zncc {

// Calls launch(stream) on the device of `tensor`; it returns nullptr, or what the launch failed with.
template <typename F>
void on_device_of(const Tensor& tensor, const F& launch) {
  const int32_t device = tensor.get_device_index();
  const torch::stable::accelerator::DeviceGuard guard(device);
  void* stream = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(device, &stream));
  const char* error = launch(stream);
  ZNCC_CHECK(error == nullptr, std::string("a CUDA kernel of zncc could not be launched: ") + error);
}

inline void check_tile_window(int64_t w) {
  ZNCC_CHECK(w <= kMaxTileWindow, "windows on CUDA may be at most " + std::to_string(kMaxTileWindow) +
                                      " columns wide, got " + std::to_string(w));
}

// Memory for the time between two kernels of one stream; the allocator gives it to others only in this stream's order.
inline Tensor workspace(const Tensor& like, int64_t numel, ScalarType dtype = ScalarType::Double) {
  return torch::stable::new_empty(like, {&numel, 1}, dtype);
}

}  // namespace zncc
