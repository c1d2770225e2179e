"""The formats of image files: one table that others can extend.

A package adds formats by an entry point of the group `zncc_cli.formats`, which names a `FileFormat` or a sequence of
them. Its reader returns an `Image`: see `zncc_cli.files.array_image`, which makes one of any array.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from zncc_cli.errors import InputError
from zncc_cli.files.image import Image
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.paths import refusal

ENTRY_POINTS = "zncc_cli.formats"
"""The group of entry points by which packages add formats."""

Reader = Callable[[Path, ReadOptions], Image]
"""Returns pixels and metadata of a file, lazily where it is large."""


@dataclass(frozen=True, kw_only=True)
class FileFormat:
    """A format of image files.

    name: for messages and metadata. suffixes: of its files, in lower case. magics: how its files begin; without one the
    suffix alone tells. later_magic: what they hold at an offset besides. name_end: how their names end besides.
    read: reads one, or the name of a function "package.module:function", which is imported when a file needs it.
    module: a library that the reader needs, or "". extra: what installs it, as pip takes it. has_series: a file can
    hold several images.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Reader | str
    magics: tuple[bytes, ...] = ()
    later_magic: tuple[int, bytes] = (0, b"")
    name_end: str = ""
    module: str = ""
    extra: str = ""
    has_series: bool = False

    def recognizes(self, path: Path, head: bytes) -> bool:
        """Tell whether a file of these first bytes is of the format."""
        offset, magic = self.later_magic
        if not path.name.lower().endswith(self.name_end):
            return False
        if not self.magics and not magic:
            return path.suffix.lower() in self.suffixes
        return head.startswith(self.magics or (b"",)) and head[offset:].startswith(magic)

    @property
    def is_installed(self) -> bool:
        """Whether the library that the reader needs can be imported."""
        return not self.module or find_spec(self.module.partition(".")[0]) is not None

    def reader(self, path: Path) -> Reader:
        """Return the function that reads a file; ``path`` is named where its library is missing.

        Raises:
            InputError: the library that it needs is not installed.
        """
        if not self.is_installed:
            expected = f"the library {self.module}, which reads {self.name}"
            raise refusal(
                path, expected=expected, found="that it is missing", advice=f'run: pip install "{self.extra}"'
            )
        if callable(self.read):
            return self.read
        module, _, function = self.read.partition(":")
        reader: Reader = getattr(importlib.import_module(module), function)
        return reader


_RASTER = "zncc_cli.files.raster:read_raster"
_INSTRUMENTS = "zncc_cli.files.instruments"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# The kind and a blank, which begins the rest of the header.
_PNM = tuple(
    kind + blank for kind in (*(b"P%d" % n for n in range(1, 8)), b"Pf", b"PF") for blank in (b" ", b"\n", b"\r", b"\t")
)
_COMPOUND_FILE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # of Microsoft's OLE

BUILT_IN = (
    FileFormat(
        name="TIFF",
        suffixes=(".tif", ".tiff", ".btf", ".tf8", ".lsm", ".stk", ".svs"),
        magics=_TIFF,
        read="zncc_cli.files.tiff.read:read_tiff",
        has_series=True,
    ),
    FileFormat(name="PNG", suffixes=(".png",), magics=(b"\x89PNG\r\n\x1a\n",), read=_RASTER),
    FileFormat(name="JPEG", suffixes=(".jpg", ".jpeg"), magics=(b"\xff\xd8\xff",), read=_RASTER),
    FileFormat(name="BMP", suffixes=(".bmp",), magics=(b"BM",), read=_RASTER),
    FileFormat(name="GIF", suffixes=(".gif",), magics=(b"GIF8",), read=_RASTER),
    FileFormat(name="WebP", suffixes=(".webp",), magics=(b"RIFF",), later_magic=(8, b"WEBP"), read=_RASTER),
    FileFormat(
        name="PNM",
        suffixes=(".pgm", ".ppm", ".pnm", ".pbm", ".pam", ".pfm"),
        magics=_PNM,
        read="zncc_cli.files.pnm:read_pnm",
    ),
    FileFormat(name="NPY", suffixes=(".npy",), magics=(b"\x93NUMPY",), read="zncc_cli.files.npy:read_npy"),
)
"""The formats that are read without an extra."""

OME_ZARR = FileFormat(
    name="OME-Zarr", suffixes=(".zarr",), read="zncc_cli.files.ome_zarr:read_ome_zarr", has_series=True
)
"""The format of folders."""


def _instrument(name: str, module: str, reader: str, suffixes: tuple[str, ...], **how: object) -> FileFormat:
    extra = f"zncc-cli[{reader}]" if module else ""
    read = f"{_INSTRUMENTS}.{reader}:read_{reader}"
    return FileFormat(name=name, suffixes=suffixes, module=module, extra=extra, read=read, **how)  # type: ignore[arg-type]


INSTRUMENTS = (
    _instrument("LIF (Leica)", "liffile", "lif", (".lif",), magics=(b"\x70\0\0\0",), has_series=True),
    _instrument("ND2 (Nikon)", "nd2", "nd2", (".nd2",), magics=(b"\xda\xce\xbe\x0a",)),
    _instrument("CZI (Zeiss)", "pylibCZIrw", "czi", (".czi",), magics=(b"ZISRAWFILE",)),
    _instrument("DICOM", "pydicom", "dicom", (".dcm",), later_magic=(128, b"DICM")),
    _instrument("HDF5", "h5py", "hdf5", (".h5", ".hdf5"), magics=(b"\x89HDF\r\n\x1a\n",)),
    _instrument("FITS", "astropy", "fits", (".fits", ".fit", ".fts"), magics=(b"SIMPLE  =",), has_series=True),
    _instrument("FITS (gzip)", "astropy", "fits", (), magics=(b"\x1f\x8b",), name_end=".fits.gz", has_series=True),
    _instrument("NIfTI", "nibabel", "nifti", (".nii",), later_magic=(344, b"n+1\0")),
    _instrument("NIfTI-2", "nibabel", "nifti", (), later_magic=(4, b"n+2\0"), name_end=".nii"),
    _instrument("NIfTI (gzip)", "nibabel", "nifti", (), magics=(b"\x1f\x8b",), name_end=".nii.gz"),
    _instrument("MRC", "mrcfile", "mrc", (".mrc",), later_magic=(208, b"MAP")),
    _instrument("NRRD", "nrrd", "nrrd", (".nrrd",), magics=(b"NRRD000",)),
    _instrument("MetaImage", "", "metaimage", (".mha",), magics=(b"ObjectType", b"NDims")),
    _instrument("DM3 (Gatan)", "rsciio", "dm", (".dm3",), magics=(b"\0\0\0\x03",)),
    _instrument("DM4 (Gatan)", "rsciio", "dm", (".dm4",), magics=(b"\0\0\0\x04",)),
    _instrument("OIF (Olympus)", "oiffile", "oif", (".oif",)),
    _instrument("OIB (Olympus)", "oiffile", "oif", (".oib",), magics=(_COMPOUND_FILE,), name_end=".oib"),
    _instrument("NDPI (Hamamatsu)", "openslide", "slide", (".ndpi",), magics=_TIFF, name_end=".ndpi"),
    _instrument("VMS (Hamamatsu)", "openslide", "slide", (".vms", ".vmu")),
    _instrument("BIF (Ventana)", "openslide", "slide", (".bif",), magics=_TIFF, name_end=".bif"),
    _instrument("MIRAX (3DHistech)", "openslide", "slide", (".mrxs",)),
    _instrument("SVSLIDE (Sakura)", "openslide", "slide", (".svslide",)),
)
"""The formats of instruments, most of which need an extra. Some begin like TIFFs, and are tried before these."""

ANY_OF_BIOIO = _instrument("file of bioio", "bioio", "bioio", (), has_series=True)
"""What reads files of no format above where bioio is installed, which has plug-ins for many."""

HEAD_BYTES = 512
"""First bytes of a file that `format_of` looks at."""


@lru_cache(maxsize=1)
def formats() -> tuple[FileFormat, ...]:
    """Return all formats in the order in which they are tried: of this package, and of other packages that add some.

    Raises:
        InputError: an entry point of the group does not name formats.
    """
    return (*INSTRUMENTS, *BUILT_IN, *_added())


def _added() -> Iterable[FileFormat]:
    """Yield the formats of other packages."""
    for entry in entry_points(group=ENTRY_POINTS):
        loaded = entry.load()
        found = tuple(loaded) if isinstance(loaded, list | tuple) else (loaded,)
        if not all(isinstance(file_format, FileFormat) for file_format in found):
            raise InputError(
                f"entry point {entry.name} of {ENTRY_POINTS}: expected FileFormats, found {loaded!r}; "
                "remove its package, or tell its author"
            )
        yield from found
