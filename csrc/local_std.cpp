// Schemas of the three fused kernels, and their CPU kernels. Formulas, types and NaN policy: local_std.h.
// All tensors are contiguous, of one size per kernel, and may be empty; the last argument(s) are written.
#include "local_std.h"
#include "local_std_tensors.h"

namespace zncc {
namespace {

// Fewer elements than this are not worth waking another thread: about 20 microseconds of work.
constexpr int64_t kGrain = 32768;

template <typename F>
void for_each(int64_t numel, const F& f) {
  torch::stable::parallel_for(0, numel, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      f(i);
    }
  });
}

void local_std_forward(const Tensor& S1, const Tensor& S2, int64_t N, double eps, const Tensor& std) {
  check_forward(S1, S2, std);
  const double* s1 = S1.const_data_ptr<double>();
  const double* s2 = S2.const_data_ptr<double>();
  with_map_type(std, [&](auto map) {
    using Map = decltype(map);
    Map* out = std.mutable_data_ptr<Map>();
    for_each(std.numel(), [=](int64_t i) { out[i] = std_map<Map>(s1[i], s2[i], static_cast<double>(N), eps); });
  });
}

void local_std_prepare_gradients(const Tensor& g, const Tensor& std, const Tensor& S1, int64_t N, double eps,
                                 const Tensor& dS1, const Tensor& dS2) {
  check_prepare(g, std, S1, dS1, dS2);
  const double* s1 = S1.const_data_ptr<double>();
  double* ds1 = dS1.mutable_data_ptr<double>();
  double* ds2 = dS2.mutable_data_ptr<double>();
  with_map_type(std, [&](auto map) {
    using Map = decltype(map);
    const Map* grad = g.const_data_ptr<Map>();
    const Map* value = std.const_data_ptr<Map>();
    for_each(std.numel(), [=](int64_t i) {
      const SumGradients d = sum_gradients<Map>(grad[i], value[i], s1[i], static_cast<double>(N), eps);
      ds1[i] = d.dS1;
      ds2[i] = d.dS2;
    });
  });
}

void local_std_combine_gradients(const Tensor& dI_S1, const Tensor& dI_S2, const Tensor& I, const Tensor& dI) {
  check_combine(dI_S1, dI_S2, I, dI);
  const double* d1 = dI_S1.const_data_ptr<double>();
  const double* d2 = dI_S2.const_data_ptr<double>();
  const double* image = I.const_data_ptr<double>();
  with_map_type(dI, [&](auto map) {
    using Map = decltype(map);
    Map* out = dI.mutable_data_ptr<Map>();
    for_each(dI.numel(), [=](int64_t i) { out[i] = image_gradient<Map>(d1[i], d2[i], image[i]); });
  });
}

}  // namespace
}  // namespace zncc

STABLE_TORCH_LIBRARY_FRAGMENT(zncc, m) {
  m.def("local_std_forward(Tensor S1, Tensor S2, int N, float eps, Tensor(a!) std) -> ()");
  m.def(
      "local_std_prepare_gradients(Tensor g, Tensor std, Tensor S1, int N, float eps, Tensor(a!) dS1, Tensor(b!) dS2)"
      " -> ()");
  m.def("local_std_combine_gradients(Tensor dI_S1, Tensor dI_S2, Tensor I, Tensor(a!) dI) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(zncc, CPU, m) {
  m.impl("local_std_forward", TORCH_BOX(&zncc::local_std_forward));
  m.impl("local_std_prepare_gradients", TORCH_BOX(&zncc::local_std_prepare_gradients));
  m.impl("local_std_combine_gradients", TORCH_BOX(&zncc::local_std_combine_gradients));
}
