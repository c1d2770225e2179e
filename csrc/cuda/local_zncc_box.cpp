// CUDA binding of the summed local ZNCC, whose schema cpu/bindings.cpp defines.
#include "local_zncc_box_launch.h"

#include "on_device.h"
#include "tile_grid.h"

namespace zncc {
namespace {

void local_zncc_box(const Tensor& fixed, const Tensor& moving, const std::optional<Tensor>& weight, int64_t h,
                    int64_t w, double eps_f, double eps_m, const Tensor& strip_sums, const std::optional<Tensor>& dm,
                    const std::optional<Tensor>& z) {
  const LocalZnccShape shape = check_pair(fixed, moving, weight, h, w, eps_f, eps_m, strip_sums, dm, z);
  check_tile_window(w);
  ZNCC_CHECK(strip_sums.device() == fixed.device(), "strip_sums is on another device than fixed");
  for (const std::optional<Tensor>& map : {weight, z}) {
    ZNCC_CHECK(!map || map->device() == fixed.device(), "a map of the windows is on another device than fixed");
  }
  if (strip_sums.numel() == 0) {
    return;
  }
  const TileGrid grid(shape.planes, shape.map_height(), shape.map_width(), h, w, kPairBlocks);
  const Tensor partial = workspace(fixed, grid.count());
  const std::optional<Tensor> ABC =
      dm ? std::optional<Tensor>(workspace(fixed, 3 * shape.planes * shape.map_height() * shape.map_width()))
         : std::nullopt;
  with_map_type(fixed, [&](auto map) {
    using Map = decltype(map);
    const LocalZnccData<Map> data{fixed.const_data_ptr<Map>(),
                                  moving.const_data_ptr<Map>(),
                                  weight ? weight->const_data_ptr<Map>() : nullptr,
                                  strip_sums.mutable_data_ptr<double>(),
                                  dm ? dm->mutable_data_ptr<Map>() : nullptr,
                                  z ? z->mutable_data_ptr<Map>() : nullptr};
    on_device_of(fixed, [&](void* stream) {
      return launch_zncc_box<Map>(shape, data, partial.mutable_data_ptr<double>(),
                                  ABC ? ABC->mutable_data_ptr<double>() : nullptr, stream);
    });
  });
}

}  // namespace
}  // namespace zncc

STABLE_TORCH_LIBRARY_IMPL(zncc, CUDA, m) { m.impl("local_zncc_box", TORCH_BOX(&zncc::local_zncc_box)); }
