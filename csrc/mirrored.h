// How images go on beyond their edges, on any device.
#pragma once

#include "local_std.h"

#include <cstdint>

namespace zncc {

// The index of a knot, mirrored at the first and the last one.
ZNCC_HOST_DEVICE inline int64_t mirrored(int64_t i, int64_t n) {
  if (i >= 0 && i < n) {
    return i;
  }
  if (n == 1) {
    return 0;
  }
  const int64_t period = 2 * (n - 1);
  i = (i < 0 ? -i : i) % period;
  return i < n ? i : period - i;
}

}  // namespace zncc
