"""causal_conv1d on top of mambaseg."""

from causal_conv1d.causal_conv1d_interface import causal_conv1d_fn, causal_conv1d_update

__version__ = "1.4.0"
