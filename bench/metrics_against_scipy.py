#!/usr/bin/env python3
"""Runs bench_metrics and then a SciPy implementation of the surface metrics on the same pair of images: the ratio of
the times, and the largest difference between the values.

    python3 bench/metrics_against_scipy.py build/release/bin/bench_metrics

Needs python3-scipy. SciPy in one process, as the Python packages work: for each label the box of both masks, erosion,
two Euclidean distance transforms. It computes Dice, HD95, HD95_monai, ASSD and NSD_monai, a part of what bench_metrics
does.
"""
import json
import struct
import subprocess
import sys
import tempfile
import time

import numpy as np
import scipy
from scipy import ndimage


def read_nifti(path):
    """An uncompressed single-file NIfTI-1 of whole numbers, as an array of axes k, j, i."""
    data = open(path, "rb").read()
    sizes = struct.unpack("<8h", data[40:56])
    kinds = {2: np.uint8, 4: np.int16, 8: np.int32}
    kind = kinds[struct.unpack("<h", data[70:72])[0]]
    start = int(struct.unpack("<f", data[108:112])[0])
    return np.frombuffer(data, kind, sizes[1] * sizes[2] * sizes[3], start).reshape(sizes[3], sizes[2], sizes[1])


def scores(reference, prediction, tolerance):
    both = np.argwhere(reference | prediction)
    box = tuple(slice(low, high + 1) for low, high in zip(both.min(0), both.max(0)))
    reference, prediction = np.pad(reference[box], 1), np.pad(prediction[box], 1)
    r_surface = reference ^ ndimage.binary_erosion(reference)
    p_surface = prediction ^ ndimage.binary_erosion(prediction)
    forth = ndimage.distance_transform_edt(~p_surface)[r_surface]
    back = ndimage.distance_transform_edt(~r_surface)[p_surface]
    joined = np.concatenate([forth, back])
    return {
        "Dice": 2 * np.count_nonzero(reference & prediction) / (reference.sum() + prediction.sum()),
        "HD95": np.percentile(joined, 95),
        "HD95_monai": max(np.percentile(forth, 95), np.percentile(back, 95)),
        "ASSD": joined.mean(),
        "NSD_monai": np.count_nonzero(joined <= tolerance) / joined.size,
    }


def compare(folder):
    reference, prediction = read_nifti(f"{folder}/reference.nii"), read_nifti(f"{folder}/prediction.nii")
    with open(f"{folder}/values.json") as file:
        ours = json.load(file)
    start = time.perf_counter()
    theirs = {label: scores(reference == int(label), prediction == int(label), 1.0) for label in ours["labels"]}
    elapsed_s = time.perf_counter() - start
    worst = max(
        abs(ours["labels"][label][name] - value) for label, row in theirs.items() for name, value in row.items()
    )
    print(
        f"SciPy {scipy.__version__}, {len(theirs)} labels, 5 metrics: {elapsed_s:.2f} s, "
        f"{elapsed_s / ours['seconds']:.1f} times ours; largest difference {worst:.2g}"
    )
    return worst < 1e-9


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as pair:
        subprocess.run([sys.argv[1], pair, *sys.argv[2:]], check=True)
        sys.exit(0 if compare(pair) else 1)
