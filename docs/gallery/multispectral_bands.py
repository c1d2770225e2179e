"""The bands of a multispectral camera.

Such a camera has a lens for each band, so that each band sees the scene from a slightly different place. Vegetation is
dark in red and bright in the near infrared: contrast is inverted between these bands.
"""

from pathlib import Path

import numpy as np
import tifffile
from bench import camera, corner_error, panels, run, seen_from, similarity, stretched
from scenes import farmland

# %%
# The scene: fields in four bands. Three lenses are off by up to 14 pixels, half a degree and half a percent.

shape = (240, 320)
bands = {"red": lambda v: v, "green": lambda v: 0.15 + 0.6 * v, "edge": lambda v: v**1.5, "nir": lambda v: 1 - 0.8 * v}
motions = {
    "red": np.eye(3),
    "green": similarity(0.3, 1.004, (9.2, 2.7), shape),
    "edge": similarity(-0.4, 0.997, (-5.3, 8.1), shape),
    "nir": similarity(0.5, 1.002, (11.6, -8.4), shape),
}
Path("bands").mkdir()
for seed, (name, tone) in enumerate(bands.items()):
    x, y = seen_from(motions[name], shape)
    tifffile.imwrite(f"bands/{name}.tif", camera(tone(np.clip(farmland(x + 60, y + 60, 4), 0, 1.2)), seed, noise=0.03))

# %%
# A batch aligns all images of the folder to the red band.

run("zncc-batch bands --fixed bands/red.tif --model similarity --workers 1 --out result")
for name in ("green", "edge", "nir"):
    error = corner_error(f"result/{name}/transform.json", motions[name])
    print(f"{name}: the worst corner is {error:.3f} px from the truth")
    assert error < 0.1  # noise of a tenth of the texture

# %%
# In false colours (near infrared, red, green) the seams of the fields are coloured before, and clean after.

red = tifffile.imread("bands/red.tif")


def composite(place):
    images = tifffile.imread(place("nir")), red, tifffile.imread(place("green"))
    return np.stack([stretched(image) for image in images], axis=-1)


before, after = composite(lambda name: f"bands/{name}.tif"), composite(lambda name: f"result/{name}/aligned.tif")
panels("composite.png", {"before": before, "after": after})
panels("detail.png", {"before, a part": before[60:150, 100:220], "after": after[60:150, 100:220]})
