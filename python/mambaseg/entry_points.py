"""The compiled modules of the field by their entry points: selective_scan_cuda and VMamba's, causal_conv1d_cuda.

Repositories call them from autograd functions of their own. A backward pass here follows the forward pass
again; `x`, which the others hand from one to the other, holds the states after the last step alone.
"""

from typing import Any, Callable, List, Optional, Sequence

import torch
from torch import Tensor

from mambaseg import ops

__all__ = ["causal_conv1d_bwd", "causal_conv1d_fwd", "causal_conv1d_update", "core_bwd", "core_fwd", "oflex_fwd",
           "scan_bwd", "scan_fwd"]


def _gradients(function: Callable[..., Tensor], operands: Sequence[Optional[Tensor]],
               dout: Tensor) -> List[Optional[Tensor]]:
    """Of function(*operands), in each operand; None where the operand is."""
    with torch.enable_grad():
        leaves = [None if t is None else t.detach().requires_grad_() for t in operands]
        out = function(*leaves)
        found = iter(torch.autograd.grad(out, [t for t in leaves if t is not None], dout.to(out.dtype)))
    return [None if t is None else next(found) for t in leaves]


def _handed_on(state: Tensor) -> Tensor:
    """(B, D, N) as x, of which mamba_ssm reads x[:, :, -1, 1::2]."""
    return torch.stack([torch.zeros_like(state), state], dim=-1).flatten(2).unsqueeze(2)


@torch.no_grad()
def scan_fwd(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Optional[Tensor],
             z: Optional[Tensor], delta_bias: Optional[Tensor], delta_softplus: bool) -> List[Tensor]:
    """selective_scan_cuda.fwd: operands as those of selective_scan_fn -> out, x and, with z, out * silu(z)."""
    out, state = ops.selective_scan_fn(u, delta, A, B, C, D, None, delta_bias, delta_softplus, True)
    gated = [] if z is None else [(out.float() * torch.nn.functional.silu(z.float())).to(out.dtype)]
    return [out, _handed_on(state)] + gated


def scan_bwd(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Optional[Tensor],
             z: Optional[Tensor], delta_bias: Optional[Tensor], dout: Tensor, x: Optional[Tensor],
             out: Optional[Tensor], dz: Optional[Tensor], delta_softplus: bool,
             recompute_out_z: bool) -> List[Optional[Tensor]]:
    """selective_scan_cuda.bwd: du, ddelta, dA, dB, dC, dD, ddelta_bias and, with z, dz and, asked for, out_z.

    dz is written where the caller gave one.
    """
    def scan(u, delta, A, B, C, D, z, delta_bias):
        return ops.selective_scan_fn(u, delta, A, B, C, D, z, delta_bias, delta_softplus)

    *given, found_dz, ddelta_bias = _gradients(scan, [u, delta, A, B, C, D, z, delta_bias], dout)
    gradients: List[Optional[Tensor]] = given + [ddelta_bias]
    if z is not None:
        gradients.append(found_dz if dz is None else dz.copy_(found_dz))
        if recompute_out_z:
            gradients.append(scan_fwd(u, delta, A, B, C, D, z, delta_bias, delta_softplus)[2])
    return gradients


def core_fwd(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Optional[Tensor],
             delta_bias: Optional[Tensor], delta_softplus: bool, nrows: int = 1) -> List[Tensor]:
    """VMamba's selective_scan_cuda_core.fwd: out, in the type of u, and x."""
    return scan_fwd(u, delta, A, B, C, D, None, delta_bias, delta_softplus)


def core_bwd(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Optional[Tensor],
             delta_bias: Optional[Tensor], dout: Tensor, x: Optional[Tensor], delta_softplus: bool,
             nrows: int = 1) -> List[Optional[Tensor]]:
    """VMamba's selective_scan_cuda_core.bwd: du, ddelta, dA, dB, dC, dD, ddelta_bias."""
    return scan_bwd(u, delta, A, B, C, D, None, delta_bias, dout, x, None, None, delta_softplus, False)


def oflex_fwd(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Optional[Tensor],
              delta_bias: Optional[Tensor], delta_softplus: bool, nrows: int = 1,
              out_float: bool = True) -> List[Tensor]:
    """VMamba's selective_scan_cuda_oflex.fwd: as core, out in fp32 where `out_float`, whatever the type of u."""
    return core_fwd(u.float() if out_float else u, delta, A, B, C, D, delta_bias, delta_softplus)


@torch.no_grad()
def causal_conv1d_fwd(x: Tensor, weight: Tensor, bias: Optional[Tensor], *rest: Any) -> Tensor:
    """causal_conv1d_cuda.causal_conv1d_fwd: of 1.0 (..., silu), or (..., seq_idx, initial_states,
    final_states_out, silu)."""
    seq_idx, initial_states, final_states_out = rest[:3] if len(rest) > 1 else (None, None, None)
    y = ops.causal_conv1d_fn(x, weight, bias, seq_idx, initial_states, final_states_out is not None,
                             final_states_out, "silu" if rest[-1] else None)
    return y if final_states_out is None else y[0]


def causal_conv1d_bwd(x: Tensor, weight: Tensor, bias: Optional[Tensor], dout: Tensor,
                      *rest: Any) -> List[Optional[Tensor]]:
    """causal_conv1d_cuda.causal_conv1d_bwd: of 1.0 (..., dx, silu) -> dx, dweight, dbias; or (..., seq_idx,
    initial_states, dfinal_states, dx, return_dinitial_states, silu) -> these and dinitial_states.

    dx is written where the caller gave one.
    """
    first_version = len(rest) == 2
    seq_idx, initial_states, dfinal_states, dx, _, silu = (None,) * 3 + rest[:1] + (None,) + rest[1:] \
        if first_version else rest
    if dfinal_states is not None:
        raise NotImplementedError("causal_conv1d_bwd: dfinal_states: expected None")

    def convolve(x, weight, bias, initial_states):
        return ops.causal_conv1d_fn(x, weight, bias, seq_idx, initial_states, activation="silu" if silu else None)

    found, dweight, dbias, dinitial = _gradients(convolve, [x, weight, bias, initial_states], dout)
    dx = found if dx is None else dx.copy_(found)
    return [dx, dweight, dbias] + ([] if first_version else [dinitial])


def causal_conv1d_update(x: Tensor, conv_state: Tensor, weight: Tensor, bias: Optional[Tensor], silu: bool,
                         *rest: Any) -> Tensor:
    """causal_conv1d_cuda.causal_conv1d_update."""
    return ops.causal_conv1d_update(x, conv_state, weight, bias, "silu" if silu else None, *rest)
