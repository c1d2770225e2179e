// Launchers of the box path of the local standard deviation on CUDA: the border between local_std_box_cuda.cu, which
// knows no torch, and local_std_box_cuda.cpp, which knows no CUDA.
//
// All pointers are to memory of the current device; `stream` is a cudaStream_t. No plane is empty, and no window is
// wider than kMaxTileWindow. Each returns nullptr, or what a launch failed with.
#pragma once

#include "local_std_box.h"

namespace zncc {

template <typename Map>
const char* launch_box_forward(const LocalStdShape& shape, const Map* image, Map* std, void* stream);

// M is space for a value for each window.
template <typename Map>
const char* launch_box_backward(const LocalStdShape& shape, const Map* g, const Map* image, const Map* std, Map* M,
                                Map* dI, void* stream);

}  // namespace zncc
