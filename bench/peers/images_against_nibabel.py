#!/usr/bin/env python3
"""CPU seconds of reading drawn .nii.gz images of 256 x 256 x 256 voxels and of writing labels, beside nibabel: what is
read is compared, then both take turns.

    python3 bench/peers/images_against_nibabel.py build/release/bin/bench_images [--rounds 5]

Needs nibabel. nibabel packs at its own level, 1; the files that are read were packed by it.
"""
import argparse
import json
import os
import subprocess
import tempfile
import time

import nibabel
import numpy as np

EDGE = 256


def drawn():
    """A head of smooth tissue and noise in air; labels of it: three tissues and 32 structures with rough borders."""
    random = np.random.default_rng(1)
    axis = np.linspace(-1, 1, EDGE, dtype=np.float32)
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij", sparse=True)
    head = x**2 / 0.5 + y**2 / 0.7 + z**2 / 0.6 < 1
    tissue = 700 + 300 * np.sin(9 * x) * np.cos(7 * y) * np.sin(8 * z)
    image = np.where(head, tissue + 20 * random.standard_normal((EDGE,) * 3, np.float32), 0).astype(np.float32)
    rough = 0.003 * random.standard_normal((EDGE,) * 3, np.float32)
    labels = np.where(head, 1 + np.digitize(tissue + 3000 * rough, (600, 800)), 0).astype(np.int32)
    for number in range(1, 33):
        a, b, c = random.uniform(-0.5, 0.5, 3)
        labels[(x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 + rough < random.uniform(0.1, 0.3) ** 2] = 10 * number
    return image, labels


def ours(*arguments):
    return json.loads(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)


def read_by_nibabel(path):
    start = time.process_time()
    voxels = np.asarray(nibabel.load(path).dataobj)
    return time.process_time() - start, voxels


def compare_reading(program, path, rounds):
    found, (_, voxels) = ours(program, "read", path), read_by_nibabel(path)
    expected = voxels.sum(dtype=np.float64)
    assert found["voxels"] == voxels.size and abs(found["sum"] - expected) <= 1e-9 * abs(expected), (found, expected)
    times = [(ours(program, "read", path)["cpu_s"], read_by_nibabel(path)[0]) for _ in range(rounds)]
    return np.min(times, axis=0)


def compare_writing(program, path, folder, rounds):
    by_us, by_nibabel = f"{folder}/ours.nii.gz", f"{folder}/theirs.nii.gz"
    ours(program, "write", path, by_us)
    labels = nibabel.load(path)
    voxels = np.asarray(labels.dataobj)
    packed = nibabel.load(by_us)
    assert np.array_equal(np.asarray(packed.dataobj), voxels), "labels differ"
    times = []
    for _ in range(rounds):
        start = time.process_time()
        small = voxels.astype(packed.get_data_dtype())  # as write_labels does
        nibabel.save(nibabel.Nifti1Image(small, labels.affine), by_nibabel)
        theirs_s = time.process_time() - start
        times.append((ours(program, "write", path, by_us)["cpu_s"], theirs_s))
    return *np.min(times, axis=0), os.path.getsize(by_us) / os.path.getsize(by_nibabel)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    image, labels = drawn()
    with tempfile.TemporaryDirectory() as folder:
        for name, voxels in (("int16", image.astype(np.int16)), ("float32", image), ("labels", labels)):
            path = f"{folder}/{name}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
            ours_s, theirs_s = compare_reading(options.program, path, options.rounds)
            print(f"read {name:8} {ours_s:.3f} s, nibabel {theirs_s:.3f} s: {theirs_s / ours_s:.1f} times as fast")
        ours_s, theirs_s, size = compare_writing(options.program, path, folder, options.rounds)
        print(f"write labels  {ours_s:.3f} s, nibabel {theirs_s:.3f} s: {theirs_s / ours_s:.1f} times as fast, "
              f"{size:.2f} of its size")


if __name__ == "__main__":
    main()
