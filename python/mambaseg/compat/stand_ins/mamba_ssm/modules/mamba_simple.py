from mamba_ssm.modules.block import Block
from mamba_ssm.ops.triton.layer_norm import RMSNorm, layer_norm_fn, rms_norm_fn
from mambaseg.modules import Mamba
from mambaseg.ops import causal_conv1d_fn, causal_conv1d_update, mamba_inner_fn, selective_scan_fn
