// CUDA bindings of the operators whose schemas cpu/bindings.cpp defines.
#include "on_device.h"

#include "local_std_launch.h"
#include "../tensors.h"

namespace zncc {
namespace {

// An empty map launches nothing.
template <typename F>
void on_elements_of(const Tensor& map, const F& launch) {
  const int64_t numel = map.numel();
  if (numel > 0) {
    on_device_of(map, [&](void* stream) { return launch(numel, stream); });
  }
}

void local_std_forward(const Tensor& S1, const Tensor& S2, int64_t N, double eps, const Tensor& std) {
  check_forward(S1, S2, std);
  with_map_type(std, [&](auto map) {
    using Map = decltype(map);
    on_elements_of(std, [&](int64_t numel, void* stream) {
      return launch_forward<Map>(S1.const_data_ptr<double>(), S2.const_data_ptr<double>(), WindowSize(N), eps,
                                 std.mutable_data_ptr<Map>(), numel, stream);
    });
  });
}

void local_std_prepare_gradients(const Tensor& g, const Tensor& std, const Tensor& S1, int64_t N, double eps, double d,
                                 const Tensor& dS1, const Tensor& dS2) {
  check_prepare(g, std, S1, dS1, dS2);
  with_map_type(std, [&](auto map) {
    using Map = decltype(map);
    on_elements_of(std, [&](int64_t numel, void* stream) {
      return launch_prepare_gradients<Map>(
          g.const_data_ptr<Map>(), std.const_data_ptr<Map>(), S1.const_data_ptr<double>(), WindowSize(N), eps, d,
          dS1.mutable_data_ptr<double>(), dS2.mutable_data_ptr<double>(), numel, stream);
    });
  });
}

void local_std_combine_gradients(const Tensor& dI_S1, const Tensor& dI_S2, const Tensor& I, const Tensor& dI) {
  check_combine(dI_S1, dI_S2, I, dI);
  with_map_type(dI, [&](auto map) {
    using Map = decltype(map);
    on_elements_of(dI, [&](int64_t numel, void* stream) {
      return launch_combine_gradients<Map>(dI_S1.const_data_ptr<double>(), dI_S2.const_data_ptr<double>(),
                                           I.const_data_ptr<double>(), dI.mutable_data_ptr<Map>(), numel, stream);
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
