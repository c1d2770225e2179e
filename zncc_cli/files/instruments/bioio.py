"""Any file that an installed bioio reads, with its plug-ins for formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zncc_cli.files.array_image import array_image, calibration, library_errors, select_series
from zncc_cli.files.image import Image
from zncc_cli.files.options import ReadOptions

_AXES = "TCZYXS"


def read_bioio(path: Path, options: ReadOptions) -> Image:
    """Read a scene of ``path`` as bioio has it, by parts; its sizes are in micrometres.

    Raises:
        InputError: bioio has no plug-in for the file, or the file is damaged. OptionError: there is no such series.
    """
    import bioio

    with library_errors(path, options.name):
        file: Any = bioio.BioImage(path)
        number, notes = select_series(path, options, [str(scene) for scene in file.scenes])
        file.set_scene(number)
        axes = str(file.dims.order)
        if not set(axes) <= set(_AXES):
            raise ValueError(f"axes {axes}")
        sizes = file.physical_pixel_sizes
        fields = calibration(sizes.X, sizes.Y, "µm", sizes.Z)
        names = [str(name) for name in file.channel_names or ()]
        if len(names) == file.dims["C"][0] and "S" not in axes:
            fields["properties"] |= {"Channel": {"Name": names}}
        return array_image(path, options, file.dask_data, axes, fields, notes)
