"""The operators as differentiable torch functions, with the signatures that the field uses.

Axes in names and docstrings: B batch, L tokens, D channels, N states, K directions, G groups. Everything runs
on the CPU and, where the package was built with CUDA, on a GPU; double precision takes the reference path, in
which `torch.autograd.gradcheck` holds. `torch.compile` leaves the functions as they are (a graph break).
"""

from typing import Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor

from mambaseg import _C
from mambaseg._C import Walks
from mambaseg.reference import selective_scan_ref

__all__ = ["bimamba_inner_fn", "causal_conv1d_fn", "causal_conv1d_update", "depthwise_conv", "mamba_inner_fn",
           "mamba_inner_fn_no_out_proj", "selective_scan", "selective_scan_fn", "selective_scan_ref",
           "selective_state_update"]


def _not_compiled(function):
    """The function with a graph break around it, where torch compiles at all."""
    compiler = getattr(torch, "compiler", None)
    return compiler.disable(function) if hasattr(compiler, "disable") else function


@_not_compiled
def selective_scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Optional[Tensor] = None,
                   z: Optional[Tensor] = None, delta_bias: Optional[Tensor] = None,
                   delta_softplus: bool = True, walks: Optional[Walks] = None,
                   return_last_state: bool = False) -> Union[Tensor, Tuple[Tensor, Tensor]]:
    """The selective scan of Mamba-1 (Gu & Dao 2023) along K walks over tokens that lie channels-last.

    u (B, L, D), or (B, L, K, D); delta (B, L, K, D); A (K, D, N), negative; B and C (B, L, K, G, N), or
    (K, D, N) where they do not depend on the token; D and delta_bias (K, D); z (B, L, D). `walks`
    (mambaseg.scan.walks) says in which order each direction meets the tokens; None: one direction, as they
    lie. Returns the sum of the directions, times silu(z): (B, L, D), and with `return_last_state` the states
    after the last step (B, K, D, N), without gradient. No permuted copy of the tokens is made.
    """
    y, state = _C.selective_scan(u, delta, A, B, C, D, z, delta_bias, delta_softplus, walks, return_last_state)
    return (y, state) if return_last_state else y


@_not_compiled
def selective_scan_fn(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Optional[Tensor] = None,
                      z: Optional[Tensor] = None, delta_bias: Optional[Tensor] = None,
                      delta_softplus: bool = False,
                      return_last_state: bool = False) -> Union[Tensor, Tuple[Tensor, Tensor]]:
    """The selective scan as mamba_ssm.ops.selective_scan_interface has it.

    u, delta, z (B, D, L); A (D, N); B and C (D, N), (B, N, L) or (B, G, N, L); D, delta_bias (D). Returns
    (B, D, L) in the type of u and, with `return_last_state`, the states (B, D, N), without gradient. Tensors
    that are views of (B, L, D) ones are read as they lie. A complex A takes `selective_scan_ref`.
    """
    if A.is_complex():
        return selective_scan_ref(u, delta, A, B, C, D, z, delta_bias, delta_softplus, return_last_state)
    y, state = _C.selective_scan_BDL(u, delta, A, B, C, D, z, delta_bias, delta_softplus, return_last_state)
    return (y, state) if return_last_state else y


@_not_compiled
def depthwise_conv(x: Tensor, weight: Tensor, bias: Optional[Tensor] = None,
                   padding: Union[int, Sequence[int]] = 0, causal: bool = False, channels_last: bool = False,
                   walk: Optional[Walks] = None) -> Tensor:
    """Depthwise convolution of stride 1 in one, two or three axes: torch's conv1d to conv3d with groups = C.

    x (B, C, spatial...) or, `channels_last`, (B, spatial..., C); weight (C, 1, taps...); bias (C). `causal`
    (one axis): taps - 1 zeros in front, none behind. `walk` (one axis, a Walks of one): the order in which
    the convolution meets the tokens; the result lies as x does.
    """
    padding = [padding] * (x.dim() - 2) if isinstance(padding, int) else list(padding)
    return _C.depthwise_conv(x, weight, bias, padding, causal, channels_last, walk)


def _activated(y: Tensor, activation: Optional[str]) -> Tensor:
    if activation not in (None, "silu", "swish"):
        raise NotImplementedError(f"causal_conv1d: expected silu, swish or None, got {activation}")
    return y if activation is None else F.silu(y)


def _within_sequences(x: Tensor, weight: Tensor, bias: Optional[Tensor], seq_idx: Tensor) -> Tensor:
    """The causal convolution of tokens (B, D, L) that sees only those of the same sequence (B, L)."""
    y = torch.zeros_like(x) if bias is None else torch.zeros_like(x) + bias[:, None]
    for back in range(min(weight.shape[1], x.shape[2])):
        earlier = F.pad(x, (back, 0))[..., : x.shape[2]]
        same = F.pad(seq_idx, (back, 0), value=-1)[..., : x.shape[2]] == seq_idx
        y = y + weight[:, -1 - back, None] * earlier * same[:, None]
    return y


def causal_conv1d_fn(x: Tensor, weight: Tensor, bias: Optional[Tensor] = None,
                     seq_idx: Union[Tensor, str, None] = None, initial_states: Optional[Tensor] = None,
                     return_final_states: bool = False, final_states_out: Optional[Tensor] = None,
                     activation: Optional[str] = None) -> Union[Tensor, Tuple[Tensor, Tensor]]:
    """The causal depthwise convolution of package causal_conv1d.

    x (B, D, L); weight (D, W); bias (D); initial_states (B, D, W - 1), zeros where None; seq_idx (B, L): the
    sequence that each token belongs to. Returns (B, D, L) and, asked for, the last W - 1 tokens, the
    final states. As in version 1.0 the fourth argument may be the activation.
    """
    if isinstance(seq_idx, str):
        seq_idx, activation = None, seq_idx
    if x.dim() != 3 or weight.dim() != 2 or weight.shape[0] != x.shape[1]:
        raise _C.Error("causal_conv1d_fn: expected x (B, D, L) and weight (D, W), got "
                       f"{list(x.shape)} and {list(weight.shape)}")
    before = weight.shape[1] - 1
    if seq_idx is not None:
        if initial_states is not None or return_final_states:
            raise NotImplementedError("causal_conv1d_fn: seq_idx: expected no initial or final states with it")
        return _activated(_within_sequences(x, weight, bias, seq_idx).to(x.dtype), activation)
    tokens = x if initial_states is None else torch.cat([initial_states.to(x.dtype), x], dim=2)
    if tokens.stride(1) == 1:  # (B, L, D) seen as (B, D, L)
        y = depthwise_conv(tokens.transpose(1, 2), weight.unsqueeze(1), bias, causal=True, channels_last=True)
        y = y.transpose(1, 2)
    else:
        y = depthwise_conv(tokens, weight.unsqueeze(1), bias, causal=True)
    y = _activated(y[..., y.shape[2] - x.shape[2]:], activation)
    if not return_final_states:
        return y
    final = F.pad(tokens, (before - tokens.shape[2], 0))
    if final_states_out is not None:
        final_states_out.copy_(final)
        final = final_states_out
    return y, final


def causal_conv1d_update(x: Tensor, conv_state: Tensor, weight: Tensor, bias: Optional[Tensor] = None,
                         activation: Optional[str] = None, cache_seqlens: Optional[Tensor] = None) -> Tensor:
    """One or more further tokens of a causal convolution; `conv_state` is changed in place.

    x (B, D) or (B, D, L); conv_state (B, D, S), S >= W - 1: the tokens before, the newest last; weight
    (D, W); bias (D). `cache_seqlens` (ring buffers) is not supported.
    """
    if cache_seqlens is not None:
        raise NotImplementedError("causal_conv1d_update: cache_seqlens: expected None, a ring buffer is not supported")
    tokens = x.unsqueeze(2) if x.dim() == 2 else x
    seen = torch.cat([conv_state.to(tokens.dtype), tokens], dim=2)
    conv_state.copy_(seen[..., -conv_state.shape[2]:])
    seen = seen[..., -(weight.shape[1] - 1 + tokens.shape[2]):]
    y = F.conv1d(seen, weight.unsqueeze(1).to(seen.dtype), None if bias is None else bias.to(seen.dtype),
                 groups=weight.shape[0])
    y = _activated(y, activation)
    return y.squeeze(2) if x.dim() == 2 else y


def selective_state_update(state: Tensor, x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor,
                           D: Optional[Tensor] = None, z: Optional[Tensor] = None,
                           dt_bias: Optional[Tensor] = None, dt_softplus: bool = False) -> Tensor:
    """One step of the selective scan; `state` (B, D, N) is changed in place.

    x, dt, z (B, D); A (D, N); B, C (B, N); D, dt_bias (D). Returns (B, D).
    """
    if x.dim() != 2:
        raise NotImplementedError(f"selective_state_update: x: expected (B, D), got {list(x.shape)}")
    dt = dt if dt_bias is None else dt + dt_bias.to(dt.dtype)
    dt = F.softplus(dt) if dt_softplus else dt
    state.copy_(torch.exp(dt.unsqueeze(2) * A) * state + (dt * x).unsqueeze(2) * B.unsqueeze(1))
    y = (state.to(C.dtype) * C.unsqueeze(1)).sum(2)
    y = y if D is None else y + D.to(y.dtype) * x
    return (y if z is None else y * F.silu(z)).to(x.dtype)


def _rms_normed(x: Tensor, weight: Optional[Tensor], eps: float) -> Tensor:
    if weight is None:
        return x
    return x * torch.rsqrt(x.float().square().mean(-1, keepdim=True) + eps).to(x.dtype) * weight


def read_tokens(tokens: Tensor, conv_weight: Tensor, conv_bias: Optional[Tensor], x_proj_weight: Tensor,
                dt_proj_weight: Tensor, A: Tensor, B: Optional[Tensor] = None, C: Optional[Tensor] = None,
                D: Optional[Tensor] = None, delta_bias: Optional[Tensor] = None, z: Optional[Tensor] = None,
                walk: Optional[Walks] = None, delta_softplus: bool = True,
                B_proj_bias: Optional[Tensor] = None, C_proj_bias: Optional[Tensor] = None,
                norms: Sequence[Optional[Tensor]] = (None, None, None), eps: float = 1e-6) -> Tensor:
    """What stands in Mamba between its two projections, for tokens that lie channels-last.

    tokens, z (B, L, D): causal convolution (weight (D, 1, W)), SiLU, projections to delta, B and C, selective
    scan along `walk`, times silu(z). `norms`: weights of RMS norms of B, C and delta. Returns (B, L, D).
    """
    x = F.silu(depthwise_conv(tokens, conv_weight, conv_bias, causal=True, channels_last=True, walk=walk))
    low = F.linear(x, x_proj_weight)
    rank, numbers = dt_proj_weight.shape[1], A.shape[1] * (2 if A.is_complex() else 1)
    delta = _rms_normed(F.linear(low[..., :rank], dt_proj_weight), norms[2], eps)

    def either(constant, first, bias, norm):
        if constant is not None:
            return constant
        t = low[..., first: first + numbers]
        return _rms_normed(t if bias is None else t + bias.to(t.dtype), norm, eps)

    B_t = either(B, rank, B_proj_bias, norms[0])
    C_t = either(C, low.shape[-1] - numbers, C_proj_bias, norms[1])
    if A.is_complex():
        if walk is not None:
            raise NotImplementedError("read_tokens: expected a real A along a walk")

        def pairs(t):  # (B, L, 2 N) -> (B, N, 2 L)
            return t if t.dim() == 2 else t.unflatten(-1, (-1, 2)).transpose(1, 2).flatten(2)

        y = selective_scan_ref(x.transpose(1, 2), delta.transpose(1, 2), A, pairs(B_t), pairs(C_t), D,
                               None if z is None else z.transpose(1, 2), delta_bias, delta_softplus)
        return y.transpose(1, 2)

    def lined_up(t):
        return t.unsqueeze(0) if t.dim() == 2 else t[:, :, None, None]

    return selective_scan(x, delta.unsqueeze(2), A.unsqueeze(0), lined_up(B_t), lined_up(C_t),
                          None if D is None else D.unsqueeze(0), z,
                          None if delta_bias is None else delta_bias.unsqueeze(0), delta_softplus, walk)


def mamba_inner_fn_no_out_proj(xz: Tensor, conv1d_weight: Tensor, conv1d_bias: Optional[Tensor],
                               x_proj_weight: Tensor, delta_proj_weight: Tensor, A: Tensor,
                               B: Optional[Tensor] = None, C: Optional[Tensor] = None,
                               D: Optional[Tensor] = None, delta_bias: Optional[Tensor] = None,
                               B_proj_bias: Optional[Tensor] = None, C_proj_bias: Optional[Tensor] = None,
                               delta_softplus: bool = True, checkpoint_lvl: int = 1,
                               b_rms_weight: Optional[Tensor] = None, c_rms_weight: Optional[Tensor] = None,
                               dt_rms_weight: Optional[Tensor] = None, b_c_dt_rms_eps: float = 1e-6) -> Tensor:
    """`mamba_inner_fn` before its last projection (Vision Mamba's fork): (B, D, L).

    `checkpoint_lvl` changes nothing here: autograd keeps what the backward pass needs.
    """
    x, z = xz.transpose(1, 2).chunk(2, dim=-1)
    y = read_tokens(x, conv1d_weight, conv1d_bias, x_proj_weight, delta_proj_weight, A, B, C, D, delta_bias, z,
                    None, delta_softplus, B_proj_bias, C_proj_bias, (b_rms_weight, c_rms_weight, dt_rms_weight),
                    b_c_dt_rms_eps)
    return y.transpose(1, 2)


def mamba_inner_fn(xz: Tensor, conv1d_weight: Tensor, conv1d_bias: Optional[Tensor], x_proj_weight: Tensor,
                   delta_proj_weight: Tensor, out_proj_weight: Tensor, out_proj_bias: Optional[Tensor],
                   A: Tensor, B: Optional[Tensor] = None, C: Optional[Tensor] = None,
                   D: Optional[Tensor] = None, delta_bias: Optional[Tensor] = None,
                   B_proj_bias: Optional[Tensor] = None, C_proj_bias: Optional[Tensor] = None,
                   delta_softplus: bool = True, checkpoint_lvl: int = 1, b_rms_weight: Optional[Tensor] = None,
                   c_rms_weight: Optional[Tensor] = None, dt_rms_weight: Optional[Tensor] = None,
                   b_c_dt_rms_eps: float = 1e-6) -> Tensor:
    """What Mamba does behind in_proj, as mamba_ssm.ops.selective_scan_interface has it.

    xz (B, 2 D, L): tokens and gate; conv1d_weight (D, 1, W); x_proj_weight (R + 2 N, D); delta_proj_weight
    (D, R); out_proj_weight (C, D); A (D, N); B and C (D, N), or None: projected from the tokens. Returns
    (B, L, C).
    """
    y = mamba_inner_fn_no_out_proj(xz, conv1d_weight, conv1d_bias, x_proj_weight, delta_proj_weight, A, B, C, D,
                                   delta_bias, B_proj_bias, C_proj_bias, delta_softplus, checkpoint_lvl,
                                   b_rms_weight, c_rms_weight, dt_rms_weight, b_c_dt_rms_eps)
    return F.linear(y.transpose(1, 2).to(xz.dtype), out_proj_weight, out_proj_bias)


def bimamba_inner_fn(xz: Tensor, conv1d_weight: Tensor, conv1d_bias: Optional[Tensor], x_proj_weight: Tensor,
                     delta_proj_weight: Tensor, out_proj_weight: Tensor, out_proj_bias: Optional[Tensor],
                     A: Tensor, A_b: Tensor, B: Optional[Tensor] = None, C: Optional[Tensor] = None,
                     D: Optional[Tensor] = None, delta_bias: Optional[Tensor] = None,
                     B_proj_bias: Optional[Tensor] = None, C_proj_bias: Optional[Tensor] = None,
                     delta_softplus: bool = True, checkpoint_lvl: int = 1) -> Tensor:
    """`mamba_inner_fn` with a second scan of the same projected tokens from the end with A_b (Vision Mamba v1).

    The convolution reads forwards only, as there.
    """
    x, z = xz.transpose(1, 2).chunk(2, dim=-1)
    x = F.silu(depthwise_conv(x, conv1d_weight, conv1d_bias, causal=True, channels_last=True))
    low = F.linear(x, x_proj_weight)
    rank, numbers = delta_proj_weight.shape[1], A.shape[1]
    delta = F.linear(low[..., :rank], delta_proj_weight).transpose(1, 2)

    def either(constant, first, bias):
        if constant is not None:
            return constant
        t = low[..., first: first + numbers]
        return (t if bias is None else t + bias.to(t.dtype)).transpose(1, 2)

    B_t, C_t = either(B, rank, B_proj_bias), either(C, low.shape[-1] - numbers, C_proj_bias)

    def flipped(t):
        return t.flip(-1) if t.dim() == 3 else t

    u, gate = x.transpose(1, 2), z.transpose(1, 2)
    y = selective_scan_fn(u, delta, A, B_t, C_t, D, gate, delta_bias, delta_softplus)
    back = selective_scan_fn(flipped(u), flipped(delta), A_b, flipped(B_t), flipped(C_t), D, flipped(gate),
                             delta_bias, delta_softplus)
    return F.linear((y + back.flip(-1)).transpose(1, 2).to(xz.dtype), out_proj_weight, out_proj_bias)
