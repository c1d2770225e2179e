// How planes are cut into strips, which are what threads share.
//
// The cut does not depend on the number of threads, and so neither does any bit of a result.
#pragma once

#include "centre.h"

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace zncc {

// The planes of a result, rows x columns each, in strips of at most strip_rows x strip_columns.
struct StripGrid {
  int64_t rows, columns, strip_rows, strip_columns;

  // For windows of h rows.
  StripGrid(int64_t rows, int64_t columns, int64_t h)
      : rows(rows), columns(columns), strip_rows(std::max<int64_t>(divided_up(rows, strips_down(rows, h)), 1)),
        strip_columns(4096) {}

  int64_t strips_across() const { return divided_up(columns, strip_columns); }
  int64_t strips_of_plane() const { return divided_up(rows, strip_rows) * strips_across(); }
  int64_t widest() const { return std::min(strip_columns, columns); }

 private:
  static int64_t divided_up(int64_t count, int64_t by) { return (count + by - 1) / by; }

  // Of about 128 rows or four windows, since the first h - 1 rows of a strip are summed for nothing. Up to sixteen, for
  // many threads, and an even number of one size, so that two threads end together.
  static int64_t strips_down(int64_t rows, int64_t h) {
    const int64_t usual = std::max<int64_t>(128, 4 * h), strips = std::min<int64_t>((rows + usual / 2) / usual, 16);
    return strips < 2 ? 1 : strips / 2 * 2;
  }
};

// One of the strips of all planes: rows [top, bottom) and columns [left, right) of a plane.
struct Strip {
  int64_t plane, top, bottom, left, right;

  Strip(const StripGrid& grid, int64_t index)
      : plane(index / grid.strips_of_plane()),
        top(index % grid.strips_of_plane() / grid.strips_across() * grid.strip_rows),
        bottom(std::min(top + grid.strip_rows, grid.rows)),
        left(index % grid.strips_of_plane() % grid.strips_across() * grid.strip_columns),
        right(std::min(left + grid.strip_columns, grid.columns)) {}
};

// The strips that nobody has taken yet. Threads take one after the other, so that one on a slow or a busy core keeps no
// other waiting.
class StripQueue {
 public:
  explicit StripQueue(int64_t count) : count_(count) {}

  int64_t count() const { return count_; }

  // Returns whether there was a strip left, and sets its index; they come in order.
  bool take(int64_t* index) {
    *index = next_.fetch_add(1, std::memory_order_relaxed);
    return *index < count_;
  }

 private:
  const int64_t count_;
  std::atomic<int64_t> next_{0};
};

}  // namespace zncc
