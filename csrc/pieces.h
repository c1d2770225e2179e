// How planes are cut into pieces, which are what threads share, and what an image is centred by within a piece.
//
// The cut does not depend on the number of threads, and so neither does any bit of a result.
#pragma once

#include <algorithm>
#include <cmath>
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

// The square of a usual difference times this, times the rounding error of a double and the number of rows that it is
// remembered for, is 1e-7 of a usual variance.
constexpr double kOutlier = 16777216.0;

struct Centre {
  double value;   // a pixel near the mean
  double square;  // of a usual difference from it
};

// Looks at a few pixels that lie scattered over rows [top, bottom) and columns [left, right).
template <typename Map>
inline Centre centre_of(const Map* image, int64_t width, int64_t top, int64_t bottom, int64_t left, int64_t right) {
  constexpr int64_t kSide = 8;
  Map sample[kSide * kSide];
  int count = 0;
  double sum = 0.0;
  for (int64_t i = 0; i < kSide * kSide; ++i) {
    // A step of 5/8 of the row from one line to the next, so that no line of pixels has too much weight.
    const int64_t y = top + (bottom - top) * (2 * (i / kSide) + 1) / (2 * kSide);
    const int64_t x = left + (right - left) * ((2 * (i % kSide) + 1 + 5 * (i / kSide)) % (2 * kSide)) / (2 * kSide);
    const Map value = image[y * width + x];
    if (std::isfinite(value)) {
      sample[count++] = value;
      sum += static_cast<double>(value);
    }
  }
  if (count == 0) {
    return {0.0, 0.0};
  }
  const double mean = sum / count;
  double best = sample[0], spread = 0.0;
  for (int i = 0; i < count; ++i) {
    best = std::fabs(sample[i] - mean) < std::fabs(best - mean) ? static_cast<double>(sample[i]) : best;
    spread += std::fabs(sample[i] - mean) / count;
  }
  return {best, spread * spread};
}

}  // namespace zncc
