// Schemas and CPU kernels of the filters that prepare images: filters.h and pixels.h. Images are contiguous float32 or float64 of
// shape (H, W), masks uint8 of zeros and ones; the last argument(s) are written.
#include "../tensors.h"
#include "filters.h"
#include "huge_pages.h"
#include "pixels.h"

#include <atomic>

namespace zncc {
namespace {

// Fewer pixels than these, about 20 microseconds of work, are not worth waking another thread for.
constexpr int64_t kGrain = 32768;

const uint8_t* mask_data(const std::optional<Tensor>& mask, const Tensor& like) {
  if (!mask) {
    return nullptr;
  }
  check_plane(*mask, "mask", ScalarType::Byte, like);
  return mask->const_data_ptr<uint8_t>();
}

void check_image(const Tensor& image) {
  ZNCC_CHECK(image.dim() == 2, "an image must have shape (H, W)");
  check_plane(image, "image", image.scalar_type(), image);
}

Kernel check_kernel(const Tensor& taps) {
  check_plane(taps, "taps", ScalarType::Double, taps);
  ZNCC_CHECK(taps.numel() % 2 == 1, "there must be an odd number of taps");
  return {taps.numel() / 2, taps.const_data_ptr<double>()};
}

Box check_box(int64_t top, int64_t bottom, int64_t left, int64_t right, const Tensor& image) {
  ZNCC_CHECK(
      0 <= top && top <= bottom && bottom <= image.size(0) && 0 <= left && left <= right && right <= image.size(1),
      "the box must lie in the image");
  return {top, bottom, left, right};
}

template <typename Element>
Element* written(const Tensor& plane) {
  Element* data = plane.mutable_data_ptr<Element>();
  advise_huge_pages(data, plane.numel() * sizeof(Element));
  return data;
}

// Calls f(first, last) for rows of an image.
template <typename F>
void for_rows(int64_t height, int64_t width, const F& f) {
  torch::stable::parallel_for(0, height, kGrain / std::max<int64_t>(width, 1) + 1, f);
}

void find_rectangle_of(const Tensor& mask, const Tensor& box) {
  ZNCC_CHECK(mask.dim() == 2, "a mask must have shape (H, W)");
  const uint8_t* data = mask_data(mask, mask);
  check_plane(box, "box", ScalarType::Long, box);
  ZNCC_CHECK(box.numel() == 4, expected("box", box.numel(), 4));
  Box found{};
  if (mask.numel() == 0 || !find_rectangle(mask.size(0), mask.size(1), data, &found)) {
    found = {};
  }
  const int64_t sides[4] = {found.top, found.bottom, found.left, found.right};
  std::copy_n(sides, 4, box.mutable_data_ptr<int64_t>());
}

void smooth_of(const Tensor& image, const std::optional<Tensor>& mask, int64_t top, int64_t bottom, int64_t left,
               int64_t right, const Tensor& taps, double min_share, int64_t step, const Tensor& out,
               const Tensor& valid) {
  check_image(image);
  ZNCC_CHECK(step == 1 || step == 2, "every pixel is computed, or every second one");
  const SmoothShape shape{image.size(0),
                          image.size(1),
                          step,
                          check_kernel(taps),
                          min_share,
                          mask_data(mask, image),
                          check_box(top, bottom, left, right, image)};
  check_plane(out, "out", image.scalar_type(), out);
  check_plane(valid, "valid", ScalarType::Byte, out);
  ZNCC_CHECK(out.numel() == shape.out_height() * shape.out_width(),
             expected("out", out.numel(), shape.out_height() * shape.out_width()));
  with_map_type(image, [&](auto map) {
    using Map = decltype(map);
    const Map* from = image.const_data_ptr<Map>();
    Map* to = written<Map>(out);
    uint8_t* counts = written<uint8_t>(valid);
    for_rows(shape.out_height(), shape.width,
             [=](int64_t first, int64_t last) { smooth(shape, from, to, counts, first, last); });
  });
}

void fill_holes_of(const Tensor& image, const Tensor& mask, const Tensor& taps, double min_total, double offset,
                   const Tensor& out) {
  check_image(image);
  check_plane(out, "out", image.scalar_type(), image);
  const FillShape shape{image.size(0), image.size(1), check_kernel(taps), min_total, offset, mask_data(mask, image)};
  with_map_type(image, [&](auto map) {
    using Map = decltype(map);
    const Map* from = image.const_data_ptr<Map>();
    Map* to = written<Map>(out);
    for_rows(shape.height, shape.width, [=](int64_t first, int64_t last) { fill_holes(shape, from, to, first, last); });
  });
}

int64_t fill_gaps_of(const Tensor& image, const Tensor& mask, int64_t longest, const Tensor& out, const Tensor& valid) {
  check_image(image);
  check_plane(out, "out", image.scalar_type(), image);
  check_plane(valid, "valid", ScalarType::Byte, image);
  const GapShape shape{image.size(0), image.size(1), longest, mask_data(mask, image)};
  std::atomic<int64_t> filled{0};
  with_map_type(image, [&](auto map) {
    using Map = decltype(map);
    const Map* from = image.const_data_ptr<Map>();
    Map* to = written<Map>(out);
    uint8_t* counts = written<uint8_t>(valid);
    for_rows(shape.height, shape.width,
             [&](int64_t first, int64_t last) { filled += fill_gaps(shape, from, to, counts, first, last); });
  });
  return filled;
}

void replicate_of(const Tensor& image, int64_t top, int64_t bottom, int64_t left, int64_t right, const Tensor& out) {
  check_image(image);
  check_plane(out, "out", image.scalar_type(), image);
  const Box box = check_box(top, bottom, left, right, image);
  ZNCC_CHECK(top < bottom && left < right, "the box must hold a pixel");
  with_map_type(image, [&](auto map) {
    using Map = decltype(map);
    const Map* from = image.const_data_ptr<Map>();
    Map* to = written<Map>(out);
    const int64_t width = image.size(1);
    for_rows(image.size(0), width, [=](int64_t first, int64_t last) { replicate(width, box, from, to, first, last); });
  });
}

// Calls f with a value of the type of the pixels.
template <typename F>
void with_pixel_type(const Tensor& pixels, const F& f) {
  switch (pixels.scalar_type()) {
    case ScalarType::Byte:
      return f(uint8_t{});
    case ScalarType::Short:
      return f(int16_t{});
    case ScalarType::UInt16:
      return f(uint16_t{});
    case ScalarType::Int:
      return f(int32_t{});
    default:
      return with_map_type(pixels, f);
  }
}

int64_t strips_of(int64_t pixels) { return (pixels + kMomentsStrip - 1) / kMomentsStrip; }

void pixel_moments(const Tensor& pixels, const std::optional<Tensor>& mask, const Tensor& gaps, const Tensor& counted,
                   const Tensor& table) {
  const int64_t size = pixels.numel();
  check_plane(pixels, "pixels", pixels.scalar_type(), pixels);
  check_plane(gaps, "gaps", ScalarType::Double, gaps);
  check_plane(counted, "counted", ScalarType::Byte, pixels);
  check_plane(table, "table", ScalarType::Double, table);
  ZNCC_CHECK(table.numel() == 5 * strips_of(size), expected("table", table.numel(), 5 * strips_of(size)));
  const uint8_t* counts = mask_data(mask, pixels);
  const double* values = gaps.const_data_ptr<double>();
  const int64_t gap_count = gaps.numel();
  uint8_t* ok = written<uint8_t>(counted);
  double* rows = table.mutable_data_ptr<double>();
  with_pixel_type(pixels, [&](auto pixel) {
    using Pixel = decltype(pixel);
    const Pixel* data = pixels.const_data_ptr<Pixel>();
    torch::stable::parallel_for(0, strips_of(size), 1, [=](int64_t first, int64_t last) {
      for (int64_t strip = first; strip < last; ++strip) {
        const int64_t begin = strip * kMomentsStrip, end = std::min(begin + kMomentsStrip, size);
        const Moments found = moments(data, counts, values, gap_count, ok, begin, end);
        const double row[5] = {found.count, found.mean, found.low, found.high, found.squares};
        std::copy_n(row, 5, rows + 5 * strip);
      }
    });
  });
}

void standardize_of(const Tensor& pixels, const std::optional<Tensor>& mask, double mean, double factor,
                    const Tensor& out) {
  check_plane(pixels, "pixels", pixels.scalar_type(), pixels);
  check_plane(out, "out", ScalarType::Float, pixels);
  const uint8_t* counts = mask_data(mask, pixels);
  float* to = written<float>(out);
  with_pixel_type(pixels, [&](auto pixel) {
    using Pixel = decltype(pixel);
    const Pixel* data = pixels.const_data_ptr<Pixel>();
    torch::stable::parallel_for(0, pixels.numel(), kGrain, [=](int64_t begin, int64_t end) {
      standardize(data, counts, mean, factor, to, begin, end);
    });
  });
}

// Returns how many places were found; they are written in no particular order.
int64_t find_single_pixels_of(const Tensor& image, const std::optional<Tensor>& mask, double min_excess,
                              double min_excess_ranges, const Tensor& places) {
  check_image(image);
  check_plane(places, "places", ScalarType::Long, image);
  const SinglePixels shape{image.size(0), image.size(1), min_excess, min_excess_ranges, mask_data(mask, image)};
  int64_t* to = places.mutable_data_ptr<int64_t>();
  std::atomic<int64_t> count{0};
  with_map_type(image, [&](auto map) {
    using Map = decltype(map);
    const Map* from = image.const_data_ptr<Map>();
    for_rows(shape.height, shape.width, [&](int64_t first, int64_t last) {
      std::vector<int64_t> found;
      find_single_pixels(shape, from, first, last, &found);
      std::copy(found.begin(), found.end(), to + count.fetch_add(static_cast<int64_t>(found.size())));
    });
  });
  return count;
}

void without_single_pixels_of(const Tensor& image, const Tensor& out) {
  check_image(image);
  check_plane(out, "out", image.scalar_type(), image);
  const int64_t height = image.size(0), width = image.size(1);
  with_map_type(image, [&](auto map) {
    using Map = decltype(map);
    const Map* from = image.const_data_ptr<Map>();
    Map* to = written<Map>(out);
    for_rows(height, width,
             [=](int64_t first, int64_t last) { without_single_pixels(height, width, from, to, first, last); });
  });
}

}  // namespace
}  // namespace zncc

STABLE_TORCH_LIBRARY_FRAGMENT(zncc, m) {
  m.def("find_rectangle(Tensor mask, Tensor(a!) box) -> ()");
  m.def(
      "smooth(Tensor image, Tensor? mask, int top, int bottom, int left, int right, Tensor taps, float min_share,"
      " int step, Tensor(a!) out, Tensor(b!) valid) -> ()");
  m.def("fill_holes(Tensor image, Tensor mask, Tensor taps, float min_total, float offset, Tensor(a!) out) -> ()");
  m.def("pixel_moments(Tensor pixels, Tensor? mask, Tensor gaps, Tensor(a!) counted, Tensor(b!) table) -> ()");
  m.def("pixel_moments_strips(int pixels) -> int");
  m.def("standardize(Tensor pixels, Tensor? mask, float mean, float factor, Tensor(a!) out) -> ()");
  m.def(
      "find_single_pixels(Tensor image, Tensor? mask, float min_excess, float min_excess_ranges, Tensor(a!) places)"
      " -> int");
  m.def("fill_gaps(Tensor image, Tensor mask, int longest, Tensor(a!) out, Tensor(b!) valid) -> int");
  m.def("replicate(Tensor image, int top, int bottom, int left, int right, Tensor(a!) out) -> ()");
  m.def("without_single_pixels(Tensor image, Tensor(a!) out) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(zncc, CPU, m) {
  m.impl("find_rectangle", TORCH_BOX(&zncc::find_rectangle_of));
  m.impl("smooth", TORCH_BOX(&zncc::smooth_of));
  m.impl("fill_holes", TORCH_BOX(&zncc::fill_holes_of));
  m.impl("pixel_moments", TORCH_BOX(&zncc::pixel_moments));
  m.impl("standardize", TORCH_BOX(&zncc::standardize_of));
  m.impl("find_single_pixels", TORCH_BOX(&zncc::find_single_pixels_of));
  m.impl("fill_gaps", TORCH_BOX(&zncc::fill_gaps_of));
  m.impl("replicate", TORCH_BOX(&zncc::replicate_of));
  m.impl("without_single_pixels", TORCH_BOX(&zncc::without_single_pixels_of));
}

STABLE_TORCH_LIBRARY_IMPL(zncc, CompositeExplicitAutograd, m) {
  m.impl("pixel_moments_strips", TORCH_BOX(&zncc::strips_of));
}
