"""The steps, most telling first. A step: its name, the group of the page that its figures stand in, the longest it may take in
seconds, whether it needs a GPU, the command, and what reads figures out of what that prints. Commands run in the folder of results;
the first word is a program of the build."""
import os
import shutil
from dataclasses import dataclass, field
from typing import Callable

import figures


@dataclass
class Step:
    name: str
    group: str
    limit: int
    command: list
    read: Callable = lambda log: []
    gpu: bool = True
    env: dict = field(default_factory=dict)
    needs: list = field(default_factory=list)  # files that an earlier step or the machine provides


NUMBERS, KERNELS, NETWORKS, IMAGES = "Are the numbers right?", "Kernels", "Networks", "Whole images"


def tests(pattern):
    return [f"--gtest_filter={pattern}", "--gtest_brief=1"]


def network(name, images=0, *options):
    command = ["bench_network", "--json", "--device", "cuda", "--precision", "fp32,tf32,bf16", "--runs", "5", *options]
    return Step(name, NETWORKS, 90, command, lambda log: figures.of_network(log, images))


def predicted(root, templates):
    """The models in the box on a whole head and on many pictures, on the GPU and, for comparison, the head on the CPU."""
    head, model = os.path.join(templates, "ch2.nii.gz"), os.path.join(root, "models", "t1-subcortical", "model.toml")

    def segment(device, precision):
        return Step(f"whole_head_{device}_{precision}", IMAGES, 150,
                    ["mambaseg", "segment", head, "-m", model, "-o", f"head_{device}_{precision}", "--quick", "--overwrite",
                     "--device", device, "--precision", precision], figures.of_prediction, device == "cuda", needs=[head])

    def same(precision):
        one, other = "head_cpu_fp32/ch2.nii.gz", f"head_cuda_{precision}/ch2.nii.gz"
        return Step(f"same_labels_{precision}", NUMBERS, 30,
                    ["mambaseg", "evaluate", "-r", one, "-p", other, "--metric", "Dice", "-o", f"same_{precision}"], figures.of_dice,
                    needs=[one, other])

    pictures = Step("pictures_cuda", IMAGES, 60,
                    ["mambaseg", "predict", "-m", os.path.join(root, "models", "skin-lesion", "skin-lesion.safetensors"),
                     "-i", "pictures", "-o", "masks", "--batch", "16", "--device", "cuda", "--precision", "bf16"],
                    figures.of_prediction, needs=["pictures"])
    return [segment("cuda", "fp32"), segment("cuda", "bf16"), segment("cpu", "fp32"), same("fp32"), same("bf16"), pictures]


def all_steps(root, templates):
    sanitizer = shutil.which("compute-sanitizer") or "compute-sanitizer"
    no_drop = ("--training-step", "--settings", '{"drop_path": 0}')
    return [
        Step("golden_cuda", NUMBERS, 150, ["golden_check", os.path.join(root, "tests", "golden"), "--device", "cuda"],
             figures.of_golden_files),
        Step("every_network_cuda", NUMBERS, 90, ["test_nets", *tests("*OnTheGpu*Scores*")], figures.of_tests),
        Step("kernels_cuda", NUMBERS, 120, ["test_ops", *tests("*OnTheGpu*")], figures.of_tests),
        Step("gradients_cuda", NUMBERS, 90, ["test_nets", *tests("*OnTheGpuATrainingStep*")], figures.of_tests),
        Step("scan_speed", KERNELS, 60, ["bench_selective_scan", "--device", "cuda"], figures.of_kernels),
        Step("depthwise_speed", KERNELS, 60, ["bench_depthwise_conv", "--device", "cuda"], figures.of_kernels),
        network("medsegmamba_patch"),
        network("medsegmamba_step", 0, *no_drop),
        network("hym_unet_pictures", 16, "--network", "hym_unet", "--batch", "16"),
        network("hym_unet_step", 16, "--network", "hym_unet", "--batch", "16", *no_drop),
        network("lbmnet_window", 0, "--network", "lbmnet", "--patch", "128"),
        network("lbmnet_step", 0, "--network", "lbmnet", "--patch", "64", "--training-step"),
        *predicted(root, templates),
        Step("training_cuda", NUMBERS, 90, ["test_train", *tests("*OnTheGpu*")], figures.of_tests),
        Step("memcheck", NUMBERS, 60, [sanitizer, "--tool", "memcheck", "--error-exitcode", "1", "test_ops", *tests("*OnTheGpuGives*")],
             figures.of_tests, env={"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}),
        Step("demo_training", IMAGES, 150, ["mambaseg", "demo", "--train", "-o", "demo", "--templates", templates, "--device", "cuda"],
             needs=[os.path.join(templates, "ch2bet.nii.gz")]),
        Step("demo_volume", IMAGES, 60, ["mambaseg", "predict", "-m", "demo/run/best.safetensors", "-i", "demo/right_hemisphere.nii.gz",
                                         "-o", "demo_volume.nii.gz", "--device", "cuda"], figures.of_prediction,
             needs=["demo/run/best.safetensors", "demo/right_hemisphere.nii.gz"]),
        Step("racecheck", NUMBERS, 150,
             [sanitizer, "--tool", "racecheck", "--error-exitcode", "1", "test_ops", *tests("*OnTheGpuGives*")], figures.of_tests),
        Step("operators_cpu", NUMBERS, 60, ["test_ops", *tests("*")], figures.of_tests, gpu=False),
    ]


PROGRAMS = ["mambaseg", "golden_check", "bench_selective_scan", "bench_depthwise_conv", "bench_network"]
TESTS = ["test_nets", "test_ops", "test_train"]
