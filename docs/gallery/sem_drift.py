"""The drift of an electron microscope.

A specimen creeps while a movie is taken. `zncc stack` measures every frame against several others, and moves each frame
once from its own pixels.
"""

import csv
from pathlib import Path

import numpy as np
import tifffile
from bench import camera, pixels, plt, run, save, save_film
from scenes import steel

# %%
# The scene: etched steel, 24 frames with a drift that slows down, and noise as of a fast scan.

shape = (160, 200)
time = np.arange(24)
drift = np.stack([18 * (1 - np.exp(-time / 9)), -7 * (1 - np.exp(-time / 5)) + 0.8 * np.sin(time)], axis=1)
drift -= drift[0]
x, y = pixels(shape)
frames = [camera(steel(x + 40 - dx, y + 40 - dy, 3), seed=k, noise=0.12) for k, (dx, dy) in enumerate(drift)]
tifffile.imwrite("movie.tif", np.array(frames), imagej=True, metadata={"axes": "TYX", "finterval": 0.5})

# %%
# One command aligns the frames, and writes the drift as a table.

run("zncc stack movie.tif --out result")
with Path("result/drift.csv").open(newline="") as file:
    rows = list(csv.DictReader(file))
found = np.array([[float(row["dx"]), float(row["dy"])] for row in rows])
error = np.hypot(*(found - drift).T)
print(f"RMS error of a frame's place: {np.sqrt((error**2).mean()):.3f} px")
assert error.max() < 0.15  # frames whose noise is half as strong as their texture

# %%
# What was found lies on the truth.

figure, axis = plt.subplots(figsize=(8, 3.2), layout="constrained")
for k, name in enumerate("xy"):
    axis.plot(time, drift[:, k], color=f"C{k}", linewidth=5, alpha=0.3, label=f"d{name}, true")
    axis.plot(time, found[:, k], color=f"C{k}", marker=".", label=f"d{name}, found")
axis.set_xlabel("frame")
axis.set_ylabel("drift, px")
axis.legend(ncols=2)
save("drift.png", figure)

# %%
# The movie before (left) and after (right): the grains stand still, and the edge of the frame moves.

still = tifffile.imread("result/stack.tif")
low, high = np.quantile(frames[0], (0.005, 0.995))
both = (np.hstack([before, after]) for before, after in zip(frames[::2], still[::2], strict=True))
save_film("movie.gif", (np.clip((pair - low) / (high - low), 0, 1) for pair in both))
