"""Research code that asks for mamba_ssm, causal_conv1d or selective_scan_cuda, on top of mambaseg.

    import mambaseg.compat
    mambaseg.compat.install()                    # the packages that are missing can be imported
    mambaseg.compat.install(cuda_to_cpu=True)    # and .cuda(), device="cuda" mean the CPU

or, without a change to the script: python -m mambaseg.compat [--cuda-to-cpu] script.py arguments ...
"""

import os
import sys

from mambaseg.compat.cuda_to_cpu import map_cuda_to_cpu

__all__ = ["STAND_INS", "install", "uninstall"]

#: The folder of the packages that stand in.
STAND_INS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "stand_ins")


def install(cuda_to_cpu: bool = False) -> None:
    """Makes the packages importable that are missing; those that are installed stay what they are.

    mamba_ssm (Mamba with bimamba_type "v1", "v2" and "v3", selective_scan_fn, mamba_inner_fn, ...),
    causal_conv1d, causal_conv1d_cuda, selective_scan, selective_scan_cuda and VMamba's selective_scan_cuda_core,
    _oflex, _ndstate and _nrow. `cuda_to_cpu`: from now on, in this thread and those of data loaders,
    what is asked of a CUDA device happens on the CPU.
    """
    if STAND_INS not in sys.path:
        sys.path.append(STAND_INS)  # at the end: what is installed comes first
    if cuda_to_cpu:
        map_cuda_to_cpu()


def uninstall() -> None:
    """Takes back what can be taken back: what was imported stays, a mapped device too."""
    if STAND_INS in sys.path:
        sys.path.remove(STAND_INS)
