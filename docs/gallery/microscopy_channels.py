"""Two channels of a fluorescence microscope.

Each filter cube bends the light a little differently: the second channel is shifted, turned and magnified. The channels
show different things, nuclei and actin: where a nucleus is bright in the one, the other is dark.
"""

import numpy as np
import tifffile
from bench import camera, corner_error, overlay, panels, pixels, run, seen_from, similarity
from shapes import blobs, cover, waves

# %%
# The scene: each cell has a nucleus, and filaments of actin around it.


def cells(x, y):
    random = np.random.RandomState(5)
    nuclei, actin = [], []
    for row in range(-1, 6):
        for column in range(-1, 7):
            cx, cy = 55 * np.array([column, row]) + random.uniform(-14, 14, 2) + 15
            size, angle = random.uniform(8, 12), random.uniform(0, np.pi)
            nuclei.append([cx, cy, angle, 0.5 * size, 0.1 * size, size, 1.0])
            for _ in range(40):
                along, lean = random.normal(0, 15, 2), angle + random.normal(0, 0.5)
                glow, length = random.uniform(0.1, 0.5), random.uniform(5, 14)
                actin.append([cx + along[0], cy + along[1], lean, length, 1.2, glow, 0, 0])
    nucleus, haze = cover(x, y, np.array(nuclei)), 0.25 + 0.05 * waves(x, y, random, 30, 90)
    chromatin = 0.7 + 0.15 * waves(x, y, random, 6, 25)
    return nucleus * chromatin, (haze + blobs(x, y, np.array(actin))) * (1 - 0.85 * nucleus)


# %%
# The truth: half a degree, 0.8 percent and some pixels between the channels.

shape = (240, 320)
truth = similarity(0.5, 1.008, (6.3, -4.1), shape)
dapi = camera(cells(*pixels(shape))[0], seed=1)
actin = camera(cells(*seen_from(truth, shape))[1], seed=2)
tifffile.imwrite("dapi.tif", dapi)
tifffile.imwrite("actin.tif", actin)
panels("channels.png", {"dapi.tif": dapi, "actin.tif": actin, "over each other": overlay(dapi, actin)})

# %%
# One command aligns them. Its summary says that the contrast is inverted: a nucleus is a dark hole in the actin.

run("zncc-align dapi.tif actin.tif --model similarity --out result")
error = corner_error("result/transform.json", truth)
print(f"The worst corner is {error:.2f} px from the truth; it was 9.7 px off.")
assert error < 1  # hardly anything but the rims of the nuclei is seen in both

# %%
# The dark holes in the actin now lie on the nuclei.

aligned = tifffile.imread("result/aligned.tif")
panels("aligned.png", {"before": overlay(dapi, actin), "after": overlay(dapi, aligned)})
