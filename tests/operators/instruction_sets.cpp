// The box path of the CPU for test_instruction_sets.py, which compiles it in several ways.
#include "local_std_box.cpp"

extern "C" void forward_and_backward(const int64_t* sizes, double eps, const float* image, const float* g, float* std,
                                     float* dI) {
  const zncc::LocalStdShape shape{sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], eps};
  const zncc::Cut maps(shape.map_height(), shape.map_width(), shape.h), pixels(shape.height, shape.width, shape.h);
  zncc::box_forward(shape, image, std, 0, shape.planes * maps.pieces());
  zncc::box_backward(shape, g, image, std, dI, 0, shape.planes * pixels.pieces());
}
