// Means of neighbours that count, and fillings, on the CPU: filters.h.
#include "filters.h"

#include "box_sums.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace zncc {
namespace {

// out[x], of n: the sum over k, in this order, of weights[k] rows[k][x].
template <typename Map>
ZNCC_INLINE void weighted_sum(const Map* const* rows, const Map* weights, int64_t count, int64_t n, Map* out) {
  typedef Map Vector __attribute__((vector_size(32)));
  constexpr int64_t kLanes = 32 / sizeof(Map), kVectors = 4;
  int64_t x = 0;
  for (; x + kVectors * kLanes <= n; x += kVectors * kLanes) {
    Vector sums[kVectors];
    ZNCC_UNROLL_PLANES
    for (int64_t i = 0; i < kVectors; ++i) {
      std::memcpy(&sums[i], rows[0] + x + i * kLanes, sizeof sums[i]);
      sums[i] *= weights[0];
    }
    for (int64_t k = 1; k < count; ++k) {
      const Map* row = rows[k] + x;
      const Map weight = weights[k];
      ZNCC_UNROLL_PLANES
      for (int64_t i = 0; i < kVectors; ++i) {
        Vector values;
        std::memcpy(&values, row + i * kLanes, sizeof values);
        sums[i] += weight * values;
      }
    }
    ZNCC_UNROLL_PLANES
    for (int64_t i = 0; i < kVectors; ++i) {
      std::memcpy(out + x + i * kLanes, &sums[i], sizeof sums[i]);
    }
  }
  for (; x < n; ++x) {
    Map sum = weights[0] * rows[0][x];
    for (int64_t k = 1; k < count; ++k) {
      sum += weights[k] * rows[k][x];
    }
    out[x] = sum;
  }
}

// A row of n values with zeros on either side, and its weighted sums at every step-th place.
template <typename Map>
class Line {
 public:
  Line(int64_t n, int64_t step, const Kernel& kernel)
      : step_(step), reach_(kernel.reach), length_((n + 2 * reach_) / step + 1),
        values_(static_cast<size_t>(n + 2 * reach_ + step)),
        phases_(static_cast<size_t>(step == 1 ? 0 : step * length_)), rows_(static_cast<size_t>(2 * reach_ + 1)),
        weights_(kernel.taps, kernel.taps + 2 * reach_ + 1) {}

  Map* values() { return values_.data() + reach_; }

  // out[j], of count: the sum around the value first + step j.
  ZNCC_INLINE void sums(int64_t first, int64_t count, Map* out) {
    if (step_ == 2) {
      Map *even = phases_.data(), *odd = even + length_;
      const Map* from = values_.data();
      for (int64_t j = 0; j < length_; ++j) {
        even[j] = from[2 * j];
        odd[j] = from[2 * j + 1];
      }
    }
    for (int64_t k = 0; k <= 2 * reach_; ++k) {
      const int64_t at = first + k;
      rows_[k] = step_ == 2 ? phases_.data() + at % 2 * length_ + at / 2 : values_.data() + at;
    }
    weighted_sum(rows_.data(), weights_.data(), 2 * reach_ + 1, count, out);
  }

 private:
  int64_t step_, reach_, length_;
  std::vector<Map> values_, phases_;
  std::vector<const Map*> rows_;
  std::vector<Map> weights_;
};

// The sum of the taps around place x that fall on [0, n).
inline double total_at(const Kernel& kernel, int64_t x, int64_t n) {
  double total = 0.0;
  for (int64_t k = std::max(-kernel.reach, -x); k <= std::min(kernel.reach, n - 1 - x); ++k) {
    total += kernel.taps[kernel.reach + k];
  }
  return total;
}

// The totals are products of one number for the row and one for the column: a row's is divided out of its taps.
template <typename Map>
ZNCC_INLINE void smooth_box(const SmoothShape& shape, const Map* image, Map* out, uint8_t* valid, int64_t first,
                            int64_t last) {
  const Kernel& kernel = shape.kernel;
  const Box& box = shape.box;
  const int64_t height = box.bottom - box.top, width = box.right - box.left, wide = shape.out_width();
  // The places of the result inside the box, and the first of them as a column of the box.
  const int64_t begin = (box.left + shape.step - 1) / shape.step, end = (box.right + shape.step - 1) / shape.step;
  const int64_t column = begin * shape.step - box.left;
  std::vector<double> totals(static_cast<size_t>(end - begin));
  for (int64_t j = 0; j < end - begin; ++j) {
    totals[j] = total_at(kernel, column + j * shape.step, width);
  }
  const int64_t edge = kernel.reach / shape.step + 1;  // places at most this near to the sides lose taps
  Line<Map> line(width, shape.step, kernel);
  std::vector<const Map*> rows(static_cast<size_t>(2 * kernel.reach + 1));
  std::vector<Map> weights(rows.size());
  for (int64_t y = first; y < last; ++y) {
    Map* to = out + y * wide;
    uint8_t* counts = valid + y * wide;
    const int64_t row = y * shape.step - box.top;
    const double total = row < 0 || row >= height ? -1.0 : total_at(kernel, row, height);
    // Totals rise from the left side and fall to the right one.
    int64_t from = begin, until = end;
    while (from < until && !(std::min(total, totals[from - begin]) >= shape.min_share)) {
      ++from;
    }
    while (until > from && !(std::min(total, totals[until - 1 - begin]) >= shape.min_share)) {
      --until;
    }
    std::fill(to, to + from, Map(0));
    std::fill(to + until, to + wide, Map(0));
    std::fill(counts, counts + wide, uint8_t(0));
    std::fill(counts + from, counts + until, uint8_t(1));
    if (from == until) {
      continue;
    }
    int64_t count = 0;
    for (int64_t k = std::max(-kernel.reach, -row); k <= std::min(kernel.reach, height - 1 - row); ++k, ++count) {
      weights[count] = static_cast<Map>(kernel.taps[kernel.reach + k] / total);
      rows[count] = image + (box.top + row + k) * shape.width + box.left;
    }
    weighted_sum(rows.data(), weights.data(), count, width, line.values());
    line.sums(column + (from - begin) * shape.step, until - from, to + from);
    const int64_t left = std::min(begin + edge, until), right = std::max(end - edge, left);
    for (int64_t j = from; j < left; ++j) {
      to[j] /= static_cast<Map>(totals[j - begin]);
    }
    for (int64_t j = right; j < until; ++j) {
      to[j] /= static_cast<Map>(totals[j - begin]);
    }
  }
}

// Sums of values and of weights around the pixels of one row after the other, of an image with a mask of any shape;
// stride: from a row to the next, of both.
template <typename Map>
class MaskedSums {
 public:
  MaskedSums(int64_t height, int64_t width, int64_t stride, int64_t step, const Kernel& kernel, const uint8_t* mask,
             const Map* image, double offset)
      : height_(height), width_(width), stride_(stride), reach_(kernel.reach), mask_(mask), image_(image),
        offset_(static_cast<Map>(offset)), taps_(kernel.taps, kernel.taps + 2 * reach_ + 1), kept_(taps_.size(), -1),
        values_(taps_.size() * width), weights_(taps_.size() * width), rows_(taps_.size()),
        value_line_(width, step, kernel), weight_line_(width, step, kernel) {}

  // Of `count` places, step apart from column `first` on, in row y; rows are asked for in ascending order.
  ZNCC_INLINE void operator()(int64_t y, int64_t first, int64_t count, Map* sums, Map* totals) {
    const int64_t top = std::max<int64_t>(y - reach_, 0), bottom = std::min(y + reach_ + 1, height_);
    for (int64_t row = top; row < bottom; ++row) {
      keep(row);
    }
    const Map* taps = taps_.data() + top - (y - reach_);
    down(values_, top, bottom, taps, value_line_.values());
    down(weights_, top, bottom, taps, weight_line_.values());
    value_line_.sums(first, count, sums);
    weight_line_.sums(first, count, totals);
  }

 private:
  int64_t slot(int64_t row) const { return row % static_cast<int64_t>(kept_.size()); }

  ZNCC_INLINE void keep(int64_t row) {
    if (kept_[slot(row)] == row) {
      return;
    }
    kept_[slot(row)] = row;
    const Map* from = image_ + row * stride_;
    const uint8_t* counts = mask_ + row * stride_;
    Map* __restrict value = values_.data() + slot(row) * width_, * __restrict weight =
                                                                     weights_.data() + slot(row) * width_;
    const Map offset = offset_;
    ZNCC_VECTOR_LOOP
    for (int64_t x = 0; x < width_; ++x) {
      const bool here = counts[x] != 0;
      value[x] = here ? from[x] - offset : Map(0);
      weight[x] = here ? Map(1) : Map(0);
    }
  }

  ZNCC_INLINE void down(const std::vector<Map>& ring, int64_t top, int64_t bottom, const Map* taps, Map* out) {
    for (int64_t row = top; row < bottom; ++row) {
      rows_[row - top] = ring.data() + slot(row) * width_;
    }
    weighted_sum(rows_.data(), taps, bottom - top, width_, out);
  }

  int64_t height_, width_, stride_, reach_;
  const uint8_t* mask_;
  const Map* image_;
  Map offset_;
  std::vector<Map> taps_;
  std::vector<int64_t> kept_;  // which row lies in a slot of the rings
  std::vector<Map> values_, weights_;
  std::vector<const Map*> rows_;
  Line<Map> value_line_, weight_line_;
};

template <typename Map>
ZNCC_INLINE void smooth_masked(const SmoothShape& shape, const Map* image, Map* out, uint8_t* valid, int64_t first,
                               int64_t last) {
  const int64_t wide = shape.out_width(), step = shape.step;
  const Map min_share = static_cast<Map>(shape.min_share);
  MaskedSums<Map> sums_at(shape.height, shape.width, shape.width, step, shape.kernel, shape.mask, image, 0.0);
  std::vector<Map> sum(static_cast<size_t>(wide)), total(sum.size());
  for (int64_t y = first; y < last; ++y) {
    sums_at(y * step, 0, wide, sum.data(), total.data());
    const uint8_t* mask = shape.mask + y * step * shape.width;
    Map* __restrict to = out + y * wide;
    uint8_t* __restrict counts = valid + y * wide;
    for (int64_t j = 0; j < wide; ++j) {
      counts[j] = mask[j * step];
    }
    const Map *sums = sum.data(), *totals = total.data();
    ZNCC_VECTOR_LOOP
    for (int64_t j = 0; j < wide; ++j) {
      const bool here = counts[j] != 0 && totals[j] >= min_share;
      to[j] = here ? sums[j] / (here ? totals[j] : Map(1)) : Map(0);
      counts[j] = here ? 1 : 0;
    }
  }
}

template <typename Map>
ZNCC_INLINE void smooth_any(const SmoothShape& shape, const Map* image, Map* out, uint8_t* valid, int64_t first,
                            int64_t last) {
  if (shape.mask == nullptr) {
    smooth_box(shape, image, out, valid, first, last);
  } else {
    smooth_masked(shape, image, out, valid, first, last);
  }
}

// By strips of columns: most masks have their holes at the edges of the frame, and a strip without one is copied.
template <typename Map>
ZNCC_INLINE void fill_any(const FillShape& shape, const Map* image, Map* out, int64_t first, int64_t last) {
  constexpr int64_t kStrip = 64;  // pixels
  const int64_t width = shape.width, reach = shape.kernel.reach;
  const Map min_total = static_cast<Map>(shape.min_total), offset = static_cast<Map>(shape.offset);
  std::copy(image + first * width, image + last * width, out + first * width);
  Map sum[kStrip], total[kStrip];
  for (int64_t begin = 0; begin < width; begin += kStrip) {
    const int64_t count = std::min(kStrip, width - begin);
    const int64_t left = std::max<int64_t>(begin - reach, 0), right = std::min(begin + count + reach, width);
    MaskedSums<Map> sums_at(shape.height, right - left, width, 1, shape.kernel, shape.mask + left, image + left,
                            shape.offset);
    for (int64_t y = first; y < last; ++y) {
      const uint8_t* mask = shape.mask + y * width + begin;
      if (std::memchr(mask, 0, static_cast<size_t>(count)) == nullptr) {
        continue;
      }
      sums_at(y, begin - left, count, sum, total);
      Map* to = out + y * width + begin;
      for (int64_t x = 0; x < count; ++x) {
        if (mask[x] == 0) {
          to[x] = total[x] > min_total ? offset + sum[x] / total[x] : offset;
        }
      }
    }
  }
}

template <typename Map>
ZNCC_INLINE void replicate_any(int64_t width, const Box& box, const Map* image, Map* out, int64_t first, int64_t last) {
  for (int64_t y = first; y < last; ++y) {
    const Map* from = image + std::min(std::max(y, box.top), box.bottom - 1) * width;
    Map* to = out + y * width;
    std::fill(to, to + box.left, from[box.left]);
    std::copy(from + box.left, from + box.right, to + box.left);
    std::fill(to + box.right, to + width, from[box.right - 1]);
  }
}

// The line through a pixel that does not count, of the gap along pixels `step` apart.
template <typename Map>
struct Gap {
  Map value = Map(0), weight = Map(0);  // none

  // before, behind: how many pixels there are on either side.
  ZNCC_INLINE Gap(const Map* pixel, const uint8_t* counts, int64_t step, int64_t before, int64_t behind,
                  int64_t longest) {
    int64_t back = 1, forth = 1;
    while (back <= std::min(before, longest) && counts[-back * step] == 0) {
      ++back;
    }
    if (back > std::min(before, longest)) {
      return;
    }
    const int64_t most = std::min(behind, longest + 1 - back);
    while (forth <= most && counts[forth * step] == 0) {
      ++forth;
    }
    if (forth > most) {
      return;
    }
    const Map from = pixel[-back * step], to = pixel[forth * step], length = static_cast<Map>(back + forth - 1);
    value = from + static_cast<Map>(back) / static_cast<Map>(back + forth) * (to - from);
    weight = Map(1) / (length * length);
  }
};

template <typename Map>
ZNCC_INLINE int64_t fill_gaps_any(const GapShape& shape, const Map* image, Map* out, uint8_t* valid, int64_t first,
                                  int64_t last) {
  const int64_t height = shape.height, width = shape.width;
  int64_t filled = 0;
  for (int64_t y = first; y < last; ++y) {
    const int64_t row = y * width;
    std::copy_n(image + row, width, out + row);
    std::copy_n(shape.mask + row, width, valid + row);
    for (int64_t x = 0; x < width; ++x) {
      const void* hole = std::memchr(shape.mask + row + x, 0, static_cast<size_t>(width - x));
      if (hole == nullptr) {
        break;
      }
      x = static_cast<const uint8_t*>(hole) - (shape.mask + row);
      const int64_t at = row + x;
      const Gap<Map> across(image + at, shape.mask + at, 1, x, width - 1 - x, shape.longest);
      const Gap<Map> down(image + at, shape.mask + at, width, y, height - 1 - y, shape.longest);
      const Map weight = across.weight + down.weight;
      if (weight > Map(0)) {
        out[at] = (across.weight * across.value + down.weight * down.value) / weight;
        valid[at] = 1;
        ++filled;
      }
    }
  }
  return filled;
}

}  // namespace

bool find_rectangle(int64_t height, int64_t width, const uint8_t* mask, Box* box) {
  const auto* first = static_cast<const uint8_t*>(std::memchr(mask, 1, static_cast<size_t>(height * width)));
  if (first == nullptr) {
    return false;
  }
  // Its first row is the pattern of all others.
  box->top = (first - mask) / width;
  const uint8_t* pattern = mask + box->top * width;
  box->left = first - pattern;
  const void* behind = std::memchr(first, 0, static_cast<size_t>(width - box->left));
  box->right = behind == nullptr ? width : static_cast<const uint8_t*>(behind) - pattern;
  if (std::memchr(pattern + box->right, 1, static_cast<size_t>(width - box->right)) != nullptr) {
    return false;
  }
  box->bottom = box->top + 1;
  while (box->bottom < height && std::memcmp(pattern, mask + box->bottom * width, static_cast<size_t>(width)) == 0) {
    ++box->bottom;
  }
  return std::memchr(mask + box->bottom * width, 1, static_cast<size_t>((height - box->bottom) * width)) == nullptr;
}

void smooth(const SmoothShape& shape, const float* image, float* out, uint8_t* valid, int64_t first, int64_t last) {
  smooth_any(shape, image, out, valid, first, last);
}

void smooth(const SmoothShape& shape, const double* image, double* out, uint8_t* valid, int64_t first, int64_t last) {
  smooth_any(shape, image, out, valid, first, last);
}

void fill_holes(const FillShape& shape, const float* image, float* out, int64_t first, int64_t last) {
  fill_any(shape, image, out, first, last);
}

void fill_holes(const FillShape& shape, const double* image, double* out, int64_t first, int64_t last) {
  fill_any(shape, image, out, first, last);
}

int64_t fill_gaps(const GapShape& shape, const float* image, float* out, uint8_t* valid, int64_t first, int64_t last) {
  return fill_gaps_any(shape, image, out, valid, first, last);
}

int64_t fill_gaps(const GapShape& shape, const double* image, double* out, uint8_t* valid, int64_t first,
                  int64_t last) {
  return fill_gaps_any(shape, image, out, valid, first, last);
}

void replicate(int64_t width, const Box& box, const float* image, float* out, int64_t first, int64_t last) {
  replicate_any(width, box, image, out, first, last);
}

void replicate(int64_t width, const Box& box, const double* image, double* out, int64_t first, int64_t last) {
  replicate_any(width, box, image, out, first, last);
}

}  // namespace zncc
