"""The networks of mambaseg as torch modules: trained by torch's optimizers, computed by the compiled library."""

import json
from typing import Any, Callable, Dict, List, Union

import torch
import torch.nn as nn
from torch import Tensor

from mambaseg import _nets

__all__ = ["Network", "network", "network_facts", "network_names"]


def network_names() -> List[str]:
    """Every network, as `mambaseg networks` lists them."""
    return _nets.network_names()


def network_facts(name: str) -> Dict[str, Any]:
    """What is known of a network: dims, source, summary, parameters, settings (the paper's) and their help; `small`,
    settings of a tiny variant for tests, which takes an image of `small_edge` along each axis."""
    return json.loads(_nets.network_facts(name))


class Network(nn.Module):
    """A network of the zoo. Parameters are named as in its official repository, so published weights load.

    forward: x (B, in_channels, spatial...) -> class scores before softmax (B, classes, spatial...); in training
    mode, where the network has heads of coarser scales, a list of scores, finest first. Error unless the
    spatial sizes are multiples of `size_multiples`.
    """

    def __init__(self, name: str, **settings: Any):
        super().__init__()
        self.name, self.settings = name, settings
        self._compiled = _nets.make_network(name, json.dumps(settings))
        # The compiled network computes on the very tensors that stand here.
        for path, tensor in self._compiled.parameters():
            tensor.__class__ = nn.Parameter
            self._owner(path).register_parameter(path.rpartition(".")[2], tensor)
        for path, tensor in self._compiled.buffers():
            self._owner(path).register_buffer(path.rpartition(".")[2], tensor)

    def _owner(self, path: str) -> nn.Module:
        """The module in which `path` lies, made where it is missing."""
        module: nn.Module = self
        for word in path.split(".")[:-1]:
            if word not in module._modules:
                module.add_module(word, _Part())
            module = module._modules[word]
        return module

    @property
    def size_multiples(self) -> List[int]:
        """What each spatial size of the input must be a multiple of."""
        return self._compiled.size_multiples

    def forward(self, x: Tensor) -> Union[Tensor, List[Tensor]]:
        scores = _forward(self._compiled, x)
        return scores[0] if len(scores) == 1 else scores

    def train(self, mode: bool = True) -> "Network":
        self._compiled.train(mode)
        return super().train(mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> "Network":
        """As torch's, but every tensor stays the one that the compiled network knows."""
        with torch.no_grad():
            for tensor in list(self.parameters()) + list(self.buffers()):
                tensor.data = fn(tensor.data)
                if tensor.grad is not None:
                    tensor.grad = fn(tensor.grad)
        return self

    def __reduce__(self) -> Any:
        return _rebuilt, (self.name, self.settings, self.training, self.state_dict(),
                          [p.requires_grad for p in self.parameters()])

    def __deepcopy__(self, memo: Dict[int, Any]) -> "Network":
        copy = _rebuilt(*self.__reduce__()[1])
        memo[id(self)] = copy
        return copy

    def extra_repr(self) -> str:
        return ", ".join([self.name] + [f"{key}={value!r}" for key, value in self.settings.items()])


class _Part(nn.Module):
    """Holds parameters of a compiled network under their name."""


def _rebuilt(name: str, settings: Dict[str, Any], training: bool, state: Dict[str, Tensor],
             learned: List[bool]) -> Network:
    made = Network(name, **settings)
    first = next(iter(state.values()), None)
    if first is not None:
        made.to(first.device)
    made.load_state_dict(state)
    for parameter, requires_grad in zip(made.parameters(), learned):
        parameter.requires_grad_(requires_grad)
    return made.train(training)


def _forward(compiled: _nets.Network, x: Tensor) -> List[Tensor]:
    return compiled.forward(x)


if hasattr(getattr(torch, "compiler", None), "disable"):
    _forward = torch.compiler.disable(_forward)


def network(name: str, **settings: Any) -> Network:
    """The network of that name with these settings over the paper's: network("hym_unet", classes=2).

    `network_facts(name)` says which settings there are. UsageError for a name or setting that does not exist.
    """
    return Network(name, **settings)
