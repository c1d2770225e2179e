# Aligns one open image to another with zncc-align, and opens the result.
#
# Installation: copy this file into the folder scripts/Plugins of Fiji (make it where there is none), and start Fiji anew:
# Plugins > ZNCC Align. zncc-cli has to be installed: https://docs.python.org/3/library/venv.html, pip install zncc-cli.
#
# @ ImagePlus (label="Fixed image") fixed
# @ ImagePlus (label="Moving image") moving
# @ String (label="Model", choices={"translation", "rigid", "similarity", "affine", "homography", "auto", "bspline"}, value="affine") model
# @ String (label="Command (with its folder, if it is not found)", value="zncc-align") command
# @ String (label="Further options", value="") options

import json
import os
import shlex
import shutil
import subprocess
import tempfile

from ij import IJ

ALIGNED, MISSING_FILES, NOT_TRUSTED = 0, 5, 3  # exit codes of zncc-align that leave an aligned image


def align(folder):
    """Run zncc-align on both images in a folder; return its exit code, its report and its messages."""
    files = [os.path.join(folder, name) for name in ("fixed.tif", "moving.tif")]
    for image, path in zip((fixed, moving), files):
        if not IJ.saveAsTiff(image.duplicate(), path):  # a copy, so that the open image keeps its name
            raise IOError("%s cannot be written" % path)
    line = [command] + files + ["--model", model, "--out", os.path.join(folder, "out"), "--json"]
    process = subprocess.Popen(line + shlex.split(options), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    output, messages = process.communicate()
    report = json.loads(output.decode("utf-8")) if process.returncode in (ALIGNED, MISSING_FILES, NOT_TRUSTED) else None
    return process.returncode, report, messages.decode("utf-8", "replace").strip()


def main():
    """Align, open the aligned image, and say whether it is to be trusted."""
    if fixed is moving:
        IJ.error("ZNCC Align", "Choose two different images.")
        return
    folder = tempfile.mkdtemp(prefix="zncc-")
    try:
        IJ.showStatus("zncc-align is running")
        try:
            code, report, messages = align(folder)
        except OSError as error:
            IJ.error(
                "ZNCC Align", "%s cannot be run (%s).\nInstall zncc-cli, or give its full path." % (command, error)
            )
            return
        if report is None:
            IJ.error("ZNCC Align", messages or "zncc-align ended with exit code %d" % code)
            return
        verdict = "%s: %s" % (report["status"], "; ".join(report["reasons"]))
        IJ.log("ZNCC Align: %s on %s, %s" % (moving.getTitle(), fixed.getTitle(), verdict))
        transform = os.path.join(folder, "out", "transform.json")
        if os.path.exists(transform):
            with open(transform) as file:
                IJ.log("matrix, fixed to moving pixels: %s" % json.dumps(json.load(file)["matrix"]))
        if messages:
            IJ.log(messages)
        aligned = IJ.openImage(os.path.join(folder, "out", "aligned.tif"))
        if aligned is None:
            IJ.error("ZNCC Align", "There is no aligned.tif: leave --write and --format out of the further options.")
            return
        aligned.setTitle("%s aligned" % moving.getTitle())
        aligned.show()
        if code == NOT_TRUSTED:
            IJ.showMessage("ZNCC Align", "Do not trust this result.\n%s" % verdict)
    finally:
        IJ.showStatus("")
        shutil.rmtree(folder, ignore_errors=True)


main()
