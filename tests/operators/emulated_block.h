// A block of CUDA threads on the CPU: for each phase, for each thread, in the order that is asked for. Where two orders
// give different bits, a thread reads what another one writes in the same phase. Shared memory and registers begin as NaN,
// so that what is read before it is written shows.
#pragma once

#include "cuda/tile_sums.h"

#include <cstring>
#include <memory>
#include <vector>

namespace zncc {

inline int position(int order, int i) {
  return order == 0 ? i : order == 1 ? kTileThreads - 1 - i : (i * 101 + 7) % kTileThreads;
}

template <typename Thread>
struct EmulatedBlock {
  std::vector<Thread> threads;
  struct alignas(16) Sixteen {
    unsigned char bytes[16];
  };
  std::vector<Sixteen> further;
  int order;

  explicit EmulatedBlock(int order, int64_t bytes = 0)
      : threads(kTileThreads), further(bytes / sizeof(Sixteen) + 1), order(order) {
    std::memset(static_cast<void*>(threads.data()), 0xff, threads.size() * sizeof(Thread));
    std::memset(static_cast<void*>(further.data()), 0xff, further.size() * sizeof(Sixteen));
  }

  unsigned char* memory() { return further.data()->bytes; }

  template <typename Phase>
  void alone(const Phase& phase) {
    for (int i = 0; i < kTileThreads; ++i) {
      phase(position(order, i), threads[position(order, i)]);
    }
  }

  void wait() {}

  template <typename Phase>
  void each(const Phase& phase) {
    alone(phase);
  }

  // As the shuffles of a warp add, step by step.
  template <typename Of>
  void prefix_sums(const Of& of) {
    for (int first = 0; first < kTileThreads; first += 32) {
      for (int distance = 1; distance < 32; distance *= 2) {
        for (int lane = 31; lane >= distance; --lane) {
          of(threads[first + lane]) += of(threads[first + lane - distance]);
        }
      }
      for (int lane = 31; lane > 0; --lane) {
        of(threads[first + lane]) = of(threads[first + lane - 1]);
      }
      of(threads[first]) = 0.0;
    }
  }
};

// Shared memory of a block, before anything was written.
template <typename Shared>
std::unique_ptr<Shared> unwritten() {
  auto shared = std::make_unique<Shared>();
  std::memset(static_cast<void*>(shared.get()), 0xff, sizeof *shared);
  return shared;
}

}  // namespace zncc
