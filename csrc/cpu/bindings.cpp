// Schemas of all native operators, and their CPU kernels. Formulas, types and NaN policy: local_std.h, local_zncc.h and
// warp.h. All tensors are contiguous, of one size per kernel, and may be empty; the last argument(s) are written.
#include "../local_std.h"
#include "../local_std_box.h"
#include "../tensors.h"
#include "../local_zncc_box.h"
#include "huge_pages.h"
#include "warp.h"

namespace zncc {
namespace {

// Fewer elements than these, about 20 microseconds of work, are not worth waking another thread for.
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
    for_each(std.numel(), [=](int64_t i) { out[i] = std_map<Map>(s1[i], s2[i], WindowSize(N), eps); });
  });
}

void local_std_prepare_gradients(const Tensor& g, const Tensor& std, const Tensor& S1, int64_t N, double eps, double d,
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
      const SumGradients gradients = sum_gradients<Map>(grad[i], value[i], s1[i], WindowSize(N), eps, d);
      ds1[i] = gradients.dS1;
      ds2[i] = gradients.dS2;
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

// Calls f(strips) on as many threads as there are strips, at most: each strip is worth a thread.
template <typename F>
void share(int64_t count, const F& f) {
  StripQueue strips(count);
  torch::stable::parallel_for(0, count, 1, [&](int64_t, int64_t) { f(strips); });
}

void local_std_box_forward(const Tensor& image, int64_t h, int64_t w, double eps, const Tensor& std) {
  const LocalStdShape shape = check_box(image, h, w, eps, std);
  if (std.numel() == 0) {
    return;
  }
  with_map_type(std, [&](auto map) {
    using Map = decltype(map);
    const Map* in = image.const_data_ptr<Map>();
    Map* out = std.mutable_data_ptr<Map>();
    advise_huge_pages(out, std.numel() * sizeof(Map));
    share(shape.planes * StripGrid(shape.map_height(), shape.map_width(), h).strips_of_plane(),
          [=](StripQueue& strips) { box_forward(shape, in, out, strips); });
  });
}

void window_sums_of(const Tensor& planes, int64_t h, int64_t w, const Tensor& sums) {
  const LocalStdShape shape = check_box(planes, h, w, 0.0, sums);
  if (sums.numel() == 0) {
    return;
  }
  with_map_type(sums, [&](auto map) {
    using Map = decltype(map);
    const Map* in = planes.const_data_ptr<Map>();
    Map* out = sums.mutable_data_ptr<Map>();
    advise_huge_pages(out, sums.numel() * sizeof(Map));
    share(shape.planes * StripGrid(shape.map_height(), shape.map_width(), h).strips_of_plane(),
          [=](StripQueue& strips) { window_sums(shape, in, out, strips); });
  });
}

// The sums of a strip are still at hand when its gradient is taken: the CPU has no use for M.
void local_std_box_backward(const Tensor& g, const Tensor& image, const Tensor& std, const std::optional<Tensor>&,
                            int64_t h, int64_t w, double eps, const Tensor& dI) {
  const LocalStdShape shape = check_box(image, h, w, eps, std);
  check_plane(g, "g", std.scalar_type(), std);
  check_plane(dI, "dI", image.scalar_type(), image);
  if (dI.numel() == 0) {
    return;
  }
  with_map_type(dI, [&](auto map) {
    using Map = decltype(map);
    const Map* in = image.const_data_ptr<Map>();
    const Map* grad = g.const_data_ptr<Map>();
    const Map* value = std.const_data_ptr<Map>();
    Map* out = dI.mutable_data_ptr<Map>();
    advise_huge_pages(out, dI.numel() * sizeof(Map));
    share(shape.planes * StripGrid(shape.height, shape.width, h).strips_of_plane(),
          [=](StripQueue& strips) { box_backward(shape, grad, in, value, out, strips); });
  });
}

void local_zncc_box(const Tensor& fixed, const Tensor& moving, const std::optional<Tensor>& weight, int64_t h,
                    int64_t w, double eps_f, double eps_m, const Tensor& strip_sums, const std::optional<Tensor>& dm,
                    const std::optional<Tensor>& z) {
  const LocalZnccShape shape = check_pair(fixed, moving, weight, h, w, eps_f, eps_m, strip_sums, dm, z);
  if (strip_sums.numel() == 0) {
    return;
  }
  with_map_type(fixed, [&](auto map) {
    using Map = decltype(map);
    const LocalZnccData<Map> data{fixed.const_data_ptr<Map>(),
                                  moving.const_data_ptr<Map>(),
                                  weight ? weight->const_data_ptr<Map>() : nullptr,
                                  strip_sums.mutable_data_ptr<double>(),
                                  dm ? dm->mutable_data_ptr<Map>() : nullptr,
                                  z ? z->mutable_data_ptr<Map>() : nullptr};
    for (const std::optional<Tensor>& out : {dm, z}) {
      if (out) {
        advise_huge_pages(out->mutable_data_ptr<Map>(), out->numel() * sizeof(Map));
      }
    }
    share(strip_sums.numel(), [=](StripQueue& left) { zncc_box(shape, data, left); });
  });
}

int64_t local_zncc_strips(int64_t height, int64_t width, int64_t h) {
  return StripGrid(height, width, h).strips_of_plane();
}

void scaled_planes(const Tensor& planes, const Tensor& factors, const Tensor& out) {
  check_plane(planes, "planes", out.scalar_type(), out);
  check_plane(factors, "factors", out.scalar_type(), factors);
  if (out.numel() == 0) {
    return;
  }
  ZNCC_CHECK(factors.numel() > 0 && out.numel() % factors.numel() == 0, "there must be a factor for each plane");
  with_map_type(out, [&](auto map) {
    using Map = decltype(map);
    const Map* in = planes.const_data_ptr<Map>();
    const Map* factor = factors.const_data_ptr<Map>();
    Map* result = out.mutable_data_ptr<Map>();
    const int64_t size = out.numel() / factors.numel();
    advise_huge_pages(result, out.numel() * sizeof(Map));
    for (int64_t plane = 0; plane < factors.numel(); ++plane) {
      const Map by = factor[plane];
      for_each(size, [=](int64_t i) { result[plane * size + i] = by * in[plane * size + i]; });
    }
  });
}

WarpShape check_warp(const Tensor& knots, const Tensor& matrix, int64_t degree, int64_t left, int64_t top,
                     int64_t right, int64_t bottom, const Tensor& values, const Tensor& depth) {
  ZNCC_CHECK(knots.dim() == 3 && values.dim() == 3 && depth.dim() == 2, "knots and values must have shape (C, H, W)");
  ZNCC_CHECK(degree == 1 || degree == 3 || degree == kLanczos, "the degree must be 1 or 3, or Lanczos's");
  check_plane(matrix, "matrix", ScalarType::Double, matrix);
  ZNCC_CHECK(matrix.numel() == 9, "matrix must have shape (3, 3)");
  check_plane(knots, "knots", values.scalar_type(), knots);
  check_plane(values, "values", values.scalar_type(), values);
  check_plane(depth, "depth", values.scalar_type(), depth);
  WarpShape shape{knots.size(0),
                  knots.size(1),
                  knots.size(2),
                  values.size(1),
                  values.size(2),
                  degree,
                  left,
                  top,
                  right,
                  bottom,
                  {},
                  {},
                  {}};
  constexpr int64_t kMaxSide = static_cast<int64_t>(kMaxCoordinate);
  ZNCC_CHECK(shape.planes == values.size(0) && depth.numel() == shape.frame_height * shape.frame_width,
             "knots, values and depth do not fit");
  ZNCC_CHECK(knots.numel() > 0 && shape.height < kMaxSide && shape.width < kMaxSide,
             "there must be knots, not too many");
  std::copy_n(matrix.const_data_ptr<double>(), 9, shape.M);
  return shape;
}

// Rows of the frame that are worth waking another thread for.
int64_t warp_grain(const WarpShape& shape) { return kGrain / 4 / std::max<int64_t>(shape.frame_width, 1) + 1; }

void warp_forward(const Tensor& knots, const Tensor& matrix, int64_t degree, int64_t left, int64_t top, int64_t right,
                  int64_t bottom, int64_t frame_column, int64_t frame_row, int64_t knots_column, int64_t knots_row,
                  const Tensor& values, const Tensor& depth) {
  WarpShape shape = check_warp(knots, matrix, degree, left, top, right, bottom, values, depth);
  shape.frame = {frame_column, frame_row};
  shape.knots = {knots_column, knots_row};
  with_map_type(values, [&](auto map) {
    using Map = decltype(map);
    const Map* from = knots.const_data_ptr<Map>();
    Map *to = values.mutable_data_ptr<Map>(), *how_deep = depth.mutable_data_ptr<Map>();
    torch::stable::parallel_for(0, shape.frame_height, warp_grain(shape),
                                [=](int64_t first, int64_t last) { warp(shape, from, to, how_deep, first, last); });
  });
}

// Parts of the columns at once, then parts of the rows.
template <typename Map>
void spline_knots(int64_t height, int64_t width, const Map* plane, Map* knots) {
  torch::stable::parallel_for(0, width, kGrain / height + 1, [=](int64_t first, int64_t last) {
    knots_of_columns(height, width, plane, knots, first, last);
  });
  // Eight rows at once take hardly longer than one.
  constexpr int64_t kRows = 8;
  torch::stable::parallel_for(
      0, (height + kRows - 1) / kRows, kGrain / kRows / width + 1,
      [=](int64_t first, int64_t last) { knots_of_rows(width, knots, first * kRows, std::min(last * kRows, height)); });
}

void spline_knots_of(const Tensor& planes, const Tensor& knots) {
  ZNCC_CHECK(planes.dim() == 3, "planes must have shape (C, H, W)");
  check_plane(planes, "planes", planes.scalar_type(), planes);
  check_plane(knots, "knots", planes.scalar_type(), planes);
  if (planes.numel() == 0) {
    return;
  }
  with_map_type(planes, [&](auto map) {
    using Map = decltype(map);
    const Map* from = planes.const_data_ptr<Map>();
    Map* to = knots.mutable_data_ptr<Map>();
    advise_huge_pages(to, knots.numel() * sizeof(Map));
    const int64_t height = planes.size(1), width = planes.size(2), size = height * width;
    for (int64_t plane = 0; plane < planes.size(0); ++plane) {
      spline_knots(height, width, from + plane * size, to + plane * size);
    }
  });
}

void weighted_sums_of(const Tensor& planes, const Tensor& weights, const Tensor& out) {
  ZNCC_CHECK(planes.dim() == 3 && weights.dim() == 1 && out.dim() == 3, "planes and out must have shape (C, H, W)");
  check_plane(planes, "planes", ScalarType::Double, planes);
  check_plane(weights, "weights", ScalarType::Double, weights);
  check_plane(out, "out", ScalarType::Double, out);
  const int64_t reach = weights.size(0) - 1, height = out.size(1), width = out.size(2);
  ZNCC_CHECK(reach >= 0 && planes.size(0) == out.size(0) && planes.size(1) == height + 2 * reach &&
                 planes.size(2) == width + 2 * reach,
             "planes must be larger than out by the reach of the weights");
  const double *by = weights.const_data_ptr<double>(), *from = planes.const_data_ptr<double>();
  double* to = out.mutable_data_ptr<double>();
  const int64_t size = planes.size(1) * planes.size(2), grain = kGrain / 16 / std::max<int64_t>(width, 1) + 1;
  for (int64_t plane = 0; plane < out.size(0); ++plane) {
    torch::stable::parallel_for(0, height, grain, [=](int64_t first, int64_t last) {
      weighted_sums(width, reach, by, from + plane * size, to + plane * height * width, first, last);
    });
  }
}

}  // namespace
}  // namespace zncc

STABLE_TORCH_LIBRARY_FRAGMENT(zncc, m) {
  m.def("local_std_forward(Tensor S1, Tensor S2, int N, float eps, Tensor(a!) std) -> ()");
  m.def(
      "local_std_prepare_gradients(Tensor g, Tensor std, Tensor S1, int N, float eps, float d, Tensor(a!) dS1,"
      " Tensor(b!) dS2) -> ()");
  m.def("local_std_box_forward(Tensor image, int h, int w, float eps, Tensor(a!) std) -> ()");
  m.def("local_std_box_forward_with_mean(Tensor image, int h, int w, float eps, Tensor(a!) std, Tensor(b!) M) -> ()");
  m.def(
      "local_std_box_backward(Tensor g, Tensor image, Tensor std, Tensor? M, int h, int w, float eps, Tensor(a!) dI)"
      " -> ()");
  m.def("window_sums(Tensor planes, int h, int w, Tensor(a!) sums) -> ()");
  m.def(
      "local_zncc_box(Tensor fixed, Tensor moving, Tensor? weight, int h, int w, float eps_f, float eps_m,"
      " Tensor(a!) strip_sums, Tensor(b!)? dm, Tensor(c!)? z) -> ()");
  m.def("local_zncc_strips(int height, int width, int h) -> int");
  m.def("scaled_planes(Tensor planes, Tensor factors, Tensor(a!) out) -> ()");
  m.def(
      "warp(Tensor knots, Tensor matrix, int degree, int left, int top, int right, int bottom, int frame_column,"
      " int frame_row, int knots_column, int knots_row, Tensor(a!) values, Tensor(b!) depth) -> ()");
  m.def("spline_knots(Tensor planes, Tensor(a!) knots) -> ()");
  m.def("weighted_sums(Tensor planes, Tensor weights, Tensor(a!) out) -> ()");
  m.def("local_std_combine_gradients(Tensor dI_S1, Tensor dI_S2, Tensor I, Tensor(a!) dI) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(zncc, CPU, m) {
  m.impl("local_std_forward", TORCH_BOX(&zncc::local_std_forward));
  m.impl("local_std_prepare_gradients", TORCH_BOX(&zncc::local_std_prepare_gradients));
  m.impl("local_std_box_forward", TORCH_BOX(&zncc::local_std_box_forward));
  m.impl("local_std_box_backward", TORCH_BOX(&zncc::local_std_box_backward));
  m.impl("window_sums", TORCH_BOX(&zncc::window_sums_of));
  m.impl("local_zncc_box", TORCH_BOX(&zncc::local_zncc_box));
  m.impl("scaled_planes", TORCH_BOX(&zncc::scaled_planes));
  m.impl("warp", TORCH_BOX(&zncc::warp_forward));
  m.impl("spline_knots", TORCH_BOX(&zncc::spline_knots_of));
  m.impl("weighted_sums", TORCH_BOX(&zncc::weighted_sums_of));
  m.impl("local_std_combine_gradients", TORCH_BOX(&zncc::local_std_combine_gradients));
}

STABLE_TORCH_LIBRARY_IMPL(zncc, CompositeExplicitAutograd, m) {
  m.impl("local_zncc_strips", TORCH_BOX(&zncc::local_zncc_strips));
}
