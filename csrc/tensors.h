// What the CPU and the CUDA bindings share: the checks of their arguments and the choice of the map's type.
#pragma once

// Everything used here is in torch 2.10; a newer torch then keeps the same meaning.
#ifndef TORCH_TARGET_VERSION
#define TORCH_TARGET_VERSION (((0ULL + 2) << 56) | ((0ULL + 10) << 48))
#endif

#include "local_std_box.h"
#include "local_zncc_box.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

namespace zncc {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Throws a message, a std::string, unless `holds`. Not STD_TORCH_CHECK, which writes to a stream: where the compiler links
// a C++ library of its own into ours, its streams are not those of torch, and crash.
#define ZNCC_CHECK(holds, message)       \
  do {                                   \
    if (!(holds)) {                      \
      throw std::runtime_error(message); \
    }                                    \
  } while (false)

inline std::string expected(const std::string& name, int64_t found, int64_t wanted) {
  return name + " has " + std::to_string(found) + " elements, expected " + std::to_string(wanted);
}

// A plane is read and written by its flat index, on the device and of the size of `like`.
inline void check_plane(const Tensor& plane, const char* name, ScalarType dtype, const Tensor& like) {
  ZNCC_CHECK(plane.scalar_type() == dtype, std::string(name) + " has another dtype than expected");
  ZNCC_CHECK(plane.is_contiguous(), std::string(name) + " must be contiguous");
  ZNCC_CHECK(plane.numel() == like.numel(), expected(name, plane.numel(), like.numel()));
  ZNCC_CHECK(plane.device() == like.device(), std::string(name) + " is on another device than the other tensors");
}

inline void check_forward(const Tensor& S1, const Tensor& S2, const Tensor& std) {
  check_plane(S1, "S1", ScalarType::Double, std);
  check_plane(S2, "S2", ScalarType::Double, std);
  check_plane(std, "std", std.scalar_type(), std);
}

inline void check_prepare(const Tensor& g, const Tensor& std, const Tensor& S1, const Tensor& dS1, const Tensor& dS2) {
  check_plane(g, "g", std.scalar_type(), std);
  check_plane(std, "std", std.scalar_type(), std);
  check_plane(S1, "S1", ScalarType::Double, std);
  check_plane(dS1, "dS1", ScalarType::Double, std);
  check_plane(dS2, "dS2", ScalarType::Double, std);
}

inline void check_combine(const Tensor& dI_S1, const Tensor& dI_S2, const Tensor& I, const Tensor& dI) {
  check_plane(dI_S1, "dI_S1", ScalarType::Double, dI);
  check_plane(dI_S2, "dI_S2", ScalarType::Double, dI);
  check_plane(I, "I", ScalarType::Double, dI);
  check_plane(dI, "dI", dI.scalar_type(), dI);
}

// The planes (..., H, W) of `image` and their maps (..., H-h+1, W-w+1).
inline LocalStdShape check_box(const Tensor& image, int64_t h, int64_t w, double eps, const Tensor& std) {
  ZNCC_CHECK(image.dim() >= 2, "image must have shape (..., H, W)");
  const int64_t height = image.size(-2), width = image.size(-1);
  ZNCC_CHECK(h >= 1 && w >= 1 && h <= height && w <= width, "the window must fit into the image");
  LocalStdShape shape{image.numel() == 0 ? 0 : image.numel() / (height * width), height, width, h, w, eps};
  check_plane(image, "image", std.scalar_type(), image);
  check_plane(std, "std", std.scalar_type(), std);
  const int64_t windows = shape.planes * shape.map_height() * shape.map_width();
  ZNCC_CHECK(std.numel() == windows, expected("std", std.numel(), windows));
  ZNCC_CHECK(std.device() == image.device(), "std is on another device than image");
  return shape;
}

// The planes (..., H, W) of two images, weights and z for every window, and a number for each strip of a plane.
inline LocalZnccShape check_pair(const Tensor& fixed, const Tensor& moving, const std::optional<Tensor>& weight,
                                 int64_t h, int64_t w, double eps_f, double eps_m, const Tensor& strip_sums,
                                 const std::optional<Tensor>& dm, const std::optional<Tensor>& z) {
  ZNCC_CHECK(fixed.dim() >= 2, "fixed must have shape (..., H, W)");
  const int64_t height = fixed.size(-2), width = fixed.size(-1);
  ZNCC_CHECK(h >= 1 && w >= 1 && h <= height && w <= width, "the window must fit into the image");
  const int64_t planes = fixed.numel() == 0 ? 0 : fixed.numel() / (height * width);
  const LocalZnccShape shape{planes, height, width, h, w, eps_f, eps_m};
  check_plane(fixed, "fixed", fixed.scalar_type(), fixed);
  check_plane(moving, "moving", fixed.scalar_type(), fixed);
  check_plane(strip_sums, "strip_sums", ScalarType::Double, strip_sums);
  ZNCC_CHECK(strip_sums.numel() == planes * shape.strip_grid().strips_of_plane(),
             expected("strip_sums", strip_sums.numel(), planes * shape.strip_grid().strips_of_plane()));
  if (dm) {
    check_plane(*dm, "dm", fixed.scalar_type(), fixed);
  }
  for (const std::optional<Tensor>& map : {weight, z}) {
    if (map) {
      check_plane(*map, "a map of the windows", fixed.scalar_type(), *map);
      const int64_t windows = planes * shape.map_height() * shape.map_width();
      ZNCC_CHECK(map->numel() == windows, expected("a map of the windows", map->numel(), windows));
    }
  }
  return shape;
}

// Calls f with a value of the type that `map` holds.
template <typename F>
void with_map_type(const Tensor& map, const F& f) {
  if (map.scalar_type() == ScalarType::Float) {
    f(float{});
  } else {
    ZNCC_CHECK(map.scalar_type() == ScalarType::Double, "a map must be float32 or float64");
    f(double{});
  }
}

}  // namespace zncc
