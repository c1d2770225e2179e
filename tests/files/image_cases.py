"""Images of all dtypes, the TIFF files that hold them, and a disk on which no file can grow."""

import contextlib
import signal

import numpy as np
import pytest
import tifffile

H, W = 37, 53


def pixels(dtype="u2", samples=None, seed=0):
    shape = (H, W) if samples is None else (H, W, samples)
    values = np.random.default_rng(seed).random(shape)
    kind = np.dtype(dtype)
    return (values * (1000 if kind.kind == "f" else np.iinfo(kind).max)).astype(kind)


def write_tiff(path, data, **options):
    if data.ndim == 3:
        alpha = {2: ["unassalpha"], 4: ["unassalpha"]}.get(data.shape[-1])
        options = {"photometric": "rgb", "planarconfig": "contig", "extrasamples": alpha, **options}
    tifffile.imwrite(path, data, **options)
    return path


def assert_same(image, data):
    assert image.data.dtype == data.dtype.newbyteorder("=")
    assert image.data.dtype.isnative
    np.testing.assert_array_equal(image.data, data)


@contextlib.contextmanager
def room(size):
    """Limit the size of every file, as a full disk would, until the block ends: a test runner writes files too."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
