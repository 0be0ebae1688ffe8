"""Operators, modules, networks and metrics of mambaseg for Python's torch.

    from mambaseg.ops import selective_scan_fn        # the field's signatures, on the CPU too
    from mambaseg import Mamba, SS2D, network, metrics
    import mambaseg.compat; mambaseg.compat.install() # import mamba_ssm, causal_conv1d, ... from here
"""

import torch  # noqa: F401  its libraries come first, the extension uses them

from mambaseg._C import Error, UsageError
from mambaseg._C import version as __version__
from mambaseg import metrics, ops, scan
from mambaseg.modules import SS2D, Mamba

__all__ = ["Error", "Mamba", "Network", "SS2D", "UsageError", "metrics", "network", "network_facts",
           "network_names", "ops", "scan"]

_OF_NETS = ("Network", "network", "network_facts", "network_names")


def __getattr__(name: str):
    """The networks, whose library is large, come when they are asked for."""
    if name in _OF_NETS:
        from mambaseg import nets

        return getattr(nets, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
