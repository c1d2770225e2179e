"""A new star between two nights.

A telescope that turns with the sky never points quite as it did the night before, and the Moon is up. After the
alignment the difference of both nights shows what has changed.
"""

import numpy as np
import tifffile
from bench import camera, corner_error, panels, pixels, run, seen_from, similarity
from scenes import stars
from shapes import blobs

# %%
# The truth: 1.8 degrees and some pixels; and one faint star more, at (201, 122) of the second night.

shape = (240, 320)
truth = similarity(1.8, 1.0, (7.4, -5.2), shape)
x, y = seen_from(truth, shape)
nova = np.array([[201.0, 122.0, 0, 1.3, 1.3, 0.5, 0, 0]])
first = camera(stars(*pixels(shape), 31), seed=1, noise=0.01)
second = camera(0.9 * stars(x, y, 31) + blobs(*pixels(shape), nova) + 0.1, seed=2, noise=0.015)
tifffile.imwrite("first_night.tif", first)
tifffile.imwrite("second_night.tif", second)

# %%
# Stars alone, on a dark sky, are enough. The model is `rigid`: a telescope's scale does not change overnight.

run("zncc-align first_night.tif second_night.tif --model rigid --out result")
error = corner_error("result/transform.json", truth)
print(f"The worst corner is {error:.3f} px from the truth.")
assert error < 0.1

# %%
# Before, every star leaves a pair of a bright and a dark spot; after, one spot stands out.

aligned = tifffile.imread("result/aligned.tif").astype(float)
valid = tifffile.imread("result/mask.tif") > 0


def difference(image, where):
    gain, offset = np.polyfit(image[where], first[where].astype(float), 1)
    return np.where(where, gain * image + offset - first, 0)


before, after = difference(second.astype(float), np.ones(shape, bool)), difference(aligned, valid)
top, left = np.unravel_index(after.argmax(), shape)
found = (truth @ [left, top, 1])[:2]
print(f"The largest difference lies at ({found[0]:.0f}, {found[1]:.0f}) of the second night.")
assert np.hypot(*(found - nova[0, :2])) < 1.5
panels("difference.png", {"before": before, "after": after}, vmin=-800, vmax=800)
