// Launchers of the CUDA kernels: the border between local_std.cu, which knows no torch, and local_std.cpp,
// which knows no CUDA. nvcc takes long over torch's headers.
//
// All pointers are to memory of the current device, `numel` > 0 elements each; `stream` is a cudaStream_t. Map is float
// or double. Each returns nullptr, or what the launch failed with.
#pragma once

#include "../local_std.h"

#include <cstdint>

namespace zncc {

template <typename Map>
const char* launch_forward(const double* S1, const double* S2, WindowSize window, double eps, Map* std, int64_t numel,
                           void* stream);

template <typename Map>
const char* launch_prepare_gradients(const Map* g, const Map* std, const double* S1, WindowSize window, double eps,
                                     double d, double* dS1, double* dS2, int64_t numel, void* stream);

template <typename Map>
const char* launch_combine_gradients(const double* dI_S1, const double* dI_S2, const double* I, Map* dI, int64_t numel,
                                     void* stream);

}  // namespace zncc
