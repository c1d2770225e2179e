// How planes are cut into pieces, which are what threads share.
//
// The cut does not depend on the number of threads, and so neither does any bit of a result.
#pragma once

#include "centre.h"

#include <algorithm>
#include <cstdint>

namespace zncc {

// The planes of a result, rows x columns each, in strips of rows and tiles of columns.
struct Cut {
  int64_t rows, columns, strip, tile;

  // For windows of h rows: the first h - 1 rows of a strip are summed for nothing. Sixteen strips for many threads.
  Cut(int64_t rows, int64_t columns, int64_t h)
      : rows(rows), columns(columns), strip(std::max<int64_t>({128, 4 * h, rows / 16})), tile(4096) {}

  int64_t strips() const { return (rows + strip - 1) / strip; }
  int64_t tiles() const { return (columns + tile - 1) / tile; }
  int64_t pieces() const { return strips() * tiles(); }
  int64_t widest() const { return std::min(tile, columns); }
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

}  // namespace zncc
