#!/usr/bin/env python3
"""Augmentation of volumes: this program beside batchgeneratorsv2 with the transforms of nnU-Net's default trainer.

  peers/bin/python bench/peers/augmentation.py build/release/bin/bench_augmentation [--patch 128] [--patches 8] [--rounds 3]

One thread each, seconds a patch, the best of the rounds, ours and theirs in turn. Both cut their patch out of a volume of one and a half
times its edge in memory; batchgeneratorsv2's, as nnU-Net's loader does, from a patch that is larger by what rotations need. The environment
is that of training_step.py. For measuring only.
"""
import argparse
import json
import subprocess
import time

import numpy as np
import torch


def transforms(patch):
    """What nnUNetTrainer gives a 3-D network, without the deep supervision's coarser labels."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    angle = 30 / 360 * 2 * np.pi
    return nnUNetTrainer.get_training_transforms((patch,) * 3, (-angle, angle), None, (0, 1, 2), None)


def theirs(patch, count):
    from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size

    angle = 30 / 360 * 2 * np.pi
    large = get_patch_size((patch,) * 3, (-angle, angle), (-angle, angle), (-angle, angle), (0.85, 1.25))
    edge = patch * 3 // 2
    generator = np.random.default_rng(1)
    image = torch.from_numpy(generator.standard_normal((1, edge, edge, edge), dtype=np.float32))
    labels = torch.from_numpy(generator.integers(0, 3, (1, edge, edge, edge), dtype=np.int16))
    change = transforms(patch)

    def cut(volume):
        """The loader's patch: as much as there is, zeros around it."""
        inside = [min(int(size), edge) for size in large]
        out = volume[(slice(None), *(slice(0, size) for size in inside))]
        room = [(0, int(size) - have) for size, have in zip(large, inside)]
        return torch.nn.functional.pad(out, [n for pair in reversed(room) for n in pair]).clone()

    torch.manual_seed(1)
    np.random.seed(1)
    change(image=cut(image), segmentation=cut(labels))
    start = time.perf_counter()
    for _ in range(count):
        change(image=cut(image), segmentation=cut(labels))
    return (time.perf_counter() - start) / count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="bench_augmentation")
    parser.add_argument("--patch", type=int, default=128)
    parser.add_argument("--patches", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    words = ["--patch", str(arguments.patch), "--patches", str(arguments.patches), "--rounds", "1", "--only", "all", "--json"]
    left, right = [], []
    for _ in range(arguments.rounds):
        left.append(json.loads(subprocess.run([arguments.program, *words], stdout=subprocess.PIPE, check=True).stdout)[0]["ours"])
        right.append(theirs(arguments.patch, arguments.patches * 8))
    print(f"{arguments.patch}^3: ours {1e3 * min(left):.1f} ms a patch, batchgeneratorsv2 {1e3 * min(right):.1f} ms, "
          f"{min(right) / min(left):.1f} times")


if __name__ == "__main__":
    main()
