"""Run elastix in a process of its own: itk and SimpleITK cannot share one, and itk warns when it is imported.

    python run_elastix.py FOLDER

For every parameter file NAME.txt in FOLDER, transformix's result on moving.npy: NAME_image.npy, and NAME_moved.npy, how
far each pixel of the frame is moved, (H, W, 2). Before that, elastix registers fixed.npy and moving.npy by a few steps
of every kind of transform and writes its parameter files, found_KIND.txt.
"""

from __future__ import annotations

import sys
from pathlib import Path

import itk
import numpy as np


def main(folder: Path) -> None:
    fixed, moving = (
        itk.image_from_array(np.load(folder / f"{name}.npy").astype(np.float32)) for name in ("fixed", "moving")
    )
    for kind in ("Translation", "Euler", "Similarity", "Affine"):
        parameters = itk.ParameterObject.New()
        settings = parameters.GetDefaultParameterMap("rigid", 1)
        settings["Transform"], settings["MaximumNumberOfIterations"] = [f"{kind}Transform"], ["5"]
        parameters.AddParameterMap(settings)
        _, result = itk.elastix_registration_method(fixed, moving, parameter_object=parameters)
        result.WriteParameterFile(str(folder / f"found_{kind}.txt"))
    for path in folder.glob("*.txt"):
        parameters = itk.ParameterObject.New()
        parameters.AddParameterFile(str(path))
        transformix = itk.TransformixFilter.New(moving)
        transformix.SetTransformParameterObject(parameters)
        transformix.SetComputeDeformationField(True)
        transformix.Update()
        np.save(folder / f"{path.stem}_image.npy", itk.array_from_image(transformix.GetOutput()))
        np.save(folder / f"{path.stem}_moved.npy", itk.array_from_image(transformix.GetOutputDeformationField()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
