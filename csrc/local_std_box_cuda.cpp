// CUDA bindings of the box path of the local standard deviation, whose schemas cpu.cpp defines.
#include "local_std_box_cuda.h"

#include "on_device.h"

namespace zncc {
namespace {

void local_std_box_forward(const Tensor& image, int64_t h, int64_t w, double eps, const Tensor& std) {
  const LocalStdShape shape = check_box(image, h, w, eps, std);
  check_tile_window(w);
  if (std.numel() == 0) {
    return;
  }
  with_map_type(std, [&](auto map) {
    using Map = decltype(map);
    on_device_of(std, [&](void* stream) {
      return launch_box_forward<Map>(shape, image.const_data_ptr<Map>(), std.mutable_data_ptr<Map>(), stream);
    });
  });
}

void local_std_box_backward(const Tensor& g, const Tensor& image, const Tensor& std, int64_t h, int64_t w, double eps,
                            const Tensor& dI) {
  const LocalStdShape shape = check_box(image, h, w, eps, std);
  check_plane(g, "g", std.scalar_type(), std);
  check_plane(dI, "dI", image.scalar_type(), image);
  check_tile_window(w);
  if (dI.numel() == 0) {
    return;
  }
  const Tensor M = torch::stable::empty_like(std);
  with_map_type(dI, [&](auto map) {
    using Map = decltype(map);
    on_device_of(dI, [&](void* stream) {
      return launch_box_backward<Map>(shape, g.const_data_ptr<Map>(), image.const_data_ptr<Map>(),
                                      std.const_data_ptr<Map>(), M.mutable_data_ptr<Map>(),
                                      dI.mutable_data_ptr<Map>(), stream);
    });
  });
}

}  // namespace
}  // namespace zncc

STABLE_TORCH_LIBRARY_IMPL(zncc, CUDA, m) {
  m.impl("local_std_box_forward", TORCH_BOX(&zncc::local_std_box_forward));
  m.impl("local_std_box_backward", TORCH_BOX(&zncc::local_std_box_backward));
}
