"""The mixers of published networks as torch modules, with the constructors and state_dict names of their sources."""

import math
from typing import Any, Dict, Optional, Tuple, Union

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from mambaseg import ops, scan

__all__ = ["Mamba", "SS2D"]


def _without_decay(values: Tensor) -> nn.Parameter:
    parameter = nn.Parameter(values)
    parameter._no_weight_decay = True
    return parameter


def _log_A(channels: int, states: int, device: Optional[torch.device]) -> nn.Parameter:
    """S4D's real start: log(1..N) for every channel, in fp32."""
    numbers = torch.arange(1, states + 1, dtype=torch.float32, device=device)
    return _without_decay(torch.log(numbers.repeat(channels, 1)))


def _start_dt_weight_(weight: Tensor, rank: int, dt_init: str, dt_scale: float) -> None:
    bound = rank ** -0.5 * dt_scale
    if dt_init not in ("constant", "random"):
        raise NotImplementedError(f"dt_init: expected constant or random, got {dt_init}")
    nn.init.constant_(weight, bound) if dt_init == "constant" else nn.init.uniform_(weight, -bound, bound)


def _start_dt_bias_(bias: Tensor, dt_min: float, dt_max: float, floor: float) -> None:
    """softplus(bias) lies between dt_min and dt_max, evenly on a logarithmic scale."""
    exponent = torch.rand_like(bias) * (math.log(dt_max) - math.log(dt_min)) + math.log(dt_min)
    dt = torch.exp(exponent).clamp(min=floor)
    with torch.no_grad():
        bias.copy_(dt + torch.log(-torch.expm1(-dt)))
    bias._no_reinit = True


class Mamba(nn.Module):
    """Mamba-1 (Gu & Dao 2023) as mamba_ssm.modules.mamba_simple has it.

    `bimamba_type`: "none"; "v1" and "v2", both ways, are Vision Mamba's (Zhu et al. 2024), with
    `if_divide_out` and `init_layer_scale`; "v3", also along the slices of the sequence, of which there are
    `nslices`, is SegMamba's (Xing et al. 2024). `use_fast_path` changes nothing.
    """

    def __init__(self, d_model: int, d_state: int = 16, d_conv: int = 4, expand: float = 2,
                 dt_rank: Union[int, str] = "auto", dt_min: float = 0.001, dt_max: float = 0.1,
                 dt_init: str = "random", dt_scale: float = 1.0, dt_init_floor: float = 1e-4,
                 conv_bias: bool = True, bias: bool = False, use_fast_path: bool = True,
                 layer_idx: Optional[int] = None, device: Optional[torch.device] = None,
                 dtype: Optional[torch.dtype] = None, bimamba_type: Optional[str] = "none", nslices: int = 5,
                 if_divide_out: bool = False, init_layer_scale: Optional[float] = None):
        super().__init__()
        if bimamba_type not in (None, "none", "v1", "v2", "v3"):
            raise ValueError(f"Mamba: bimamba_type: expected none, v1, v2 or v3, got {bimamba_type}")
        self.d_model, self.d_state, self.d_conv, self.expand = d_model, d_state, d_conv, expand
        self.d_inner = int(expand * d_model)
        self.dt_rank = math.ceil(d_model / 16) if dt_rank == "auto" else dt_rank
        self.use_fast_path, self.layer_idx = use_fast_path, layer_idx
        self.bimamba_type, self.nslices, self.if_divide_out = bimamba_type, nslices, if_divide_out
        self.activation, self.act = "silu", nn.SiLU()
        self.init_layer_scale = init_layer_scale
        made = {"device": device, "dtype": dtype}
        if init_layer_scale is not None:
            self.gamma = nn.Parameter(torch.full((d_model,), float(init_layer_scale), **made))
        self.in_proj = nn.Linear(d_model, 2 * self.d_inner, bias=bias, **made)
        self._add_branch("", conv_bias, made)
        _start_dt_weight_(self.dt_proj.weight, self.dt_rank, dt_init, dt_scale)
        _start_dt_bias_(self.dt_proj.bias, dt_min, dt_max, dt_init_floor)
        if bimamba_type == "v1":
            self.A_b_log = _log_A(self.d_inner, d_state, device)
        for suffix in {"v2": ["_b"], "v3": ["_b", "_s"]}.get(bimamba_type or "none", []):
            self._add_branch(suffix, conv_bias, made)
        self.out_proj = nn.Linear(self.d_inner, d_model, bias=bias, **made)
        self._known: Dict[Any, scan.Walks] = {}

    def _add_branch(self, suffix: str, conv_bias: bool, made: Dict[str, Any]) -> None:
        """What reads the tokens along one walk."""
        setattr(self, "conv1d" + suffix, nn.Conv1d(self.d_inner, self.d_inner, self.d_conv, bias=conv_bias,
                                                   groups=self.d_inner, padding=self.d_conv - 1, **made))
        setattr(self, "x_proj" + suffix,
                nn.Linear(self.d_inner, self.dt_rank + 2 * self.d_state, bias=False, **made))
        setattr(self, "dt_proj" + suffix, nn.Linear(self.dt_rank, self.d_inner, bias=True, **made))
        setattr(self, "A" + suffix + "_log", _log_A(self.d_inner, self.d_state, made["device"]))
        setattr(self, "D" + suffix, _without_decay(torch.ones(self.d_inner, device=made["device"])))

    def _follow(self, tokens: Tensor, z: Tensor, suffix: str = "", walk: Optional[scan.Walks] = None) -> Tensor:
        conv1d, dt_proj = getattr(self, "conv1d" + suffix), getattr(self, "dt_proj" + suffix)
        return ops.read_tokens(tokens, conv1d.weight, conv1d.bias, getattr(self, "x_proj" + suffix).weight,
                               dt_proj.weight, -torch.exp(_wide(getattr(self, "A" + suffix + "_log"))),
                               D=_wide(getattr(self, "D" + suffix)), delta_bias=_wide(dt_proj.bias), z=z,
                               walk=walk)

    def _other_walks(self, length: int, device: torch.device) -> scan.Walks:
        """From the end and, for v3, along the slices."""
        key = (length, device, self.nslices)
        if key not in self._known:
            forwards = torch.arange(length)
            orders = [forwards.flip(0)]
            if self.bimamba_type == "v3":
                if length % self.nslices:
                    raise ValueError(f"Mamba: expected a sequence in {self.nslices} slices, got {length} tokens")
                orders.append(forwards.view(self.nslices, -1).t().flatten())
            self._known = {key: scan.walks(torch.stack(orders), device)}
        return self._known[key]

    def __getstate__(self) -> Dict[str, Any]:
        return {**self.__dict__, "_known": {}}  # walks are not copied

    def forward(self, hidden_states: Tensor, inference_params: Any = None) -> Tensor:
        """(B, L, d_model) -> (B, L, d_model)"""
        if inference_params is not None:
            return self._cached(hidden_states, inference_params)
        x, z = F.linear(hidden_states, self.in_proj.weight, self.in_proj.bias).chunk(2, dim=-1)
        y = self._follow(x, z)
        if self.bimamba_type in ("v1", "v2", "v3"):
            others = self._other_walks(x.shape[1], x.device)
            if self.bimamba_type == "v1":
                y = y + self._backwards_v1(x, z, others.only(0))
            else:
                y = y + self._follow(x, z, "_b", others.only(0))
            if self.bimamba_type == "v2" and self.if_divide_out:
                y = y / 2
            if self.bimamba_type == "v3":
                y = y + self._follow(x, z, "_s", others.only(1))
        out = F.linear(y.to(x.dtype), self.out_proj.weight, self.out_proj.bias)
        return out if self.init_layer_scale is None else out * self.gamma

    def _backwards_v1(self, tokens: Tensor, z: Tensor, walk: scan.Walks) -> Tensor:
        """The scan from the end, with A_b_log, of tokens that were convolved forwards."""
        x = F.silu(ops.depthwise_conv(tokens, self.conv1d.weight, self.conv1d.bias, causal=True,
                                      channels_last=True))
        dt, B, C = self.x_proj(x).split([self.dt_rank, self.d_state, self.d_state], dim=-1)
        return ops.selective_scan(x, F.linear(dt, self.dt_proj.weight).unsqueeze(2),
                                  -torch.exp(_wide(self.A_b_log)).unsqueeze(0), B[:, :, None, None],
                                  C[:, :, None, None], _wide(self.D).unsqueeze(0), z,
                                  _wide(self.dt_proj.bias).unsqueeze(0), walks=walk)

    # One token after the other, for generation.

    def allocate_inference_cache(self, batch_size: int, max_seqlen: int, dtype: Optional[torch.dtype] = None,
                                 **kwargs: Any) -> Tuple[Tensor, Tensor]:
        """Zeros: the tokens before (B, D, d_conv) and the states (B, D, N)."""
        weight = self.conv1d.weight
        made = {"device": weight.device, "dtype": weight.dtype if dtype is None else dtype}
        return (torch.zeros(batch_size, self.d_inner, self.d_conv, **made),
                torch.zeros(batch_size, self.d_inner, self.d_state, **made))

    def step(self, hidden_states: Tensor, conv_state: Tensor, ssm_state: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """One token, (B, 1, d_model); the states are changed in place."""
        x, z = self.in_proj(hidden_states.squeeze(1)).chunk(2, dim=-1)
        x = ops.causal_conv1d_update(x, conv_state, self.conv1d.weight.squeeze(1), self.conv1d.bias, "silu")
        dt, B, C = self.x_proj(x).split([self.dt_rank, self.d_state, self.d_state], dim=-1)
        y = ops.selective_state_update(ssm_state, x, F.linear(dt, self.dt_proj.weight),
                                       -torch.exp(_wide(self.A_log)), B, C, self.D, z, self.dt_proj.bias, True)
        return self.out_proj(y).unsqueeze(1), conv_state, ssm_state

    def _cached(self, hidden_states: Tensor, inference_params: Any) -> Tensor:
        states = inference_params.key_value_memory_dict
        if self.layer_idx not in states:
            states[self.layer_idx] = self.allocate_inference_cache(hidden_states.shape[0], 0)
        if self.bimamba_type not in (None, "none"):
            raise NotImplementedError("Mamba: expected bimamba_type none for one token after the other")
        conv_state, ssm_state = states[self.layer_idx]
        if inference_params.seqlen_offset > 0:
            return self.step(hidden_states, conv_state, ssm_state)[0]
        x, z = self.in_proj(hidden_states).chunk(2, dim=-1)
        conv_state.copy_(F.pad(x.transpose(1, 2), (self.d_conv - x.shape[1], 0)))
        x = F.silu(ops.depthwise_conv(x, self.conv1d.weight, self.conv1d.bias, causal=True, channels_last=True))
        dt, B, C = self.x_proj(x).split([self.dt_rank, self.d_state, self.d_state], dim=-1)
        y, last = ops.selective_scan(x, F.linear(dt, self.dt_proj.weight).unsqueeze(2),
                                     -torch.exp(_wide(self.A_log)).unsqueeze(0), B[:, :, None, None],
                                     C[:, :, None, None], _wide(self.D).unsqueeze(0), z,
                                     _wide(self.dt_proj.bias).unsqueeze(0), return_last_state=True)
        ssm_state.copy_(last[:, 0])
        return self.out_proj(y)


def _wide(t: Tensor) -> Tensor:
    """In fp32, or fp64."""
    return t if t.dtype == torch.float64 else t.float()


class SS2D(nn.Module):
    """The 2-D selective scan mixer of VMamba's first version (Liu et al. 2024), as VM-UNet has it.

    Projection with a gate, depthwise convolution, a selective scan along four walks over the plane, sum, norm,
    gate, projection. `walks`: a planar family of mambaseg.scan, "cross" or "mirrored_rows".
    """

    def __init__(self, d_model: int, d_state: int = 16, d_conv: int = 3, expand: float = 2,
                 dt_rank: Union[int, str] = "auto", dt_min: float = 0.001, dt_max: float = 0.1,
                 dt_init: str = "random", dt_scale: float = 1.0, dt_init_floor: float = 1e-4,
                 dropout: float = 0.0, conv_bias: bool = True, bias: bool = False,
                 device: Optional[torch.device] = None, dtype: Optional[torch.dtype] = None,
                 walks: str = "cross", **kwargs: Any):
        super().__init__()
        self.d_model, self.d_state, self.d_conv, self.expand = d_model, d_state, d_conv, expand
        self.d_inner = int(expand * d_model)
        self.dt_rank = math.ceil(d_model / 16) if dt_rank == "auto" else dt_rank
        self.walks = walks
        C, K, R, made = self.d_inner, 4, self.dt_rank, {"device": device, "dtype": dtype}
        self.in_proj = nn.Linear(d_model, 2 * C, bias=bias, **made)
        self.conv2d = nn.Conv2d(C, C, d_conv, padding=(d_conv - 1) // 2, groups=C, bias=conv_bias, **made)
        self.act = nn.SiLU()
        bound = C ** -0.5
        self.x_proj_weight = nn.Parameter(torch.empty(K, R + 2 * d_state, C, **made).uniform_(-bound, bound))
        self.dt_projs_weight = nn.Parameter(torch.empty(K, C, R, **made))
        self.dt_projs_bias = nn.Parameter(torch.empty(K, C, **made))
        for k in range(K):
            _start_dt_weight_(self.dt_projs_weight.data[k], R, dt_init, dt_scale)
        _start_dt_bias_(self.dt_projs_bias, dt_min, dt_max, dt_init_floor)
        self.A_logs = _log_A(K * C, d_state, device)
        self.Ds = _without_decay(torch.ones(K * C, device=device))
        self.out_norm = nn.LayerNorm(C, **{key: value for key, value in made.items() if value is not None})
        self.out_proj = nn.Linear(C, d_model, bias=bias, **made)
        self.dropout = nn.Dropout(dropout) if dropout > 0 else None
        self._known: Dict[Any, scan.Walks] = {}

    def __getstate__(self) -> Dict[str, Any]:
        return {**self.__dict__, "_known": {}}  # walks are not copied

    def _walks(self, grid: Tuple[int, int], device: torch.device) -> scan.Walks:
        key = (grid, device)
        if key not in self._known:
            self._known = {key: scan.walks(scan.orders(self.walks, grid), device)}
        return self._known[key]

    def forward(self, x: Tensor, **kwargs: Any) -> Tensor:
        """(B, H, W, d_model) -> (B, H, W, d_model)"""
        B, H, W, _ = x.shape
        C, K, R, N = self.d_inner, 4, self.dt_rank, self.d_state
        x, z = self.in_proj(x).chunk(2, dim=-1)
        edge = self.conv2d.kernel_size[0]
        u = F.silu(ops.depthwise_conv(x, self.conv2d.weight, self.conv2d.bias, edge // 2, channels_last=True))
        u = u.flatten(1, 2)  # (B, L, C)
        low = F.linear(u, self.x_proj_weight.flatten(0, 1)).view(B, H * W, K, R + 2 * N)
        delta = torch.einsum("blkr,kcr->blkc", low[..., :R], self.dt_projs_weight)
        y = ops.selective_scan(u, delta, -torch.exp(_wide(self.A_logs)).view(K, C, N),
                               low[..., None, R:R + N], low[..., None, R + N:], _wide(self.Ds).view(K, C),
                               None, _wide(self.dt_projs_bias), walks=self._walks((H, W), u.device))
        y = self.out_norm(y.to(x.dtype)).view(B, H, W, C) * F.silu(z)
        out = self.out_proj(y)
        return out if self.dropout is None else self.dropout(out)
