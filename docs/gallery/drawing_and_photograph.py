"""A photograph on its drawing.

The part was drawn, made and photographed at an angle. A drawing holds lines only, black on white, the photograph
colours and shadows; a homography maps the plane of the one to the other.
"""

import imageio.v3 as iio
import numpy as np
import tifffile
from bench import corner_error, panels, pixels, run, seen_from
from board import board

# %%
# The drawing: the outlines of a circuit board's parts, as a CAD program exports them.

shape = (300, 400)


def grey(x, y):
    return board(x + 40, y + 30, 12).mean(axis=2)


def drawing(x, y):
    slope = np.hypot(grey(x + 0.5, y) - grey(x - 0.5, y), grey(x, y + 0.5) - grey(x, y - 0.5))
    return np.where(slope > 0.15, 0.0, 1.0)


lines = drawing(*pixels(shape))
iio.imwrite("drawing.png", (255 * lines).astype(np.uint8))

# %%
# The photograph: from the side, so that the corners lie up to 20 pixels elsewhere, with a lamp at its left.

start = np.array([[0, 0], [399, 0], [399, 299], [0, 299]], float)
end = start + np.array([[17, 9], [-12, 14], [13, -8], [-9, -13]])
rows = [
    row
    for (x, y), (u, v) in zip(start, end, strict=True)
    for row in ([x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y])
]
truth = np.append(np.linalg.solve(np.array(rows), end.ravel()), 1).reshape(3, 3)
x, y = seen_from(truth, shape)
light = np.linspace(1.15, 0.75, shape[1])[:, None]
photograph = board(x + 40, y + 30, 12) * light + 0.02 * np.random.default_rng(2).standard_normal((*shape, 3))
iio.imwrite("photograph.png", (255 * np.clip(photograph, 0, 1)).astype(np.uint8))
panels("both.png", {"drawing.png": lines, "photograph.png": np.clip(photograph, 0, 1)})

# %%
# Lines and areas agree in their texture, not in their brightness.

run("zncc-align drawing.png photograph.png --model homography --contrast any --out result")
error = corner_error("result/transform.json", truth)
print(f"The worst corner is {error:.2f} px from the truth; it was 20 px off.")
assert error < 2

# %%
# The drawing, in red, on the photograph before and after.

aligned = tifffile.imread("result/aligned.tif")


def with_lines(image):
    return np.where(lines[..., None] > 0, image / 255, np.array([1.0, 0.15, 0.1]))


before = (255 * np.clip(photograph, 0, 1)).astype(np.uint8)
panels("lines.png", {"before": with_lines(before)[60:220, 90:300], "after": with_lines(aligned)[60:220, 90:300]})
