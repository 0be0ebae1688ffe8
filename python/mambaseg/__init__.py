"""Images to labels, and the operators, modules, networks and metrics of mambaseg for Python's torch.

    from mambaseg import Segmenter                    # labels of nibabel images, arrays and files
    from mambaseg.ops import selective_scan_fn        # the field's signatures, on the CPU too
    from mambaseg import Mamba, SS2D, network, metrics
    import mambaseg.compat; mambaseg.compat.install() # import mamba_ssm, causal_conv1d, ... from here
"""

import torch  # noqa: F401  its libraries come first, the extension uses them

from mambaseg._C import Error, UsageError
from mambaseg._C import version as __version__
from mambaseg import metrics, ops, scan
from mambaseg.modules import SS2D, Mamba

__all__ = ["Error", "Mamba", "Network", "SS2D", "Segmentation", "Segmenter", "UsageError", "metrics", "network",
           "network_facts", "network_names", "ops", "scan"]

_OF_NETS = ("Network", "network", "network_facts", "network_names")
_OF_SEGMENTER = ("Segmentation", "Segmenter")


def __getattr__(name: str):
    """What needs the networks, whose library is large, comes when it is asked for."""
    if name in _OF_NETS:
        from mambaseg import nets

        return getattr(nets, name)
    if name in _OF_SEGMENTER:
        from mambaseg import segmenter

        return getattr(segmenter, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
