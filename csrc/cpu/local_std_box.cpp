// The direct path of the local standard deviation on the CPU: local_std_box.h.
#include "../local_std_box.h"

#include "box_sums.h"
#include "../local_std.h"

namespace zncc {
namespace {

// Returns false where the strip has to be done with care.
template <typename Map>
ZNCC_INLINE bool forward_strip(const LocalStdShape& shape, const Map* image, Map* std, const Strip& strip,
                               const Centre& centre, bool careful, BoxSums<2>& sums) {
  const int64_t width = shape.width, h = shape.h, columns = strip.right - strip.left;
  const WindowSize window(h * shape.w);
  const double c = centre.value, eps = shape.eps;
  const double limit = kOutlier * centre.square * static_cast<double>(h);
  const Prefetch<Map> prefetch(shape.pixels());
  sums.reset(columns + shape.w - 1, careful);
  for (int64_t y = strip.top; y < strip.bottom + h - 1; ++y) {
    const Map* row = image + y * width + strip.left;
    const auto enters = [=](int64_t x, double* v) {
      v[0] = static_cast<double>(row[x]) - c;
      v[1] = v[0] * v[0];
    };
    // a^2 - b^2 = (a - b) (a + b)
    const auto grows = [=](int64_t x, double* v) {
      const double in = static_cast<double>(row[x]), out = static_cast<double>(row[x - h * width]);
      v[0] = in - out;
      v[1] = v[0] * ((in - c) + (out - c));
    };
    sums.push(enters, grows, [&](int64_t first, int64_t count, const Sums& S) ZNCC_ALWAYS {
      const double *S1 = S[0], *S2 = S[1];
      Map* __restrict out = std + (y - h + 1) * shape.map_width() + strip.left + first;
      prefetch(count, row + first + width, out + shape.map_width());
      ZNCC_VECTOR_LOOP
      for (int64_t x = 0; x < count; ++x) {
        out[x] = std_map<Map>(S1[x], S2[x], window, eps);
      }
    });
    // Every row is in the window of one of these looks.
    const bool look = (y - strip.top + 1) % h == 0 || y + 1 == strip.bottom + h - 1;
    if (!careful && look && !(sums.largest(1) <= limit)) {
      return false;
    }
  }
  return true;
}

template <typename Map>
ZNCC_INLINE void forward(const LocalStdShape& shape, const Map* image, Map* std, StripQueue& strips) {
  const StripGrid grid(shape.map_height(), shape.map_width(), shape.h);
  BoxSums<2> sums(shape.h, shape.w, grid.widest() + shape.w - 1);
  for (int64_t index; strips.take(&index);) {
    const Strip strip(grid, index);
    const Map* plane = image + strip.plane * shape.height * shape.width;
    Map* out = std + strip.plane * grid.rows * grid.columns;
    const Centre centre = centre_of(strip.top, strip.bottom + shape.h - 1, strip.left, strip.right + shape.w - 1,
                                    [=](int64_t row, int64_t x) { return plane[row * shape.width + x]; });
    bool careful = shape.h * shape.w == 1;  // there Var is zero to the last bit
    while (!forward_strip(shape, plane, out, strip, centre, careful, sums)) {
      careful = true;
    }
  }
}

template <typename Map>
ZNCC_INLINE bool backward_strip(const LocalStdShape& shape, const Map* g, const Map* image, const Map* std, Map* dI,
                                const Strip& strip, double c, bool careful, BoxSums<1>& image_sums,
                                BoxSums<2>& map_sums) {
  const int64_t width = shape.width, h = shape.h, w = shape.w;
  const int64_t map_height = shape.map_height(), map_width = shape.map_width();
  const WindowSize window(h * w);
  const Map floor = std::sqrt(static_cast<Map>(shape.eps));  // what StdMap is where Var was clamped
  const Prefetch<Map> prefetch(shape.pixels());
  // The windows that hold a pixel of the strip, and those of them that there are.
  const int64_t first_row = std::max<int64_t>(strip.top - h + 1, 0);
  const int64_t left = strip.left - w + 1, n = strip.right - left;
  const int64_t first = std::max<int64_t>(left, 0), maps = std::min(strip.right, map_width) - first;
  image_sums.reset(maps + w - 1, careful);
  map_sums.reset(n, careful);
  int64_t image_row = first_row;
  for (int64_t y = strip.top - h + 1; y < strip.bottom; ++y) {
    map_sums.begin();
    if (y < 0 || y >= map_height) {
      map_sums.take(first - left, maps, [](int64_t, double* v) { v[0] = v[1] = 0.0; });
    } else {
      for (; image_row < y + h; ++image_row) {
        const Map* row = image + image_row * width + first;
        image_sums.push([=](int64_t x, double* v) { v[0] = static_cast<double>(row[x]) - c; },
                        [=](int64_t x, double* v) { v[0] = static_cast<double>(row[x]) - row[x - h * width]; },
                        [&](int64_t begin, int64_t count, const Sums& S) ZNCC_ALWAYS {
                          const double* S1 = S[0];
                          const Map* g_row = g + y * map_width + first + begin;
                          const Map* std_row = std + y * map_width + first + begin;
                          prefetch(count, row + begin + width, g_row + map_width, std_row + map_width);
                          map_sums.take(first - left + begin, count, [=](int64_t x, double* v) {
                            const Map q = unclamped<Map>(g_row[x] / std_row[x], std_row[x], floor);
                            v[0] = static_cast<double>(q);
                            v[1] = v[0] * (S1[x] * window.inverse_N);
                          });
                        });
      }
    }
    map_sums.end([&](int64_t begin, int64_t count, const Sums& S) ZNCC_ALWAYS {
      const double *sum_q = S[0], *sum_q_mean = S[1];
      const Map* row = image + y * width + strip.left + begin;
      Map* __restrict out = dI + y * width + strip.left + begin;
      prefetch(count, out + width);
      ZNCC_VECTOR_LOOP
      for (int64_t x = 0; x < count; ++x) {
        out[x] = static_cast<Map>((static_cast<double>(row[x]) - c) * sum_q[x] - sum_q_mean[x]);
      }
    });
  }
  return careful || (map_sums.largest(0) < HUGE_VAL && map_sums.largest(1) < HUGE_VAL);
}

template <typename Map>
ZNCC_INLINE void backward(const LocalStdShape& shape, const Map* g, const Map* image, const Map* std, Map* dI,
                          StripQueue& strips) {
  const StripGrid grid(shape.height, shape.width, shape.h);
  const int64_t columns = grid.widest();
  BoxSums<1> image_sums(shape.h, shape.w, columns + 2 * (shape.w - 1));
  BoxSums<2> map_sums(shape.h, shape.w, columns + shape.w - 1, shape.w - 1);
  // The last strips first: of image and StdMap they are what the forward pass has left in the cache.
  for (int64_t index; strips.take(&index);) {
    const Strip strip(grid, strips.count() - 1 - index);
    const int64_t image_at = strip.plane * shape.height * shape.width;
    const int64_t map_at = strip.plane * shape.map_height() * shape.map_width();
    const Centre centre = centre_of(strip.top, strip.bottom, strip.left, strip.right,
                                    [&](int64_t row, int64_t x) { return image[image_at + row * shape.width + x]; });
    bool careful = false;
    while (!backward_strip(shape, g + map_at, image + image_at, std + map_at, dI + image_at, strip, centre.value,
                           careful, image_sums, map_sums)) {
      careful = true;
    }
  }
}

template <typename Map>
ZNCC_INLINE bool sum_strip(const LocalStdShape& shape, const Map* plane, Map* out, const Strip& strip, double limit,
                           bool careful, BoxSums<1>& sums) {
  const int64_t width = shape.width, h = shape.h;
  const Prefetch<Map> prefetch(shape.pixels());
  sums.reset(strip.right - strip.left + shape.w - 1, careful);
  for (int64_t y = strip.top; y < strip.bottom + h - 1; ++y) {
    const Map* row = plane + y * width + strip.left;
    sums.push([=](int64_t x, double* v) { v[0] = static_cast<double>(row[x]); },
              [=](int64_t x, double* v) { v[0] = static_cast<double>(row[x]) - row[x - h * width]; },
              [&](int64_t first, int64_t count, const Sums& S) ZNCC_ALWAYS {
                const double* S1 = S[0];
                Map* __restrict to = out + (y - h + 1) * shape.map_width() + strip.left + first;
                prefetch(count, row + first + width, to + shape.map_width());
                ZNCC_VECTOR_LOOP
                for (int64_t x = 0; x < count; ++x) {
                  to[x] = static_cast<Map>(S1[x]);
                }
              });
    const bool look = (y - strip.top + 1) % h == 0 || y + 1 == strip.bottom + h - 1;
    if (!careful && look && !(sums.largest(0) <= limit)) {
      return false;
    }
  }
  return true;
}

template <typename Map>
ZNCC_INLINE void sum_strips(const LocalStdShape& shape, const Map* planes, Map* out, StripQueue& strips) {
  const StripGrid grid(shape.map_height(), shape.map_width(), shape.h);
  BoxSums<1> sums(shape.h, shape.w, grid.widest() + shape.w - 1);
  for (int64_t index; strips.take(&index);) {
    const Strip strip(grid, index);
    const Map* plane = planes + strip.plane * shape.height * shape.width;
    const Centre centre = centre_of(strip.top, strip.bottom + shape.h - 1, strip.left, strip.right + shape.w - 1,
                                    [=](int64_t row, int64_t x) { return plane[row * shape.width + x]; });
    const double usual = std::fabs(centre.value) + std::sqrt(centre.square);
    const double limit = kOutlier * usual * static_cast<double>(shape.h);
    bool careful = false;
    while (!sum_strip(shape, plane, out + strip.plane * grid.rows * grid.columns, strip, limit, careful, sums)) {
      careful = true;
    }
  }
}

}  // namespace

void box_forward(const LocalStdShape& shape, const float* image, float* std, StripQueue& strips) {
  forward(shape, image, std, strips);
}

void box_forward(const LocalStdShape& shape, const double* image, double* std, StripQueue& strips) {
  forward(shape, image, std, strips);
}

void box_backward(const LocalStdShape& shape, const float* g, const float* image, const float* std, float* dI,
                  StripQueue& strips) {
  backward(shape, g, image, std, dI, strips);
}

void box_backward(const LocalStdShape& shape, const double* g, const double* image, const double* std, double* dI,
                  StripQueue& strips) {
  backward(shape, g, image, std, dI, strips);
}

void window_sums(const LocalStdShape& shape, const float* planes, float* sums, StripQueue& strips) {
  sum_strips(shape, planes, sums, strips);
}

void window_sums(const LocalStdShape& shape, const double* planes, double* sums, StripQueue& strips) {
  sum_strips(shape, planes, sums, strips);
}

}  // namespace zncc
