from causal_conv1d_cuda import (causal_conv1d_bwd as causal_conv1d_bwd_function,
                                causal_conv1d_fwd as causal_conv1d_fwd_function,
                                causal_conv1d_update as causal_conv1d_update_function)
