// Advice about the memory of results.
#pragma once

#include <cstdint>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace zncc {

// A large plane that was just allocated is written for the first time here, and a fault for each page of 4 KiB takes
// longer than the arithmetic: ask for huge pages. Advice alone, which a neighbour on the first or last page shares.
inline void advise_huge_pages(void* data, int64_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr uintptr_t kHugePage = 2 << 20;
  const uintptr_t begin = reinterpret_cast<uintptr_t>(data) / 4096 * 4096;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + bytes + 4095) / 4096 * 4096;
  if (end >= begin + kHugePage) {
    madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
  }
#else
  (void)data, (void)bytes;
#endif
}

}  // namespace zncc
