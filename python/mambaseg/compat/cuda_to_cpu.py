"""A torch to which "cuda" means the CPU."""

import contextlib
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

__all__ = ["map_cuda_to_cpu"]


def _is_cuda(value: Any) -> bool:
    return (isinstance(value, torch.device) and value.type == "cuda") or (
        isinstance(value, str) and (value == "cuda" or value.startswith("cuda:")))


def _mapped(value: Any) -> Any:
    return torch.device("cpu") if _is_cuda(value) else value


class _CudaToCpu(TorchFunctionMode):
    """Every function of torch gets the CPU where it was given a CUDA device."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.device:  # asks the mode since torch 2
            return _mapped(function(*args, **kwargs))
        name = getattr(function, "__name__", "")
        if name in ("cuda", "pin_memory") and args and isinstance(args[0], torch.Tensor):
            return args[0]
        if name == "to" and len(args) > 1 and isinstance(args[1], int):
            args = (args[0], torch.device("cpu")) + args[2:]  # the number of a GPU
        return function(*[_mapped(a) for a in args], **{key: _mapped(value) for key, value in kwargs.items()})


def _module_to(self, *args, **kwargs):
    args = [torch.device("cpu") if isinstance(a, int) and not isinstance(a, bool) and i == 0 else _mapped(a)
            for i, a in enumerate(args)]
    return _true_module_to(self, *args, **{key: _mapped(value) for key, value in kwargs.items()})


def _load(f, map_location=None, *args, **kwargs):
    return _true_load(f, "cpu", *args, **kwargs)


class _NoStream:
    """A stream or an event of a device that has none."""

    def __init__(self, *args, **kwargs):
        pass

    def __getattr__(self, name):
        return lambda *args, **kwargs: None


_true_module_to = torch.nn.Module.to
_true_load = torch.load
_mode = None


def map_cuda_to_cpu() -> None:
    """From now on .cuda(), device="cuda" and torch.load mean the CPU, and what only waits for a GPU does nothing.

    torch.cuda.is_available() goes on telling the truth. Devices are mapped in the thread that calls.
    """
    global _mode
    if _mode is not None:
        return
    _mode = _CudaToCpu()
    _mode.__enter__()
    torch.nn.Module.cuda = lambda self, device=None: self
    torch.nn.Module.to = _module_to
    torch.load = _load
    nothing = lambda *args, **kwargs: None  # noqa: E731
    for name in ("set_device", "synchronize", "empty_cache", "ipc_collect", "reset_peak_memory_stats",
                 "reset_max_memory_allocated", "init", "manual_seed", "manual_seed_all"):
        setattr(torch.cuda, name, nothing)
    for name in ("current_device", "memory_allocated", "max_memory_allocated", "memory_reserved",
                 "max_memory_reserved"):
        setattr(torch.cuda, name, lambda *args, **kwargs: 0)
    torch.cuda.get_device_name = lambda *args, **kwargs: "CPU"
    torch.cuda.device = lambda *args, **kwargs: contextlib.nullcontext()
    torch.cuda.stream = lambda *args, **kwargs: contextlib.nullcontext()
    torch.cuda.current_stream = torch.cuda.default_stream = _NoStream
    torch.cuda.Stream = torch.cuda.Event = _NoStream
