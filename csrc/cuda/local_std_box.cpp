// CUDA bindings of the box path of the local standard deviation, whose schemas cpu/bindings.cpp defines.
#include "local_std_box_launch.h"

#include "on_device.h"

namespace zncc {
namespace {

void forward(const Tensor& image, int64_t h, int64_t w, double eps, const Tensor* std, const Tensor* M) {
  const Tensor& map = std ? *std : *M;
  const LocalStdShape shape = check_box(image, h, w, eps, map);
  if (M) {
    check_plane(*M, "M", map.scalar_type(), map);
  }
  check_tile_window(w);
  if (map.numel() == 0) {
    return;
  }
  with_map_type(map, [&](auto zero) {
    using Map = decltype(zero);
    on_device_of(map, [&](void* stream) {
      return launch_box_forward<Map>(shape, image.const_data_ptr<Map>(), std ? std->mutable_data_ptr<Map>() : nullptr,
                                     M ? M->mutable_data_ptr<Map>() : nullptr, stream);
    });
  });
}

void local_std_box_forward(const Tensor& image, int64_t h, int64_t w, double eps, const Tensor& std) {
  forward(image, h, w, eps, &std, nullptr);
}

void local_std_box_forward_with_mean(const Tensor& image, int64_t h, int64_t w, double eps, const Tensor& std,
                                     const Tensor& M) {
  forward(image, h, w, eps, &std, &M);
}

void local_std_box_backward(const Tensor& g, const Tensor& image, const Tensor& std, const std::optional<Tensor>& M,
                            int64_t h, int64_t w, double eps, const Tensor& dI) {
  const LocalStdShape shape = check_box(image, h, w, eps, std);
  check_plane(g, "g", std.scalar_type(), std);
  check_plane(dI, "dI", image.scalar_type(), image);
  check_tile_window(w);
  if (dI.numel() == 0) {
    return;
  }
  const Tensor mean = M ? *M : torch::stable::empty_like(std);
  check_plane(mean, "M", std.scalar_type(), std);
  if (!M) {
    forward(image, h, w, eps, nullptr, &mean);
  }
  with_map_type(dI, [&](auto zero) {
    using Map = decltype(zero);
    on_device_of(dI, [&](void* stream) {
      return launch_box_backward<Map>(shape, g.const_data_ptr<Map>(), image.const_data_ptr<Map>(),
                                      std.const_data_ptr<Map>(), mean.const_data_ptr<Map>(), dI.mutable_data_ptr<Map>(),
                                      stream);
    });
  });
}

}  // namespace
}  // namespace zncc

STABLE_TORCH_LIBRARY_IMPL(zncc, CUDA, m) {
  m.impl("local_std_box_forward", TORCH_BOX(&zncc::local_std_box_forward));
  m.impl("local_std_box_forward_with_mean", TORCH_BOX(&zncc::local_std_box_forward_with_mean));
  m.impl("local_std_box_backward", TORCH_BOX(&zncc::local_std_box_backward));
}
