// Launchers of the summed local ZNCC on CUDA: the border between local_zncc_box.cu, which knows no torch, and
// local_zncc_box.cpp, which knows no CUDA.
#pragma once

#include "../local_zncc_box.h"

namespace zncc {

// Computes what zncc_box computes, for all planes. All pointers are to memory of the current device. data.wz gets
// shape.strip_grid().strips_of_plane() numbers for each plane, which add up to its sum. `partial` is space for a number
// for each tile of the windows' maps, ABC for three for each window; ABC is null without data.dm. No plane is empty, no
// window is wider than kMaxTileWindow. `stream` is a cudaStream_t. Returns nullptr, or what a launch failed with.
template <typename Map>
const char* launch_zncc_box(const LocalZnccShape& shape, const LocalZnccData<Map>& data, double* partial, double* ABC,
                            void* stream);

}  // namespace zncc
