"""mamba_ssm on top of mambaseg."""

from mamba_ssm.modules.mamba_simple import Mamba
from mamba_ssm.ops.selective_scan_interface import bimamba_inner_fn, mamba_inner_fn, selective_scan_fn
from mambaseg import __version__ as __mambaseg_version__

__version__ = "2.2.2+mambaseg." + __mambaseg_version__
