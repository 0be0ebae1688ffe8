#!/usr/bin/env python3
"""Spoilt copies of T1 scans, to measure how many of them `mambaseg segment` refuses or flags, and how many of the clean ones.

  t1_spoilt.py FOLDER_OF_SCANS OUT          writes OUT/NAME__KIND.nii.gz, and OUT/NAME__clean.nii.gz
  t1_spoilt.py --count OUT/segmented/volumes.tsv   counts flags a kind

Kinds: noise (a quarter of white matter's brightness), ghosts (four copies along the phase axis, 35 %), contrast (dark and
bright exchanged inside the head, as T2), half (the left half of the head cut off), top (everything below the middle of the head cut off),
flipped (left and right exchanged in the voxels, not in the header). Needs nibabel and NumPy; used for measuring only.
"""
import argparse
import collections
import csv
import glob
import os

import nibabel as nib
import numpy as np


def spoilt(image, seed):
    """Kind to voxels, of an image in RAS order."""
    random = np.random.default_rng(seed)
    white = np.percentile(image[image > 0.1 * image.max()], 90)
    noise = image + random.normal(0, white / 4, image.shape)
    yield "noise", np.hypot(noise, random.normal(0, white / 4, image.shape))
    ghosts = image.copy()
    for copy in range(1, 5):
        shift = copy * image.shape[1] // 5
        ghosts += 0.35 * np.roll(image, shift, axis=1) * (-1) ** copy
    yield "ghosts", np.abs(ghosts)
    head = image > 0.1 * white
    yield "contrast", np.where(head, np.clip(1.15 * white - image, 0.05 * white, None), image)
    where = np.argwhere(head)
    middle = np.median(where, axis=0).astype(int)
    half = image.copy()
    half[: middle[0]] = 0
    yield "half", half
    top = image.copy()
    top[:, :, : middle[2]] = 0
    yield "top", top
    yield "flipped", image[::-1]


def write_copies(folder, out):
    os.makedirs(out, exist_ok=True)
    for seed, path in enumerate(sorted(glob.glob(folder + "/*.nii.gz") + glob.glob(folder + "/*.mgz"))):
        scan = nib.as_closest_canonical(nib.load(path))
        name = os.path.basename(path).split(".")[0]
        image = np.asarray(scan.dataobj, dtype=np.float32).squeeze()
        for kind, voxels in [("clean", image), *spoilt(image, seed)]:
            nib.save(nib.Nifti1Image(np.ascontiguousarray(voxels, dtype=np.float32), scan.affine), f"{out}/{name}__{kind}.nii.gz")


def count(table):
    flagged, refused, all_of = collections.Counter(), collections.Counter(), collections.Counter()
    quality = collections.defaultdict(list)
    with open(table) as rows:
        for row in csv.DictReader(rows, delimiter="\t"):
            kind = row["image"].split("__")[-1]
            all_of[kind] += 1
            refused[kind] += row["look_at"].startswith("refused")
            flagged[kind] += bool(row["look_at"]) and not row["look_at"].startswith("refused")
            if row.get("quality"):
                quality[kind].append(float(row["quality"]))
    for kind in sorted(all_of):
        values = quality[kind] or [float("nan")]
        print(f"{kind:10} {all_of[kind]:3} images, {refused[kind]:3} refused, {flagged[kind]:3} flagged, quality "
              f"{min(values):.3f} to {max(values):.3f}, median {np.median(values):.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?")
    parser.add_argument("out", nargs="?")
    parser.add_argument("--count", help="volumes.tsv of the segmented copies")
    options = parser.parse_args()
    if options.count:
        count(options.count)
    else:
        write_copies(options.folder, options.out)


if __name__ == "__main__":
    main()
