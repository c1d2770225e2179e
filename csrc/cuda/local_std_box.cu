// The box path of the local standard deviation on CUDA: a kernel forward and one backward, which needs what the former
// can write. What they do and what they read and write: local_std_tiles.h.
//
// Doubles are added at full rate on data centre cards (a sixty-fourth of it on others, where this is bound by them):
// exactness asks for them in every sum, and nowhere else. No fast-math, and no fused multiply-add but where one is
// written.
#include "local_std_box_launch.h"

#include "local_std_tiles.h"
#include "tile_kernel.cuh"

namespace zncc {

template <typename Map>
const char* launch_box_forward(const LocalStdShape& shape, const Map* image, Map* std, Map* M, void* stream) {
  return launch_tiles(StdTiles<Map>(shape, image, std, M), static_cast<cudaStream_t>(stream));
}

template <typename Map>
const char* launch_box_backward(const LocalStdShape& shape, const Map* g, const Map* image, const Map* std,
                                const Map* M, Map* dI, void* stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  if constexpr (sizeof(Map) == 4) {  // doubles are too large for any card
    const GradientTiles<Map, true> remembering(shape, g, image, std, M, dI);
    if (has_memory(remembering)) {
      return launch_tiles(remembering, on);
    }
  }
  return launch_tiles(GradientTiles<Map, false>(shape, g, image, std, M, dI), on);
}

#define ZNCC_FOR_MAP(Map)                                                                                             \
  template const char* launch_box_forward<Map>(const LocalStdShape&, const Map*, Map*, Map*, void*);                  \
  template const char* launch_box_backward<Map>(const LocalStdShape&, const Map*, const Map*, const Map*, const Map*, \
                                                Map*, void*);
ZNCC_FOR_MAP(float)
ZNCC_FOR_MAP(double)
#undef ZNCC_FOR_MAP

}  // namespace zncc
