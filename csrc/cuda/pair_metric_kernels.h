// The kernels of the pair metric on CUDA, one after another, and the memory between them. Formulas: pair_metric.h.
//
//   WarpBlocks         m, edge and measured share of each pixel                         reads f's mask, knots
//   LeastBlocks        W of each window, along its rows and then down                   reads edge
//   CompareTiles       z, W e, A, B, C of each window, and the sums over all            reads f, m, W
//   CellBlocks         sums over cells                                                  reads W, z, W e
//   GradientBlocks     gradient of each pixel                                           reads f, m
//   ExplainTiles       what a window explains of the curvature                          reads m and its gradient, s
//   DifferenceTiles    D of each pixel, and its share of the curvature                  reads A, B, C, W, s, f, m
//   ScoreBlocks        scores of each block of pixels, and moments of the curvature     reads D, gradient
//   PartialSumsBlocks  after each of them that leaves sums of its blocks, these in a fixed order
//
// Bytes of a pixel in memory, read and written, float32, without masks: 56 for the sums alone, 80 with cells, 160 with
// scores and 284 with the curvature.
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
    planes.D = maps.take(pixels);
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
    planes.xx = sums.take(windows);
    planes.xy = sums.take(windows);
    planes.yy = sums.take(windows);
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
