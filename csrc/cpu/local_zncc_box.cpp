// The summed local ZNCC of two images and its gradient on the CPU: local_zncc_box.h.
#include "../local_zncc_box.h"

#include "box_sums.h"
#include "../local_zncc.h"

namespace zncc {
namespace {

// Returns false where the strip has to be done with care.
template <typename Map>
ZNCC_INLINE bool zncc_strip(const LocalZnccShape& shape, const LocalZnccData<Map>& data, const Strip& strip,
                            double* strip_sum, bool careful, BoxSums<5>& image_sums, BoxSums<3>& map_sums) {
  const int64_t width = shape.width, h = shape.h, w = shape.w;
  const int64_t map_height = shape.map_height(), map_width = shape.map_width();
  const int64_t plane_at = strip.plane * shape.height * width, map_at = strip.plane * map_height * map_width;
  const WindowSize window(h * w);
  const double eps_f = shape.eps_f, eps_m = shape.eps_m;
  const Prefetch<Map> prefetch(shape.pixels());
  const auto centre_in = [&](const Map* image) {
    return centre_of(strip.top, strip.bottom, strip.left, strip.right, [&](int64_t row, int64_t x) {
      const int64_t about = map_at + window_about(row, x, map_height, map_width, h, w);
      return counted_pixel(image[plane_at + row * width + x], !data.weight || data.weight[about] != 0);
    });
  };
  const Centre centre_f = centre_in(data.f), centre_m = centre_in(data.m);
  const double c_f = centre_f.value, c_m = centre_m.value;
  const double limit_f = kOutlier * centre_f.square * static_cast<double>(h);
  const double limit_m = kOutlier * centre_m.square * static_cast<double>(h);
  // The windows that hold a pixel of the strip, and those of them that there are. Without a gradient, those that begin
  // in the strip.
  const int64_t top = data.dm ? strip.top - h + 1 : strip.top;
  const int64_t left = data.dm ? strip.left - w + 1 : strip.left, n = strip.right - left;
  const int64_t first_row = std::max<int64_t>(top, 0), last_row = std::min(strip.bottom + h - 1, shape.height);
  const int64_t first = std::max<int64_t>(left, 0), maps = std::min(strip.right, map_width) - first;
  const int64_t own = strip.left - left;  // the first window that begins in the strip
  double sum = 0.0;
  image_sums.reset(std::max(maps + w - 1, w), careful);
  map_sums.reset(n, careful);
  int64_t image_row = first_row;
  for (int64_t y = top; y < strip.bottom; ++y) {
    const bool windows = y >= 0 && y < map_height && maps > 0;
    map_sums.begin();
    if (!windows && data.dm) {
      map_sums.take(first - left, maps, [](int64_t, double* v) { v[0] = v[1] = v[2] = 0.0; });
    }
    for (; windows && image_row < y + h; ++image_row) {
      const Map* f = data.f + plane_at + image_row * width + first;
      const Map* m = data.m + plane_at + image_row * width + first;
      const auto at = [=](int64_t x, double* v) {
        v[0] = static_cast<double>(f[x]) - c_f;
        v[1] = static_cast<double>(m[x]) - c_m;
        v[2] = v[0] * v[0];
        v[3] = v[1] * v[1];
        v[4] = v[0] * v[1];
      };
      // a^2 - b^2 = (a - b) (a + b)
      const auto grows = [=](int64_t x, double* v) {
        const double f_in = static_cast<double>(f[x]) - c_f, f_out = static_cast<double>(f[x - h * width]) - c_f;
        const double m_in = static_cast<double>(m[x]) - c_m, m_out = static_cast<double>(m[x - h * width]) - c_m;
        v[0] = f_in - f_out;
        v[1] = m_in - m_out;
        v[2] = v[0] * (f_in + f_out);
        v[3] = v[1] * (m_in + m_out);
        v[4] = f_in * m_in - f_out * m_out;
      };
      image_sums.push(at, grows, [&](int64_t begin, int64_t count, const Sums& S) ZNCC_ALWAYS {
        const double *S_f = S[0], *S_m = S[1], *S_ff = S[2], *S_mm = S[3], *S_fm = S[4];
        const int64_t to = first - left + begin, map = map_at + y * map_width + first + begin;
        prefetch(count, f + begin + width, m + begin + width);
        double A[kBlock], B[kBlock], C[kBlock], wz[kBlock], z[kBlock];
        const auto each = [&](const auto& weight_at) ZNCC_ALWAYS {
          ZNCC_VECTOR_LOOP
          for (int64_t x = 0; x < count; ++x) {
            const WindowTerms t =
                window_terms({S_f[x], S_m[x], S_ff[x], S_mm[x], S_fm[x]}, weight_at(x), window, eps_f, eps_m);
            A[x] = t.A;
            B[x] = t.B;
            C[x] = t.C;
            wz[x] = t.wz;
            z[x] = t.z;
          }
        };
        if (data.weight) {
          const Map* weight = data.weight + map;
          prefetch(count, weight + map_width);
          each([=](int64_t x) { return static_cast<double>(weight[x]); });
        } else {
          each([](int64_t) { return 1.0; });
        }
        if (y >= strip.top && to + count > own) {
          const int64_t from = std::max<int64_t>(own - to, 0);
          sum += sum_of(wz + from, count - from);
          for (int64_t x = from; data.z && x < count; ++x) {
            data.z[map + x] = static_cast<Map>(z[x]);
          }
        }
        if (data.dm) {
          const double *a = A, *b = B, *c = C;
          map_sums.take(to, count, [=](int64_t x, double* v) {
            v[0] = a[x];
            v[1] = b[x];
            v[2] = c[x];
          });
        }
      });
      // Every row is in the window of one of these looks.
      const bool look = (image_row - first_row + 1) % h == 0 || image_row + 1 == last_row;
      if (!careful && look && !(image_sums.largest(2) <= limit_f && image_sums.largest(3) <= limit_m)) {
        return false;
      }
    }
    if (data.dm) {
      map_sums.end([&](int64_t begin, int64_t count, const Sums& S) ZNCC_ALWAYS {
        const double *sum_A = S[0], *sum_B = S[1], *sum_C = S[2];
        const int64_t at = plane_at + y * width + strip.left + begin;
        const Map *f = data.f + at, *m = data.m + at;
        Map* __restrict out = data.dm + at;
        prefetch(count, out + width);
        ZNCC_VECTOR_LOOP
        for (int64_t x = 0; x < count; ++x) {
          out[x] = pair_gradient<Map>(sum_A[x], sum_B[x], sum_C[x], static_cast<double>(f[x]) - c_f,
                                      static_cast<double>(m[x]) - c_m);
        }
      });
    }
  }
  *strip_sum = sum;
  return careful || !data.dm ||
         (map_sums.largest(0) < HUGE_VAL && map_sums.largest(1) < HUGE_VAL && map_sums.largest(2) < HUGE_VAL);
}

// Whether all windows that hold a pixel of the strip have weight zero.
template <typename Map>
ZNCC_INLINE bool nothing_counts(const LocalZnccShape& shape, const Map* weight, const Strip& strip) {
  const int64_t top = std::max<int64_t>(strip.top - shape.h + 1, 0),
                left = std::max<int64_t>(strip.left - shape.w + 1, 0);
  const int64_t right = std::min(strip.right, shape.map_width());
  for (int64_t y = top; y < std::min(strip.bottom, shape.map_height()); ++y) {
    const Map* row = weight + (strip.plane * shape.map_height() + y) * shape.map_width();
    if (std::any_of(row + left, row + right, [](Map w) { return w != 0; })) {
      return false;
    }
  }
  return true;
}

template <typename Map>
ZNCC_INLINE void zncc(const LocalZnccShape& shape, const LocalZnccData<Map>& data, StripQueue& strips) {
  const StripGrid grid = shape.strip_grid();
  const int64_t n = grid.widest() + shape.w - 1;
  BoxSums<5> image_sums(shape.h, shape.w, n + shape.w - 1);
  BoxSums<3> map_sums(data.dm ? shape.h : 1, shape.w, n, shape.w - 1);
  for (int64_t index; strips.take(&index);) {
    const Strip strip(grid, index);
    if (data.weight && !data.z && nothing_counts(shape, data.weight, strip)) {
      data.wz[index] = 0.0;
      for (int64_t y = strip.top; data.dm && y < strip.bottom; ++y) {
        Map* row = data.dm + (strip.plane * shape.height + y) * shape.width;
        std::fill(row + strip.left, row + strip.right, Map(0));
      }
      continue;
    }
    bool careful = shape.h * shape.w == 1;  // there Var is zero to the last bit
    while (!zncc_strip(shape, data, strip, data.wz + index, careful, image_sums, map_sums)) {
      careful = true;
    }
  }
}

}  // namespace

void zncc_box(const LocalZnccShape& shape, const LocalZnccData<float>& data, StripQueue& strips) {
  zncc(shape, data, strips);
}

void zncc_box(const LocalZnccShape& shape, const LocalZnccData<double>& data, StripQueue& strips) {
  zncc(shape, data, strips);
}

}  // namespace zncc
