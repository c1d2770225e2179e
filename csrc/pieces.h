// How planes are cut into pieces, which are what threads share.
//
// The cut does not depend on the number of threads, and so neither does any bit of a result.
#pragma once

#include "centre.h"

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace zncc {

// The planes of a result, rows x columns each, in strips of rows and tiles of columns.
struct Cut {
  int64_t rows, columns, strip, tile;

  // For windows of h rows.
  Cut(int64_t rows, int64_t columns, int64_t h)
      : rows(rows), columns(columns), strip(std::max<int64_t>(divided_up(rows, strips_of(rows, h)), 1)), tile(4096) {}

  int64_t strips() const { return divided_up(rows, strip); }
  int64_t tiles() const { return divided_up(columns, tile); }
  int64_t pieces() const { return strips() * tiles(); }
  int64_t widest() const { return std::min(tile, columns); }

 private:
  static int64_t divided_up(int64_t count, int64_t by) { return (count + by - 1) / by; }

  // Of about 128 rows or four windows, since the first h - 1 rows of a strip are summed for nothing. Up to sixteen, for
  // many threads, and an even number of one size, so that two threads end together.
  static int64_t strips_of(int64_t rows, int64_t h) {
    const int64_t usual = std::max<int64_t>(128, 4 * h), strips = std::min<int64_t>((rows + usual / 2) / usual, 16);
    return strips < 2 ? 1 : strips / 2 * 2;
  }
};

// One of the pieces of all planes: rows [top, bottom) and columns [left, right) of a plane.
struct Piece {
  int64_t plane, top, bottom, left, right;

  Piece(const Cut& cut, int64_t index)
      : plane(index / cut.pieces()),
        top(index % cut.pieces() / cut.tiles() * cut.strip),
        bottom(std::min(top + cut.strip, cut.rows)),
        left(index % cut.pieces() % cut.tiles() * cut.tile),
        right(std::min(left + cut.tile, cut.columns)) {}
};

// The pieces that nobody has taken yet. Threads take one after the other, so that one on a slow or a busy core keeps no
// other waiting.
class Pieces {
 public:
  explicit Pieces(int64_t count) : count_(count) {}

  int64_t count() const { return count_; }

  // Returns whether there was one left, and sets its index; they come in order.
  bool take(int64_t* index) {
    *index = next_.fetch_add(1, std::memory_order_relaxed);
    return *index < count_;
  }

 private:
  const int64_t count_;
  std::atomic<int64_t> next_{0};
};

}  // namespace zncc
