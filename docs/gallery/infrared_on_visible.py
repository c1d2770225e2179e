"""A thermal image on a photograph.

A thermal camera has fewer and softer pixels than a photograph, and what is bright in the one may be bright or dark in
the other. `--contrast any` compares local texture from the start.
"""

import imageio.v3 as iio
import numpy as np
import tifffile
from bench import camera, corner_error, panels, pixels, plt, run, seen_from, similarity, stretched
from board import board

# %%
# The scene: a circuit board in colour, and its heat. Bright metal and black chips are both warm, the board is not.

shape, thermal_shape = (280, 380), (150, 204)
truth = similarity(3.0, 0.55, (-4.0, 2.5), shape)
truth[:2, 2] += (np.array(thermal_shape[::-1]) - np.array(shape[::-1])) / 2
photograph = board(*pixels(shape), 7)
iio.imwrite("photograph.png", (np.clip(photograph, 0, 1) * 255).astype(np.uint8))


def heat(x, y):
    grey = board(x, y, 7).mean(axis=2)
    return (2 * stretched(grey) - 1) ** 2


x, y = seen_from(truth, thermal_shape)
steps = np.linspace(-2, 2, 5)  # a thermal pixel gathers heat from around it
soft = np.mean([heat(x + dx, y + dy) for dx in steps for dy in steps], axis=0)
thermal = camera(soft, seed=3, noise=0.02)
tifffile.imwrite("thermal.tif", thermal)
panels("both.png", {"photograph.png": photograph, "thermal.tif": stretched(thermal)}, cmap="inferno")

# %%
# The model `similarity` finds shift, rotation and scale.

run("zncc-align photograph.png thermal.tif --model similarity --contrast any --out result")
error = corner_error("result/transform.json", truth)
print(f"The worst corner is {error:.2f} thermal px from the truth.")
assert error < 1  # what docs/align.md promises of different sensors

# %%
# The texture led to the place; there the one image follows the other by a curve, so that brightness refined it. The
# warm parts lie on the chips and joints that they belong to.

aligned = stretched(tifffile.imread("result/aligned.tif"))
valid = tifffile.imread("result/mask.tif") > 0
warm = plt.get_cmap("inferno")(aligned)[..., :3]
left = pixels(shape)[0] < 190
half = np.where((left | ~valid)[..., None], photograph, warm)
mixed = 0.5 * photograph + 0.5 * warm * valid[..., None]
panels("warm.png", {"photograph on the left, heat on the right": np.clip(half, 0, 1), "both": np.clip(mixed, 0, 1)})
