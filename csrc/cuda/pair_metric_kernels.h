// The kernels of the pair metric on CUDA, one after another, and the memory between them. Formulas: pair_metric.h.
//
// What each reads and writes of a pixel or a window, in bytes of float32, without masks, shares and fields; rows that leave
// a window are still in the cache:
//   WarpBlocks        m and edge of each pixel                                4 of the knots    8
//   LeastBlocks       W of each window, along its row and then down           8                 8
//   CompareTiles      z, W e, A, B, C of each window; sums over all           12                12 for cells, 24 for scores
//   CellBlocks        sums over the windows of cells                          16
//   GradientBlocks    gradient of each pixel                                  8                 8
//   DifferenceTiles   D of each pixel                                         36                4
//   ScoreBlocks       scores of blocks of pixels                              12
// and with the curvature
//   CompareTiles      how much a window counts there                                            16
//   DifferenceTiles   how much a pixel counts there                           8                 4
//   ExplainTiles      what means and contrasts explain                        28                24
//   ScoreBlocks       moments of all of it                                    28
// Together 40 for the sums alone, 68 with cells, 132 with scores, 240 with scores and curvature. PartialSumsBlocks adds up
// what blocks and tiles have left, in a fixed order. The memory between them is 16 bytes of a pixel for the sums alone, 28
// with cells, 48 with scores, 68 with scores and curvature.
#pragma once

#include "pair_metric_sums.h"
#include "pair_metric_tiles.h"

namespace zncc {

// Memory that is handed out piece by piece; without any, only counted.
template <typename T>
struct Room {
  T* from = nullptr;
  int64_t used = 0;

  T* take(int64_t count) {
    T* piece = from ? from + used : nullptr;
    used += (count + kTilePerThread - 1) / kTilePerThread * kTilePerThread;
    return piece;
  }
};

template <typename Map>
PairMetricPlanes<Map> pair_metric_planes(const PairMetricShape& shape, const PairMetricInput<Map>& in,
                                         const PairMetricOutput<Map>& out, Room<Map>& maps, Room<double>& sums) {
  const int64_t pixels = shape.height() * shape.width(), windows = shape.map_height() * shape.map_width();
  const int64_t blocks = blocks_of(shape.height(), shape.width());
  const bool scores = out.scores || out.pixels || out.curvature;
  PairMetricPlanes<Map> planes{};
  planes.m = maps.take(pixels);
  planes.edge = maps.take(pixels);
  planes.measured = in.fixed_measured || in.moving_measured ? maps.take(pixels) : nullptr;
  planes.across = maps.take(shape.height() * shape.map_width());
  planes.W = maps.take(windows);
  planes.edges = sums.take(blocks);
  planes.totals = sums.take(CompareTiles<Map>::kTotals * CompareTiles<Map>(shape, in.fixed, planes).grid.count());
  planes.z = out.z;
  planes.w = out.w;
  if (out.cells) {
    planes.z = out.z ? out.z : maps.take(windows);
    planes.w = out.w ? out.w : maps.take(windows);
    planes.z2 = maps.take(windows);
    planes.cells = sums.take(kCellPlanes * CellBlocks<Map>(shape, planes).count());
  }
  if (scores) {
    planes.gx = maps.take(pixels);
    planes.gy = maps.take(pixels);
    planes.D = planes.edge;  // of which W is all that is still needed
    planes.A = sums.take(windows);
    planes.B = sums.take(windows);
    planes.C = sums.take(windows);
  }
  if (out.curvature || out.pixels) {
    planes.share = maps.take(pixels);
    planes.s = sums.take(windows);
  }
  if (out.curvature) {
    planes.contrast = sums.take(windows);
    // A window's s and contrast are read before these are written, and no kernel after that reads them, or A.
    planes.xx = planes.s;
    planes.xy = planes.contrast;
    planes.yy = planes.A;
    planes.moments = sums.take(kMoments * blocks);
    planes.moment_sums = sums.take(kMoments);
  }
  return planes;
}

// Computes the pair metric: run.blocks(op) and run.tiles(op) run one kernel each, in this order.
template <typename Map, typename Run>
void pair_metric(const PairMetricShape& shape, const PairMetricInput<Map>& in, const PairMetricOutput<Map>& out,
                 const PairMetricPlanes<Map>& planes, Run& run) {
  const int64_t height = shape.height(), map_height = shape.map_height(), map_width = shape.map_width();
  const int64_t blocks = blocks_of(height, shape.width());
  run.blocks(WarpBlocks<Map>{shape, in, planes});
  run.blocks(PartialSumsBlocks{planes.edges, 1, blocks, 1, out.sums + CompareTiles<Map>::kTotals});
  run.blocks(LeastBlocks<Map>{planes.edge, shape.width(), 1, shape.h, nullptr, planes.across, height, map_width});
  run.blocks(
      LeastBlocks<Map>{planes.across, map_width, map_width, shape.h, in.weight, planes.W, map_height, map_width});
  const CompareTiles<Map> compare(shape, in.fixed, planes);
  run.tiles(compare);
  run.blocks(PartialSumsBlocks{planes.totals, 1, compare.grid.count(), CompareTiles<Map>::kTotals, out.sums});
  if (out.cells) {
    const CellBlocks<Map> cells(shape, planes);
    run.blocks(cells);
    run.blocks(
        PartialSumsBlocks{planes.cells, shape.cells.rows * shape.cells.columns, cells.parts(), kCellPlanes, out.cells});
  }
  if (!(out.scores || out.pixels || out.curvature)) {
    return;
  }
  run.blocks(GradientBlocks<Map>(shape, in, planes));
  if (planes.share) {
    run.tiles(DifferenceTiles<Map, true>(shape, in.fixed, planes));
  } else {
    run.tiles(DifferenceTiles<Map, false>(shape, in.fixed, planes));
  }
  if (out.curvature) {
    run.tiles(ExplainTiles<Map>(shape, planes));
  }
  run.blocks(ScoreBlocks<Map>{shape, in, planes, out.scores, out.pixels});
  if (out.curvature) {
    run.blocks(PartialSumsBlocks{planes.moments, 1, blocks, kMoments, planes.moment_sums});
    run.blocks(CurvatureBlocks{planes.moment_sums, out.curvature});
  }
}

}  // namespace zncc
