// The summed local ZNCC of two images and its gradient on the CPU, in one pass over the images: no map of the windows is
// ever written, unless it is asked for. Formulas and NaN policy: local_zncc.h. Centring and care: local_std_box.h.
#pragma once

#include "strips.h"

namespace zncc {

// `planes` contiguous planes of height x width of each image, and windows of h x w that fit into them.
struct LocalZnccShape {
  int64_t planes, height, width, h, w;
  double eps_f, eps_m;

  int64_t map_height() const { return height - h + 1; }
  int64_t map_width() const { return width - w + 1; }
  int64_t pixels() const { return planes * height * width; }
  StripGrid strip_grid() const { return StripGrid(height, width, h); }
};

// What is read and written; null where it is not wanted: weight (one for every window), dm, z.
template <typename Map>
struct LocalZnccData {
  const Map* f;
  const Map* m;
  const Map* weight;
  double* wz;  // one sum for each strip
  Map* dm;
  Map* z;
};

// Compute the strips of all planes that are left, cut as shape.strip_grid().
void zncc_box(const LocalZnccShape& shape, const LocalZnccData<float>& data, StripQueue& strips);
void zncc_box(const LocalZnccShape& shape, const LocalZnccData<double>& data, StripQueue& strips);

}  // namespace zncc
