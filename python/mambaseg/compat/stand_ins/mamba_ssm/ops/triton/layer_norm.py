"""Norms with a residual in front, in plain torch."""

import torch
import torch.nn as nn
import torch.nn.functional as F


def _normed(x, weight, bias, eps, rms):
    x, kind = x.float(), x.dtype
    if rms:
        y = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight
        y = y if bias is None else y + bias
    else:
        y = F.layer_norm(x, x.shape[-1:], weight.float(), None if bias is None else bias.float(), eps)
    return y.to(kind)


def layer_norm_fn(x, weight, bias, residual=None, x1=None, weight1=None, bias1=None, eps=1e-6, dropout_p=0.0,
                  rowscale=None, prenorm=False, residual_in_fp32=False, is_rms_norm=False, **kwargs):
    """norm(x + residual) and, with `prenorm`, the sum."""
    if x1 is not None or weight1 is not None or rowscale is not None or dropout_p:
        raise NotImplementedError("layer_norm_fn: expected no x1, weight1, rowscale and dropout")
    total = x if residual is None else x + residual
    y = _normed(total, weight, bias, eps, is_rms_norm).to(x.dtype)
    return (y, total.float() if residual_in_fp32 else total) if prenorm else y


def rms_norm_fn(x, weight, bias, residual=None, eps=1e-6, prenorm=False, residual_in_fp32=False, **kwargs):
    return layer_norm_fn(x, weight, bias, residual, eps=eps, prenorm=prenorm, residual_in_fp32=residual_in_fp32,
                         is_rms_norm=True, **kwargs)


class RMSNorm(nn.Module):
    def __init__(self, hidden_size, eps=1e-5, dropout_p=0.0, device=None, dtype=None, **kwargs):
        super().__init__()
        if dropout_p:
            raise NotImplementedError("RMSNorm: expected no dropout")
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(hidden_size, device=device, dtype=dtype))
        self.register_parameter("bias", None)

    def forward(self, x, residual=None, prenorm=False, residual_in_fp32=False):
        return rms_norm_fn(x, self.weight, self.bias, residual, self.eps, prenorm, residual_in_fp32)
