"""What the operators compute, in plain torch, one step after the other: slow, to compare with."""

from typing import List, Optional, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["bimamba_inner_ref", "causal_conv1d_ref", "mamba_inner_ref", "selective_scan_ref"]


def _per_step(t: Tensor, channels: int, state_type: torch.dtype) -> List[Tensor]:
    """B or C of every step: (B, D or 1, N) each, or one (D, N) for all."""
    if t.dim() == 2:
        return [t.to(state_type)]
    if state_type.is_complex and not t.is_complex():  # pairs along the last axis
        t = torch.view_as_complex(t.to(torch.zeros((), dtype=state_type).real.dtype).unflatten(-1, (-1, 2)))
    t = t.to(state_type)
    t = t.unsqueeze(1) if t.dim() == 3 else t.repeat_interleave(channels // t.shape[1], dim=1)
    return list(t.unbind(-1))


def selective_scan_ref(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Optional[Tensor] = None,
                       z: Optional[Tensor] = None, delta_bias: Optional[Tensor] = None,
                       delta_softplus: bool = False,
                       return_last_state: bool = False) -> Union[Tensor, Tuple[Tensor, Tensor]]:
    """mambaseg.ops.selective_scan_fn.

    For step t: dt = softplus(delta[t] + delta_bias), x = exp(dt A) x + dt B[t] u[t], y[t] = C[t] . x + D u[t].
    A may be complex; then y[t] is twice the real part, and B and C that depend on the token hold pairs,
    (B, N, 2 L) or (B, G, N, 2 L).
    """
    wide = torch.float64 if u.dtype == torch.float64 else torch.float32
    state_type = (torch.complex128 if wide == torch.float64 else torch.complex64) if A.is_complex() else wide
    channels, length = u.shape[1], u.shape[2]
    tokens, dt = u.to(wide), delta.to(wide)
    if delta_bias is not None:
        dt = dt + delta_bias.to(wide)[:, None]
    if delta_softplus:
        dt = F.softplus(dt)
    gains = _per_step(B, channels, state_type)
    reads = _per_step(C, channels, state_type)
    A = A.to(state_type)
    x = A.new_zeros((u.shape[0],) + tuple(A.shape))
    # Taken apart once: the gradient of a select in the loop would be as large as the whole tensor.
    steps, driven, results = dt.unsqueeze(3).unbind(2), (dt * tokens).unsqueeze(3).unbind(2), []
    for t in range(length):
        gain, read = gains[t if len(gains) > 1 else 0], reads[t if len(reads) > 1 else 0]
        x = torch.exp(steps[t] * A) * x + driven[t] * gain
        y = (x * read).sum(-1)
        results.append(2 * y.real if y.is_complex() else y)
    out = torch.stack(results, dim=2)
    if D is not None:
        out = out + tokens * D.to(wide)[:, None]
    if z is not None:
        out = out * F.silu(z.to(wide))
    out = out.to(u.dtype)
    return (out, x.detach()) if return_last_state else out


def causal_conv1d_ref(x: Tensor, weight: Tensor, bias: Optional[Tensor] = None,
                      activation: Optional[str] = None) -> Tensor:
    """mambaseg.ops.causal_conv1d_fn without states: x (B, D, L), weight (D, W) -> (B, D, L)."""
    y = F.conv1d(x.to(weight.dtype), weight.unsqueeze(1), bias, padding=weight.shape[1] - 1, groups=weight.shape[0])
    y = y[..., : x.shape[2]]
    return (y if activation is None else F.silu(y)).to(x.dtype)


def _projected(x: Tensor, x_proj_weight: Tensor, delta_proj_weight: Tensor, A: Tensor, B: Optional[Tensor],
               C: Optional[Tensor], B_proj_bias: Optional[Tensor],
               C_proj_bias: Optional[Tensor]) -> Tuple[Tensor, Tensor, Tensor]:
    """delta (B, D, L), B and C of the tokens (B, D, L)."""
    low = F.linear(x.transpose(1, 2), x_proj_weight)
    rank, numbers = delta_proj_weight.shape[1], A.shape[1] * (2 if A.is_complex() else 1)

    def of_tokens(t, bias):
        t = t if bias is None else t + bias
        if A.is_complex():  # pairs along the steps
            return t.unflatten(-1, (-1, 2)).transpose(1, 2).flatten(2)
        return t.transpose(1, 2)

    delta = F.linear(low[..., :rank], delta_proj_weight).transpose(1, 2)
    B = of_tokens(low[..., rank: rank + numbers], B_proj_bias) if B is None else B
    C = of_tokens(low[..., low.shape[-1] - numbers:], C_proj_bias) if C is None else C
    return delta, B, C


def mamba_inner_ref(xz: Tensor, conv1d_weight: Tensor, conv1d_bias: Optional[Tensor], x_proj_weight: Tensor,
                    delta_proj_weight: Tensor, out_proj_weight: Tensor, out_proj_bias: Optional[Tensor],
                    A: Tensor, B: Optional[Tensor] = None, C: Optional[Tensor] = None,
                    D: Optional[Tensor] = None, delta_bias: Optional[Tensor] = None,
                    B_proj_bias: Optional[Tensor] = None, C_proj_bias: Optional[Tensor] = None,
                    delta_softplus: bool = True) -> Tensor:
    """mambaseg.ops.mamba_inner_fn."""
    x, z = xz.chunk(2, dim=1)
    x = causal_conv1d_ref(x, conv1d_weight.squeeze(1), conv1d_bias, "silu")
    delta, B, C = _projected(x, x_proj_weight, delta_proj_weight, A, B, C, B_proj_bias, C_proj_bias)
    y = selective_scan_ref(x, delta, A, B, C, D, z, delta_bias, delta_softplus)
    return F.linear(y.transpose(1, 2), out_proj_weight, out_proj_bias)


def bimamba_inner_ref(xz: Tensor, conv1d_weight: Tensor, conv1d_bias: Optional[Tensor], x_proj_weight: Tensor,
                      delta_proj_weight: Tensor, out_proj_weight: Tensor, out_proj_bias: Optional[Tensor],
                      A: Tensor, A_b: Tensor, B: Optional[Tensor] = None, C: Optional[Tensor] = None,
                      D: Optional[Tensor] = None, delta_bias: Optional[Tensor] = None,
                      B_proj_bias: Optional[Tensor] = None, C_proj_bias: Optional[Tensor] = None,
                      delta_softplus: bool = True) -> Tensor:
    """mambaseg.ops.bimamba_inner_fn."""
    x, z = xz.chunk(2, dim=1)
    x = causal_conv1d_ref(x, conv1d_weight.squeeze(1), conv1d_bias, "silu")
    delta, B, C = _projected(x, x_proj_weight, delta_proj_weight, A, B, C, B_proj_bias, C_proj_bias)
    y = selective_scan_ref(x, delta, A, B, C, D, z, delta_bias, delta_softplus)
    back = selective_scan_ref(x.flip(-1), delta.flip(-1), A_b, B.flip(-1) if B.dim() > 2 else B,
                              C.flip(-1) if C.dim() > 2 else C, D, z.flip(-1), delta_bias, delta_softplus)
    return F.linear((y + back.flip(-1)).transpose(1, 2), out_proj_weight, out_proj_bias)
