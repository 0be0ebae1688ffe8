import torch.nn as nn

from mamba_ssm.ops.triton.layer_norm import RMSNorm, layer_norm_fn


class Block(nn.Module):
    """Add, norm, mix (and the same with an MLP); hands on the sum and what is to be added next."""

    def __init__(self, dim, mixer_cls, mlp_cls=nn.Identity, norm_cls=nn.LayerNorm, fused_add_norm=False,
                 residual_in_fp32=False):
        super().__init__()
        self.residual_in_fp32, self.fused_add_norm = residual_in_fp32, fused_add_norm
        self.norm, self.mixer = norm_cls(dim), mixer_cls(dim)
        self.mlp = None if mlp_cls is nn.Identity else mlp_cls(dim)
        if self.mlp is not None:
            self.norm2 = norm_cls(dim)

    def _added(self, x, residual, norm):
        return layer_norm_fn(x, norm.weight, norm.bias, residual, eps=norm.eps, prenorm=True,
                             residual_in_fp32=self.residual_in_fp32, is_rms_norm=isinstance(norm, RMSNorm))

    def forward(self, hidden_states, residual=None, inference_params=None, **mixer_kwargs):
        x, residual = self._added(hidden_states, residual, self.norm)
        x = self.mixer(x.to(self.norm.weight.dtype), inference_params=inference_params, **mixer_kwargs)
        if self.mlp is not None:
            x, residual = self._added(x, residual, self.norm2)
            x = self.mlp(x)
        return x, residual

    def allocate_inference_cache(self, batch_size, max_seqlen, dtype=None, **kwargs):
        return self.mixer.allocate_inference_cache(batch_size, max_seqlen, dtype=dtype, **kwargs)
