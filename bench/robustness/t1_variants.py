#!/usr/bin/env python3
"""Variants of one T1 scan and its labels, to measure how a model holds what it was not shown.

  t1_variants.py T1.nii.gz LABELS.nii.gz OUT [--brain BRAIN_MASK_OR_SKULL_STRIPPED.nii.gz]

Writes OUT/images/NAME.nii.gz and OUT/labels/NAME.nii.gz: all 48 orders and directions of the axes (orient_LIA, ...), voxels of
0.7, 1.5 and 3 mm slices along each axis, half and a thousand times the intensity, noise of 3, 6 and 10 % of white matter's brightness,
without skull. Needs nibabel and NumPy; used for measuring only.
"""
import argparse
import itertools
import os

import nibabel as nib
import numpy as np
from nibabel import orientations as turn


def resliced(volume, affine, axis, spacing_mm, nearest):
    """Voxels of `spacing_mm` along `axis`: means over each new voxel (nearest for labels)."""
    old_mm = np.linalg.norm(affine[:3, axis])
    count = max(1, int(round(volume.shape[axis] * old_mm / spacing_mm)))
    step = spacing_mm / old_mm
    samples = 1 if nearest else max(1, int(np.ceil(2 * step)))
    out = 0.0
    for s in range(samples):
        at = (np.arange(count) + (s + 0.5) / samples) * step - 0.5
        at = np.clip(at, 0, volume.shape[axis] - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, volume.shape[axis] - 1)
        if nearest:
            out = np.take(volume, np.round(at).astype(int), axis=axis)
            break
        shape = [1] * volume.ndim
        shape[axis] = count
        part = (at - low).reshape(shape)
        out = out + (np.take(volume, low, axis=axis) * (1 - part) + np.take(volume, high, axis=axis) * part) / samples
    changed = affine.copy()
    changed[:3, axis] *= step
    changed[:3, 3] += affine[:3, axis] * (step - 1) / 2
    return out, changed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image")
    parser.add_argument("labels")
    parser.add_argument("out")
    parser.add_argument("--brain", help="image that is 0 outside the brain, on the same grid")
    parser.add_argument("--white", type=float, help="brightness of white matter (default: 90 %% point of what is not 0)")
    options = parser.parse_args()
    scan = nib.load(options.image)
    image, affine = np.asarray(scan.dataobj, dtype=np.float32).squeeze(), scan.affine
    labels = np.asarray(nib.load(options.labels).dataobj).astype(np.int32).squeeze()
    assert image.shape == labels.shape, "image and labels lie on different grids"
    white = options.white or float(np.percentile(image[image > 0], 90))
    random = np.random.default_rng(0)
    for sub in ("images", "labels"):
        os.makedirs(os.path.join(options.out, sub), exist_ok=True)

    def write(name, voxels, numbers, matrix):
        nib.save(nib.Nifti1Image(voxels.astype(np.float32), matrix), f"{options.out}/images/{name}.nii.gz")
        nib.save(nib.Nifti1Image(numbers.astype(np.int16), matrix), f"{options.out}/labels/{name}.nii.gz")

    write("as_is", image, labels, affine)
    here = turn.io_orientation(affine)
    for axes in itertools.permutations(("LR", "PA", "IS")):
        for ends in itertools.product((0, 1), repeat=3):
            code = "".join(pair[end] for pair, end in zip(axes, ends))
            change = turn.ornt_transform(here, turn.axcodes2ornt(code))
            matrix = affine @ turn.inv_ornt_aff(change, image.shape)
            write("orient_" + code, turn.apply_orientation(image, change), turn.apply_orientation(labels, change), matrix)
    for spacing in (0.7, 1.5, 3.0):
        for axis in range(3):
            voxels, matrix = resliced(image, affine, axis, spacing, False)
            numbers, _ = resliced(labels, affine, axis, spacing, True)
            write(f"slices_{spacing}mm_axis{axis}", voxels, numbers, matrix)
    for factor in (0.5, 1000.0):
        write(f"times_{factor:g}", image * factor, labels, affine)
    for share in (0.03, 0.06, 0.1):
        noisy = np.hypot(image + random.normal(0, share * white, image.shape), random.normal(0, share * white, image.shape))
        write(f"noise_{round(100 * share)}", noisy, labels, affine)
    if options.brain:
        brain = np.asarray(nib.load(options.brain).dataobj).squeeze() > 0
        write("without_skull", image * brain, labels, affine)


if __name__ == "__main__":
    main()
