"""The orders in which the scans of published networks meet the tokens of a grid."""

from typing import List, NamedTuple, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from mambaseg import _C
from mambaseg._C import Walks

__all__ = ["Family", "Walks", "along", "back", "families", "orders", "walks"]


class Family(NamedTuple):
    """A family of orders: what it is called, whose it is, how many orientations it has."""

    name: str
    source: str
    orientations: int
    planar: bool  # it wants a plane


def families() -> List[Family]:
    """Every family: raster, snake (MedSegMamba's 48: 8 in each of 6 orientations), cross (VMamba), hilbert, ..."""
    return [Family(*facts) for facts in _C.scan_order_families()]


def orders(family: str, grid: Sequence[int], orientation: int = 0) -> Tensor:
    """int64 (K, L): the token, by its raster index, that step t of walk k meets.

    `grid`: extents along the axes of the array, slowest first, two or three. The last K / 2 walks are the
    first ones backwards, but in "tri_orientated", "atrous" (one walk) and "omnidirectional" (four of rows and
    columns, four of diagonals). UsageError for an unknown family.
    """
    sizes = [1] * (3 - len(grid)) + [int(n) for n in grid]
    return _C.scan_orders(family, sizes, orientation)


def walks(orders_KL: Tensor, device: Union[str, torch.device, None] = None) -> Walks:
    """Orders (K, L) as mambaseg.ops.selective_scan takes them; each row must name every token once."""
    return Walks(orders_KL, torch.device("cpu" if device is None else device))


def along(x_BCL: Tensor, orders_KL: Tensor) -> Tensor:
    """(B, C, L) or (B, C, grid...) -> (B, K, C, L): the tokens as each walk meets them (VMamba's cross scan)."""
    return torch.stack([x_BCL.flatten(2)[..., order] for order in orders_KL.to(x_BCL.device)], dim=1)


def back(y_BKCL: Tensor, orders_KL: Tensor, grid: Optional[Tuple[int, ...]] = None) -> Tensor:
    """The inverse of `along`, summed over the walks: (B, C, L), or (B, C, grid...) (VMamba's cross merge)."""
    orders_KL = orders_KL.to(y_BKCL.device)
    places = torch.argsort(orders_KL, dim=1)
    y = sum(y_BKCL[:, k][..., places[k]] for k in range(orders_KL.shape[0]))
    return y if grid is None else y.unflatten(2, tuple(grid))
