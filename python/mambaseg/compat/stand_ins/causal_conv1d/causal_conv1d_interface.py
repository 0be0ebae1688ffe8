from mambaseg.ops import causal_conv1d_fn, causal_conv1d_update
from mambaseg.reference import causal_conv1d_ref
