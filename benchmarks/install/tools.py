"""The tools that are installed: what pip is asked for, and a program that aligns a pair of TIFF files by it.

Each program has the paths of both images for arguments, writes the aligned image, and prints the affine matrix, fixed
-> moving, as JSON. It imports nothing but the tool and what the tool brings. pystackreg reads no images, so its pair is
given as arrays of NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass

_PYSTACKREG = """
import json, sys
import numpy as np
from pystackreg import StackReg
fixed, moving = (np.load(path).astype(float) for path in sys.argv[1:3])
stackreg = StackReg(StackReg.AFFINE)
matrix = stackreg.register(fixed, moving)
np.save("aligned.npy", stackreg.transform(moving))
print(json.dumps(matrix.tolist()))
"""

_SIMPLEITK = """
import json, sys
import SimpleITK as sitk
fixed, moving = (sitk.Cast(sitk.ReadImage(path), sitk.sitkFloat32) for path in sys.argv[1:3])
for image in (fixed, moving):
    image.SetSpacing((1, 1))
transform = sitk.AffineTransform(2)
transform.SetCenter([(n - 1) / 2 for n in fixed.GetSize()])
method = sitk.ImageRegistrationMethod()
method.SetMetricAsCorrelation()
method.SetInterpolator(sitk.sitkLinear)
method.SetInitialTransform(transform, True)
method.SetShrinkFactorsPerLevel([4, 2, 1])
method.SetSmoothingSigmasPerLevel([2, 1, 0])
method.SetOptimizerAsRegularStepGradientDescent(2.0, 1e-4, 100, 0.6, 1e-8)
method.SetOptimizerScalesFromPhysicalShift()
method.Execute(fixed, moving)
sitk.WriteImage(sitk.Resample(moving, fixed, transform), "aligned.tif")
o, x, y = (transform.TransformPoint(p) for p in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)))
print(json.dumps([[x[0] - o[0], y[0] - o[0], o[0]], [x[1] - o[1], y[1] - o[1], o[1]], [0, 0, 1]]))
"""

_ELASTIX = """
import json, sys
import itk
fixed, moving = (itk.imread(path, itk.F) for path in sys.argv[1:3])
for image in (fixed, moving):
    image.SetSpacing((1.0, 1.0))
parameters = itk.ParameterObject.New()
parameters.AddParameterMap(parameters.GetDefaultParameterMap("affine"))
aligned, found = itk.elastix_registration_method(
    fixed, moving, parameter_object=parameters, log_to_console=False, number_of_threads=1
)
itk.imwrite(aligned, "aligned.tif")
values = dict(found.GetParameterMap(0))
a, b, c, d, e, f = map(float, values["TransformParameters"])
x, y = map(float, values["CenterOfRotationPoint"])
print(json.dumps([[a, b, e + x - a * x - b * y], [c, d, f + y - c * x - d * y], [0, 0, 1]]))
"""


@dataclass(frozen=True)
class Tool:
    """A tool: its name, what pip is asked for, the program, and whether its images are arrays of NumPy."""

    name: str
    requirement: str
    program: str
    takes_arrays: bool = False


OTHERS = (
    Tool("pystackreg", "pystackreg", _PYSTACKREG, takes_arrays=True),
    Tool("SimpleITK", "SimpleITK", _SIMPLEITK),
    Tool("itk-elastix", "itk-elastix", _ELASTIX),
)
