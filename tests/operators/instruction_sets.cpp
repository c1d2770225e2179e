// The box path of the CPU for test_instruction_sets.py, which compiles it in several ways.
#include "cpu/local_std_box.cpp"

template <typename Map>
static void forward_and_backward(const int64_t* sizes, double eps, const Map* image, const Map* g, Map* std, Map* dI) {
  const zncc::LocalStdShape shape{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], eps};
  const zncc::StripGrid maps(shape.map_height(), shape.map_width(), shape.h),
      pixels(shape.height, shape.width, shape.h);
  zncc::StripQueue of_maps(shape.planes * maps.strips_of_plane()), of_pixels(shape.planes * pixels.strips_of_plane());
  zncc::box_forward(shape, image, std, of_maps);
  zncc::box_backward(shape, g, image, std, dI, of_pixels);
}

extern "C" void forward_and_backward_4(const int64_t* sizes, double eps, const float* image, const float* g, float* std,
                                       float* dI) {
  forward_and_backward(sizes, eps, image, g, std, dI);
}

extern "C" void forward_and_backward_8(const int64_t* sizes, double eps, const double* image, const double* g,
                                       double* std, double* dI) {
  forward_and_backward(sizes, eps, image, g, std, dI);
}
