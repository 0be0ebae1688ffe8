#!/usr/bin/env python3
"""Times a SciPy implementation of the surface metrics on the pair that bench_metrics wrote, and compares the values.

    build/release/bin/bench_metrics FOLDER && python3 bench/metrics_against_scipy.py FOLDER

Needs python3-scipy. One process, as the Python packages work: for each label the box of both masks, erosion, two
Euclidean distance transforms. Computes Dice, HD95, HD95_monai, ASSD and NSD_monai, a part of what bench_metrics does.
"""
import json
import struct
import sys
import time

import numpy as np
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


def main():
    folder = sys.argv[1]
    reference, prediction = read_nifti(f"{folder}/reference.nii"), read_nifti(f"{folder}/prediction.nii")
    ours = json.load(open(f"{folder}/values.json"))
    start = time.perf_counter()
    theirs = {label: scores(reference == int(label), prediction == int(label), 1.0) for label in ours}
    elapsed_s = time.perf_counter() - start
    worst = max(abs(ours[label][name] - value) for label, row in theirs.items() for name, value in row.items())
    print(f"SciPy {len(ours)} labels, 5 metrics: {elapsed_s:.2f} s; largest difference to ours {worst:.2g}")
    sys.exit(0 if worst < 1e-9 else 1)


if __name__ == "__main__":
    main()
