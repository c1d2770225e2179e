"""Two tiles of a mosaic.

A stage moves by less than a frame between two pictures, and not quite by what it says. `--canvas union` writes both
tiles on a canvas that holds them.
"""

import numpy as np
import tifffile
from bench import camera, corner_error, panels, pixels, run, seen_from, similarity
from scenes import cells

# %%
# The truth: the second tile lies 245 pixels to the right and 12 below, turned by 0.7 degrees. They share a fifth.

shape = (240, 300)
truth = similarity(0.7, 1.0, (-245.4, -12.3), shape)
first = camera(cells(*pixels(shape), 21), seed=1)
second = camera(cells(*seen_from(truth, shape), 21), seed=2)
tifffile.imwrite("first.tif", first)
tifffile.imwrite("second.tif", second)
panels("tiles.png", {"first.tif": first, "second.tif": second})

# %%
# The overlap is found by itself. `fixed.tif` is the first tile on the same canvas as `aligned.tif`.

run("zncc-align first.tif second.tif --model rigid --canvas union --out result")
error = corner_error("result/transform.json", truth)
print(f"The worst corner is {error:.2f} px from the truth.")
assert error < 0.5  # of a frame that is five times as wide as the overlap

# %%
# The mosaic: the mean where both tiles lie. The line at its edge is where the two canvases end.

fixed, aligned = (tifffile.imread(f"result/{name}.tif").astype(float) for name in ("fixed", "aligned"))
count = (fixed > 0).astype(float) + (aligned > 0)
mosaic = (fixed + aligned) / np.maximum(count, 1)
panels("mosaic.png", {"mosaic": mosaic}, vmin=np.quantile(first, 0.005), vmax=np.quantile(first, 0.995))
