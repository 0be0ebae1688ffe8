from mambaseg.ops import (bimamba_inner_fn, causal_conv1d_fn, mamba_inner_fn, mamba_inner_fn_no_out_proj,
                          selective_scan_fn)
from mambaseg.reference import bimamba_inner_ref, mamba_inner_ref, selective_scan_ref
