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
    # A B-spline after an affine transform, as most people run elastix: two files, the first one named by the second.
    parameters = itk.ParameterObject.New()
    for kind in ("affine", "bspline"):
        settings = parameters.GetDefaultParameterMap(kind, 1, 24.0)
        settings["MaximumNumberOfIterations"] = ["5"]
        parameters.AddParameterMap(settings)
    _, result = itk.elastix_registration_method(fixed, moving, parameter_object=parameters)
    first, then = (result.GetParameterMap(number) for number in (0, 1))
    then["InitialTransformParameterFileName"] = [str(folder / "found_first.txt")]  # as the command line names it
    for name, found in (("first", first), ("then_bspline", then)):
        itk.ParameterObject.WriteParameterFile(found, str(folder / f"found_{name}.txt"))
    for path in folder.glob("*.txt"):
        if path.name.endswith(".initial.txt"):
            continue
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
