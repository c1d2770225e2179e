"""Two sections of tissue with different stains.

Neighbouring sections of a block are stained for different things, and each is stretched as it is laid on its slide. The
transform has to bend.
"""

import imageio.v3 as iio
import numpy as np
import tifffile
from bench import moved_back, panels, pixels, run
from shapes import cover, waves

# %%
# The scene: glands, rings of nuclei around a clear lumen. The first stain colours all nuclei, the second those of some
# glands.

shape = (280, 360)


def tissue(x, y):
    random = np.random.RandomState(8)
    lumens, all_nuclei, marked = [], [], []
    for row in range(-1, 6):
        for column in range(-1, 7):
            cx, cy = 62 * np.array([column + 0.5 * (row % 2), row]) + random.uniform(-9, 9, 2)
            radius, squash, angle = random.uniform(9, 16), random.uniform(0, 9), random.uniform(0, np.pi)
            lumens.append([cx, cy, angle, squash, 0, radius, 0.9])
            turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
            u, v = (radius + squash + 6) * np.cos(turn), (radius + 6) * np.sin(turn)
            places = [cx + u * np.cos(angle) - v * np.sin(angle), cy + u * np.sin(angle) + v * np.cos(angle)]
            ring = np.column_stack([*places, turn + angle, *np.broadcast_arrays(1.2, 0.0, 3.2, 0.85, turn)[:4]])
            all_nuclei.append(ring)
            if random.uniform() < 0.5:
                marked.append(ring)
    loose = np.column_stack([*random.uniform(-70, 430, (2, 260)), np.tile([0, 2.5, 0, 1.8, 0.8], (260, 1))])
    fibres = 0.5 + 0.16 * waves(x, y, random, 12, 60)
    lumen = cover(x, y, np.array(lumens))
    return fibres, lumen, cover(x, y, np.vstack([*all_nuclei, loose])), cover(x, y, np.vstack(marked))


def mixed(layers, x, y):
    """Colours over each other: (share, colour) from the lowest to the highest."""
    image = np.ones((*x.shape, 3))
    for share, colour in layers:
        image = image * (1 - share[..., None]) + np.array(colour) * share[..., None]
    return image


def first_stain(x, y):
    fibres, lumen, nuclei, _ = tissue(x, y)
    layers = [(fibres, (0.86, 0.45, 0.62)), (lumen, (0.97, 0.95, 0.96)), (nuclei, (0.28, 0.18, 0.5))]
    return mixed(layers, x, y)


def second_stain(x, y):
    fibres, lumen, nuclei, marked = tissue(x, y)
    layers = [
        (0.5 * fibres, (0.75, 0.8, 0.88)),
        (lumen, (0.98, 0.98, 0.97)),
        (0.6 * nuclei, (0.5, 0.6, 0.8)),
        (marked, (0.42, 0.24, 0.1)),
    ]
    return mixed(layers, x, y)


# %%
# The truth: the second section is turned by 3 degrees, and stretched by up to 5 pixels here and there.


def displacement(x, y):
    cx, cy = x - 180, y - 140
    turn = np.deg2rad(3)
    u = (np.cos(turn) - 1) * cx - np.sin(turn) * cy + 5 * np.sin(2 * np.pi * y / 210) + 3
    v = np.sin(turn) * cx + (np.cos(turn) - 1) * cy + 5 * np.sin(2 * np.pi * (x + 40) / 260) - 4
    return u, v


random = np.random.default_rng(6)
frame = pixels(shape)
for name, image in (("first.png", first_stain(*frame)), ("second.png", second_stain(*moved_back(frame, displacement)))):
    noisy = image + 0.02 * random.standard_normal(image.shape)
    iio.imwrite(name, (255 * np.clip(noisy, 0, 1)).astype(np.uint8))
first, second = iio.imread("first.png"), iio.imread("second.png")
panels("sections.png", {"first.png": first, "second.png": second})

# %%
# One command, and the displacement that it found beside the true one.

run("zncc-align first.png second.png --model bspline --out result")
found = tifffile.imread("result/displacement.tif")
true = np.stack(displacement(*frame), axis=-1)
inside = tifffile.imread("result/mask.tif") > 0
error = np.hypot(*np.moveaxis(found - true, -1, 0))[inside]
print(f"Median error {np.median(error):.2f} px, 90 percent below {np.quantile(error, 0.9):.2f} px;")
print(f"before, the median distance was {np.median(np.hypot(*np.moveaxis(true, -1, 0))[inside]):.1f} px.")
assert np.median(error) < 0.5
assert np.quantile(error, 0.9) < 1.5

# %%
# A chessboard of both sections: glands run on across its seams after alignment.

aligned = tifffile.imread("result/aligned.tif")
board = (frame[0] // 40 + frame[1] // 40) % 2 > 0
panels(
    "chessboard.png",
    {"before": np.where(board[..., None], first, second), "after": np.where(board[..., None], first, aligned)},
)
