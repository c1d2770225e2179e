"""Strain of a specimen by its speckle.

A specimen with sprayed paint is pulled until it begins to neck. `--model bspline` follows the paint, and `zncc strain`
turns displacements into strain, as in digital image correlation.
"""

import numpy as np
import tifffile
from bench import camera, moved_back, panels, pixels, plt, run, save
from scenes import speckle

# %%
# The truth: 1 percent of strain along x everywhere, and 4 percent more in a neck of 70 pixels; across, 0.3 of that.

shape = (200, 320)
middle = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
neck = 35.0


def strain(x):
    return 0.01 + 0.04 * np.exp(-(((x - middle[0]) / neck) ** 2))


def displacement(x, y):
    far = np.linspace(-400, 400, 4001)
    along = np.cumsum(strain(far + middle[0])) * (far[1] - far[0])
    u = np.interp(x - middle[0], far, along - along[len(far) // 2])
    return u, -0.3 * strain(x) * (y - middle[1])


def paint(x, y):
    return speckle(x + 70, y + 70, 9)


frame = pixels(shape)
fixed = camera(paint(*frame), seed=1, noise=0.01)
moving = camera(paint(*moved_back(frame, displacement)), seed=2, noise=0.01)
tifffile.imwrite("unloaded.tif", fixed)
tifffile.imwrite("loaded.tif", moving)
panels("specimen.png", {"unloaded.tif": fixed, "loaded.tif": moving})

# %%
# Two commands: the field, and its strain over a gauge of 21 pixels.

run("zncc-align unloaded.tif loaded.tif --model bspline --out result")
run("zncc strain result/transform.json --gauge 21 --out strain")

# %%
# Strain along x, measured and true, and along the middle line. The gauge takes a little from the top of the neck.

exx = tifffile.imread("strain/exx.tif")
true = np.broadcast_to(strain(frame[0][0]), shape)
known = np.isfinite(exx)
error = exx[known] - true[known]
print(f"RMS error of the strain: {100 * np.sqrt((error**2).mean()):.3f} percent of length; the neck has 5 percent.")
assert np.sqrt((error**2).mean()) < 0.004
figure, axes = plt.subplots(1, 3, figsize=(11, 2.6), layout="constrained", width_ratios=[1, 1, 1.2])
for axis, image, title in zip(axes, (true, exx), ("true", "measured"), strict=False):
    shown = axis.imshow(100 * image, vmin=0, vmax=5.5, cmap="viridis")
    axis.set_title(f"strain along x, {title}, %", fontsize=10)
    axis.set_axis_off()
figure.colorbar(shown, ax=axes[1])
axes[2].plot(100 * true[0], color="C0", linewidth=5, alpha=0.3, label="true")
axes[2].plot(100 * exx[shape[0] // 2], color="C0", label="measured, middle line")
axes[2].set_xlabel("x, px")
axes[2].set_ylabel("strain, %")
axes[2].legend(fontsize=8)
save("strain.png", figure)
