#!/usr/bin/env python3
"""nnU-Net's own votes and export of the scores that bench_export gives ours: the network is one 1x1x1
convolution, so that time and memory are those of summing patches, resampling and taking the largest. Labels
stay in memory, as in bench_export.

    python3 -m venv VENV && VENV/bin/pip install torch nnunetv2
    VENV/bin/python bench/peers/nnunet_export.py --size 256 256 300 --classes 30 --threads 2

Prints what each step took, the largest memory of the process, and the versions."""
import argparse
import resource
import time
from importlib.metadata import version

import numpy as np
import torch
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager


def managers(patch, spacing, classes):
    """Plans as nnU-Net writes them, cut to what prediction reads."""
    plans = {
        "dataset_name": "Dataset001_Export", "plans_name": "plans", "image_reader_writer": "SimpleITKIO",
        "label_manager": "LabelManager", "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": {
            "architecture": {}, "patch_size": [patch] * 3, "spacing": [spacing] * 3,
            "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
            "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, "order_z": 0,
                                                   "force_separate_z": None}}}}
    dataset = {"channel_names": {"0": "CT"}, "file_ending": ".nii.gz",
               "labels": {"background": 0, **{f"structure {k}": k for k in range(1, classes)}}}
    plans_manager = PlansManager(plans)
    return plans_manager, plans_manager.get_configuration("3d_fullres"), dataset


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=3, default=[256, 256, 300], help="voxels of the file, of 1 mm")
    parser.add_argument("--classes", type=int, default=30)
    parser.add_argument("--patch", type=int, default=128)
    parser.add_argument("--spacing", type=float, default=1, help="voxel edge of the network's grid")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    plans_manager, configuration, dataset = managers(args.patch, args.spacing, args.classes)
    predictor = nnUNetPredictor(tile_step_size=0.5, use_gaussian=True, use_mirroring=False,
                                perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False)
    predictor.manual_initialization(torch.nn.Conv3d(1, args.classes, 1), plans_manager, configuration, None,
                                    dataset, "nnUNetTrainer", None)
    seen = [round(n / args.spacing) for n in args.size]
    image = torch.randn(1, *seen)
    box = [[0, n] for n in args.size]
    properties = {"spacing": [1, 1, 1], "shape_after_cropping_and_before_resampling": args.size,
                  "shape_before_cropping": args.size, "bbox_used_for_cropping": box}
    with torch.no_grad():
        start, used = time.perf_counter(), time.process_time()
        logits = predictor.predict_sliding_window_return_logits(image)
        middle, used_then = time.perf_counter(), time.process_time()
        labels = convert_predicted_logits_to_segmentation_with_correct_shape(
            logits, plans_manager, configuration, predictor.label_manager, properties,
            num_threads_torch=args.threads)
        end, used_last = time.perf_counter(), time.process_time()
    assert labels.shape == tuple(args.size) and len(np.unique(labels[::16, ::16, ::16])) > 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"nnU-Net {version('nnunetv2')}, PyTorch {torch.__version__}, {args.threads} threads")
    print(f"votes {middle - start:.1f} s, export {end - middle:.1f} s, together {end - start:.1f} s "
          f"(processor {used_then - used:.1f} + {used_last - used_then:.1f} s), "
          f"largest memory of the process {peak:.2f} GiB")


if __name__ == "__main__":
    main()
