#!/usr/bin/env python3
"""Forward and backward pass of a training step: this program beside PyTorch in Python, the same network, size and loss.

  python -m venv peers && peers/bin/pip install torch==2.11.* nnunetv2==2.8.* 
  peers/bin/python bench/peers/training_step.py build/release/bin/bench_network [--threads 2] [--rounds 2] [--only TEXT] [--json FILE]

PyTorch runs in each of contiguous and channels-last layout and, for bf16, under autocast; the better one is what ours is held
against. The loss is the mean square of the scores of every output. Each round runs ours, then PyTorch, then the next case, so that
both meet the machine's better and worse minutes; the least seconds count. For measuring only.
"""
import argparse
import json
import subprocess
import time

import torch
from torch import nn


def plain_unet():
    """nnU-Net's plain U-Net of its own package, at the widths of our default."""
    from dynamic_network_architectures.architectures.unet import PlainConvUNet

    return PlainConvUNet(1, 6, [32, 64, 128, 256, 320, 320], nn.Conv3d, 3, [1, 2, 2, 2, 2, 2], 2, 2, 2, conv_bias=True,
                         norm_op=nn.InstanceNorm3d, norm_op_kwargs={"eps": 1e-5, "affine": True}, nonlin=nn.LeakyReLU,
                         nonlin_kwargs={"inplace": True}, deep_supervision=True)


class UNet(nn.Module):
    """The 2-D U-Net of 31,037,633 parameters: two convolutions with batch norm a scale, transposed convolutions."""

    def __init__(self, widths=(64, 128, 256, 512, 1024)):
        super().__init__()

        def twice(given, made):
            return nn.Sequential(*[layer for start in (given, made) for layer in (
                nn.Conv2d(start, made, 3, padding=1, bias=False), nn.BatchNorm2d(made), nn.ReLU(inplace=True))])

        self.down = nn.ModuleList(twice(*pair) for pair in zip((3, *widths), widths))
        self.grow = nn.ModuleList(nn.ConvTranspose2d(2 * width, width, 2, 2) for width in reversed(widths[:-1]))
        self.up = nn.ModuleList(twice(2 * width, width) for width in reversed(widths[:-1]))
        self.head = nn.Conv2d(widths[0], 1, 1)

    def forward(self, x):
        skips = []
        for stage in self.down:
            x = stage(nn.functional.max_pool2d(x, 2) if skips else x)
            skips.append(x)
        for grow, stage, skip in zip(self.grow, self.up, reversed(skips[:-1])):
            x = stage(torch.cat([skip, grow(x)], 1))
        return self.head(x)


CASES = {  # words for bench_network, the network in PyTorch, shape
    "plain_unet 64^3, batch 2": (["--network", "plain_unet", "--patch", "64", "--batch", "2"], plain_unet, (2, 1, 64, 64, 64)),
    "unet 256^2, batch 2": (["--network", "unet", "--patch", "256", "--batch", "2"], UNet, (2, 3, 256, 256)),
}


def ours(program, words, threads):
    done = subprocess.run([program, *words, "--training-step", "--threads", str(threads), "--runs", "3", "--no-reference", "--json"],
                          stdout=subprocess.PIPE, check=True)
    return {("bf16" if " bf16" in row["case"] else "fp32"): row["ours"] for row in json.loads(done.stdout) if row["unit"] == "s"}


def in_pytorch(build, shape, runs=3):
    """Seconds in fp32 and bf16, each with the layout that won."""
    torch.manual_seed(1)
    found = {}
    for layout in (torch.contiguous_format, torch.channels_last_3d if len(shape) == 5 else torch.channels_last):
        network = build().to(memory_format=layout).train()
        x = torch.rand(shape).to(memory_format=layout)
        for precision in ("fp32", "bf16"):
            def step():
                network.zero_grad()
                with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                    outputs = network(x)
                outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
                sum(scores.float().square().mean() for scores in outputs).backward()

            step()
            for _ in range(runs):
                start = time.perf_counter()
                step()
                found[precision] = min(found.get(precision, (float("inf"),)), (time.perf_counter() - start, str(layout)[6:]))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="bench_network")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", default="")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = []
    for case, (words, build, shape) in CASES.items():
        if arguments.only not in case:
            continue
        left, right = {}, {}
        for _ in range(arguments.rounds):
            for precision, seconds in ours(arguments.program, words, arguments.threads).items():
                left[precision] = min(left.get(precision, seconds), seconds)
            for precision, seconds in in_pytorch(build, shape).items():
                right[precision] = min(right.get(precision, seconds), seconds)
        for precision in left:
            seconds, layout = right[precision]
            rows.append({"case": f"{case}, training step {precision}", "unit": "s", "ours": left[precision], "reference": seconds,
                         "layout": layout, "threads": arguments.threads})
            print(f"{rows[-1]['case']:44} ours {left[precision]:7.3f} s, PyTorch {torch.__version__} {seconds:7.3f} s ({layout}), "
                  f"ratio {seconds / left[precision]:.2f}", flush=True)
    if arguments.json:
        with open(arguments.json, "w") as out:
            json.dump(rows, out, indent=1)


if __name__ == "__main__":
    main()
