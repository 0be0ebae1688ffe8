"""Scores of label images, by the definitions of `mambaseg evaluate`."""

import os
from typing import Dict, List, NamedTuple, Optional, Sequence

import numpy as np

from mambaseg import _C

__all__ = ["Metric", "metrics", "scores"]


class Metric(NamedTuple):
    """A metric: its name, its unit ("mm", "mm3" or none) and its definition in one line."""

    name: str
    unit: str
    definition: str


def metrics() -> List[Metric]:
    """Every metric, in the order of the tables."""
    return [Metric(*facts) for facts in _C.metric_list()]


def _labels(image) -> np.ndarray:
    array = np.asanyarray(image.dataobj if hasattr(image, "dataobj") else image)
    if array.dtype.kind not in "biu" and not np.array_equal(array, np.rint(array)):
        raise _C.Error(f"scores: expected whole numbers as labels, got {array.dtype} with fractions")
    return array


def scores(reference, prediction, labels: Optional[Sequence[int]] = None,
           spacing_mm: Optional[Sequence[float]] = None, names: Optional[Sequence[str]] = None,
           tolerance_mm: float = 1.0, connectivity: int = 3,
           threads: Optional[int] = None) -> Dict[int, Dict[str, Optional[float]]]:
    """Scores of each label between two label images of one grid: {label: {metric: value, or None}}.

    The images: arrays (i, j) or (i, j, k) of whole numbers, or nibabel's, which know their `spacing_mm`; else
    it is 1. int32 in Fortran order, as nibabel reads, is taken as it lies. `labels`: None is all that occur,
    without 0. `names`: None is the usual metrics. `tolerance_mm` belongs to NSD, `connectivity` (1 faces, 2
    edges, 3 corners) to lesions. None stands where a metric says nothing, as for a label in neither image; a
    missed or invented label has the worst value. Error when the sizes or nibabel's grids differ.
    """
    if spacing_mm is None:
        header = getattr(reference, "header", None)
        spacing_mm = [1.0] * 3 if header is None else [float(s) for s in header.get_zooms()[:3]]
    first, second = getattr(reference, "affine", None), getattr(prediction, "affine", None)
    if first is not None and second is not None and not np.allclose(first, second, atol=0.1 * min(spacing_mm)):
        raise _C.Error("scores: expected images of one grid, got affines that differ by "
                       f"{np.abs(first - second).max():g}")
    spacing_mm = list(spacing_mm) + [1.0] * (3 - len(spacing_mm))
    return _C.scores(_labels(reference), _labels(prediction), None if labels is None else list(labels),
                     spacing_mm, list(_C.usual_metrics() if names is None else names), tolerance_mm,
                     connectivity, os.cpu_count() or 1 if threads is None else threads)
