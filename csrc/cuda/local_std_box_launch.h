// Launchers of the box path of the local standard deviation on CUDA: the border between local_std_box.cu, which
// knows no torch, and local_std_box.cpp, which knows no CUDA.
//
// All pointers are to memory of the current device; `stream` is a cudaStream_t. No plane is empty, and no window is
// wider than kMaxTileWindow. Each returns nullptr, or what a launch failed with.
#pragma once

#include "../local_std_box.h"

namespace zncc {

// Writes StdMap and M, which the gradient needs (local_std_tiles.h), to where they are not null.
template <typename Map>
const char* launch_box_forward(const LocalStdShape& shape, const Map* image, Map* std, Map* M, void* stream);

template <typename Map>
const char* launch_box_backward(const LocalStdShape& shape, const Map* g, const Map* image, const Map* std,
                                const Map* M, Map* dI, void* stream);

}  // namespace zncc
