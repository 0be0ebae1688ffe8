#!/usr/bin/env python3
"""Preparing a case for training (crop to what is not zero, z-score of that, cubic resampling from 1.5 to 1 mm, prepared file):
`mambaseg prepare` beside nnU-Net's default preprocessor.

  peers/bin/python bench/peers/preparation.py build/release/bin/mambaseg [--cases 8] [--threads 1] [--rounds 3]

Drawn heads of 160 x 192 x 160 voxels with two labels. nnU-Net's run_case and its file, in as many processes as ours has threads, which
have loaded all before: the least of the rounds, a case in each process. Ours is the whole program: its time for all cases less that for
two, by case, the least of the rounds each. The environment is that of training_step.py. For measuring only.
"""
import argparse
import json
import multiprocessing
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import nibabel
import numpy as np

for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
    os.environ.setdefault(name, tempfile.gettempdir())

SETTINGS = ["plan.conform=spacing", "plan.spacing=[1.0, 1.0, 1.0]", "plan.conform_order=3", "plan.intensity=zscore", "plan.crop_to_brain=true",
            "data.split.validation_fraction=0.5"]


def draw(folder, cases):
    """A Decathlon data set."""
    size = (160, 192, 160)
    axes = np.meshgrid(*(np.linspace(-1.25, 1.25, n) for n in size), indexing="ij")
    radius = np.sqrt(sum(axis ** 2 for axis in axes))
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    names = [f"head_{number:02}" for number in range(cases)]
    for number, name in enumerate(names):
        noise = np.random.default_rng(number).normal(0, 10, size)
        image = np.where(radius < 1, 100 + 40 * np.cos(9 * radius + number) + noise, 0).astype(np.int16)
        labels = np.where(radius < 0.4, 1, np.where(radius < 0.6, 2, 0)).astype(np.uint8)
        for part, values in (("imagesTr", image), ("labelsTr", labels)):
            nibabel.save(nibabel.Nifti1Image(values, np.diag([1.5, 1.5, 1.5, 1])), folder / part / f"{name}.nii.gz")
    (folder / "dataset.json").write_text(json.dumps({
        "name": "heads", "modality": {"0": "MRI"}, "labels": {"0": "background", "1": "anterior", "2": "posterior"},
        "numTraining": cases, "numTest": 0, "test": [],
        "training": [{"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in names]}))
    return names


def ours(program, cases, threads, rounds, work):
    """`prepare` takes all cases of a data set: of two sets that differ by some cases."""
    for count in (2, cases):
        draw(work / f"heads_{count}", count)

    def seconds(count):
        words = SETTINGS + [f"data.dataset.folder={work / f'heads_{count}'}"]
        out = work / "ours"
        shutil.rmtree(out, ignore_errors=True)
        start = time.perf_counter()
        subprocess.run([program, "prepare", "plain_unet_msd_hippocampus", *[w for s in words for w in ("--set", s)], "--threads", str(threads),
                        "-o", str(out)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - start

    return (min(seconds(cases) for _ in range(rounds)) - min(seconds(2) for _ in range(rounds))) / (cases - 2)


def run_theirs(folder, name, work):
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    resampling = {"resampling_fn_data": "resample_data_or_seg_to_shape", "resampling_fn_seg": "resample_data_or_seg_to_shape",
                  "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None},
                  "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, "order_z": 0, "force_separate_z": None}}
    plans = PlansManager({
        "dataset_name": "Dataset001_heads", "plans_name": "nnUNetPlans", "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2],
        "image_reader_writer": "SimpleITKIO", "label_manager": "LabelManager", "foreground_intensity_properties_per_channel": {"0": {}},
        "configurations": {"3d_fullres": {"spacing": [1.0, 1.0, 1.0], "patch_size": [128, 128, 128], "normalization_schemes": ["ZScoreNormalization"],
                                          "use_mask_for_norm": [True],
                                          "architecture": {"network_class_name": "", "arch_kwargs": {}, "_kw_requires_import": []}, "data_identifier": "heads", "batch_size": 2, **resampling}}})
    configuration = plans.get_configuration("3d_fullres")
    dataset = {"labels": {"background": 0, "anterior": 1, "posterior": 2}, "channel_names": {"0": "MRI"}, "file_ending": ".nii.gz"}
    preprocessor = DefaultPreprocessor(verbose=False)
    out = pathlib.Path(tempfile.mkdtemp(dir=work))  # its writer replaces nothing
    start = time.perf_counter()
    preprocessor.run_case_save(str(out / name), [str(folder / "imagesTr" / f"{name}.nii.gz")], str(folder / "labelsTr" / f"{name}.nii.gz"),
                               plans, configuration, dataset)
    return time.perf_counter() - start


def theirs(folder, names, processes, rounds, work):
    """Cases prepared side by side take as long as the slowest; the first round loads the modules."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        words = [(folder, name, work) for name in names[:processes]]
        times = [max(pool.starmap(run_theirs, words, chunksize=1)) for _ in range(rounds + 1)]
    return min(times[1:]) / processes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="mambaseg")
    parser.add_argument("--cases", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        names = draw(work / "heads", arguments.threads)
        left = ours(arguments.program, arguments.cases, arguments.threads, arguments.rounds, work)
        right = theirs(work / "heads", names, arguments.threads, arguments.rounds, work)
    print(f"a case of 160 x 192 x 160 at 1.5 mm to 1 mm: ours {left:.3f} s, nnU-Net {right:.2f} s, "
          f"{right / left:.1f} times (threads, processes: {arguments.threads})")


if __name__ == "__main__":
    main()
