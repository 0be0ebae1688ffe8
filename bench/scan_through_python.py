#!/usr/bin/env python3
"""Times the selective scan as Python calls it: against the same operator called from C++, against selective_scan_ref and,
where it is installed, against the CPU scan of mamba.py (PyPI: mambapy).

    PYTHONPATH=build/release/python /usr/bin/python3 bench/scan_through_python.py build/release/bin/bench_selective_scan

One case of VM-UNet's size: L 4096, D 384, N 16, one direction, fp32. Results are compared before they are timed. The C++
program runs before and after; the better of its two is the one to hold against.
"""
import argparse
import json
import subprocess
import time

import torch

from mambaseg import ops
from mambaseg.reference import selective_scan_ref

L, D, N = 4096, 384, 16
CASE = f"L {L}, D {D}, N {N}"


def operands(channels_last):
    torch.manual_seed(1)
    u, delta = torch.randn(1, L, D), torch.randn(1, L, D)
    B, C = torch.randn(1, L, N), torch.randn(1, L, N)
    A = -torch.arange(1.0, N + 1).repeat(D, 1)
    turned = [t.transpose(1, 2) if channels_last else t.transpose(1, 2).contiguous() for t in (u, delta, B, C)]
    return [turned[0], turned[1], A, turned[2], turned[3], torch.ones(D), None, torch.randn(D) - 3]


def seconds(work, runs):
    """The least of `runs`, after one that does not count."""
    work()
    best = float("inf")
    for _ in range(runs):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def forward_and_backward(scan, given, runs):
    def forward():
        with torch.no_grad():
            scan(*given)

    leaves = [t if t is None else t.detach().requires_grad_() for t in given]
    with torch.no_grad():
        weight = torch.ones_like(scan(*given))  # in memory as the output, as a network's gradient comes

    def both():
        for t in leaves:
            if t is not None:
                t.grad = None
        scan(*leaves).backward(weight)

    return seconds(forward, runs), seconds(both, runs)


def from_cpp(program, threads):
    """Seconds of the forward and of the backward pass."""
    found = []
    for way in ("forward", "backward"):
        done = subprocess.run([program, "--json", "--threads", str(threads), "--filter", f"{CASE}, {way}"],
                              stdout=subprocess.PIPE, check=True)
        found.append(L * D * N / 1e9 / json.loads(done.stdout)[0]["ours"])
    return found


def mambapy_scan(u, delta, A, B, C, D_skip, z, bias):
    from mambapy.pscan import pscan

    dt = torch.nn.functional.softplus(delta.transpose(1, 2) + bias)
    decay = torch.exp(dt.unsqueeze(-1) * A)
    gain = (dt * u.transpose(1, 2)).unsqueeze(-1) * B.transpose(1, 2).unsqueeze(2)
    y = (pscan(decay, gain) @ C.transpose(1, 2).unsqueeze(-1)).squeeze(3)
    return (y + D_skip * u.transpose(1, 2)).transpose(1, 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="bench_selective_scan")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=10)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    def ours(*given):
        return ops.selective_scan_fn(*given, delta_softplus=True)

    def reference(*given):
        return selective_scan_ref(*given, delta_softplus=True)

    given = operands(False)
    others = {"selective_scan_ref": reference}
    try:
        import mambapy  # noqa: F401
        others["mambapy"] = mambapy_scan
    except ImportError:
        print("mambapy is not installed")
    expected = ours(*given)
    for name, scan in others.items():
        error = (scan(*given) - expected).abs().max() / expected.abs().max()
        print(f"{name} and ours differ by {error:.1e} of the largest number")
        assert error < 1e-4

    first = from_cpp(arguments.program, arguments.threads)
    last = forward_and_backward(ours, operands(True), arguments.runs)
    turned = forward_and_backward(ours, given, arguments.runs)
    cpp = [min(pair) for pair in zip(first, from_cpp(arguments.program, arguments.threads))]
    print(f"{CASE}, {arguments.threads} thread(s), torch {torch.__version__}; seconds: forward, forward and backward")
    rows = [("C++ (the passes timed alone)", cpp[0], sum(cpp)), ("ours, (B, L, D) seen as (B, D, L)", *last),
            ("ours, (B, D, L)", *turned)]
    rows += [(name, *forward_and_backward(scan, given, 1)) for name, scan in others.items()]
    for name, forward, both in rows:
        print(f"  {name:36} {forward:8.4f} {both:8.4f}    ours is {forward / last[0]:6.2f} and {both / last[1]:6.2f} times as fast")


if __name__ == "__main__":
    main()
