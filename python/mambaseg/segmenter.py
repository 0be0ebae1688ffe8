"""Images to labels with a model of the box or one of your own, as `mambaseg segment` does it."""

import math
import os
import warnings
from typing import Any, Callable, List, NamedTuple, Optional, Sequence, Union

import numpy as np

from mambaseg import _C, _nets
from mambaseg._nets import Case

__all__ = ["Case", "Segmentation", "Segmenter", "Structure"]

_MODELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "models")

Progress = Callable[[str, int, int], Any]
Warn = Callable[[str], Any]


class Structure(NamedTuple):
    """What was found of one structure."""

    label: int  # its number in the labels
    name: str
    voxels: int  # or pixels
    mm3: Optional[float]  # of volumes
    percent: Optional[float]  # of pictures: of all pixels
    agreement: Optional[float]  # Dice with the second look, where there was one


class Segmentation:
    """Labels of an image, and what was found."""

    def __init__(self, compiled: _nets.Segmentation):
        self._compiled = compiled
        affine = compiled.affine
        self.affine: Optional[np.ndarray] = None if affine is None else np.array(affine + [[0.0, 0.0, 0.0, 1.0]])
        """Of a volume: brings (i, j, k) to mm, (4, 4)."""
        self.labels: np.ndarray = compiled.labels
        """int32 (i, j, k) on the grid of a volume; the mask of a picture, uint8 (rows, columns[, 3]). Read only."""
        self.flags: List[str] = compiled.flags
        """Why somebody should look at these labels; empty: nothing is conspicuous."""
        self.structures: List[Structure] = []
        for label, name, voxels, mm3, percent, agreement in compiled.structures:
            self.structures.append(Structure(label, name, voxels, None if affine is None else mm3,
                                             percent if affine is None else None,
                                             None if math.isnan(agreement) else agreement))

    def image(self) -> Any:
        """The labels of a volume as nibabel's Nifti1Image. Error for those of a picture, which are an array."""
        if self.affine is None:
            raise _C.Error("Segmentation.image: expected labels of a volume, got the mask of a picture")
        import nibabel

        image = nibabel.Nifti1Image(self.labels, self.affine)
        image.header.set_xyzt_units("mm")
        return image

    def save(self, path: Union[str, os.PathLike]) -> None:
        """Writes the labels in the format that the name says (NIfTI, MGZ, NRRD, MetaImage; PNG). Error names the path."""
        self._compiled.save(os.fspath(path))

    def __repr__(self) -> str:
        return f"Segmentation({self.labels.shape}, {len(self.structures)} structures, {len(self.flags)} flags)"


class Segmenter:
    """A model in memory.

    `model`: a name ("t1-subcortical", "skin-lesion"), the folder or model.toml of one, or a file of weights.
    `device`: "cpu", "cuda", "cuda:1"; `precision`: "fp32", "bf16", "auto" (bf16 where a trial on the first image
    keeps its labels), on a GPU "tf32" and "fp16", too. `threads` of this segmenter, 0: as many as the machine has;
    the same number gives the same labels. `memory_gib` that votes and volumes may take, 0: any amount. UsageError
    for what is not there, Error when weights are not those of their card.

    Any thread may call it; Python's other threads run meanwhile. It computes one image at a time, several segmenters
    side by side.
    """

    def __init__(self, model: Union[str, os.PathLike], device: Any = "cpu", precision: str = "auto", threads: int = 0,
                 memory_gib: float = 0.0):
        self._compiled = _nets.Segmenter(os.fspath(model), str(device), precision, threads, memory_gib, _MODELS)

    @property
    def reads_pictures(self) -> bool:
        """Whether the model reads pictures; else it reads volumes."""
        return self._compiled.reads_pictures

    @property
    def source(self) -> str:
        """The card, or the file of weights, that the model comes from."""
        return self._compiled.source

    def __call__(self, image: Any, second_look: bool = True, progress: Optional[Progress] = None,
                 warn: Optional[Warn] = None, *, affine: Any = None,
                 spacing: Optional[Sequence[float]] = None) -> Segmentation:
        """Labels of an image.

        `image`: a path; nibabel's image; or an array with its `affine`, (4, 4), or its `spacing` in mm: of a volume
        (i, j, k), of a picture uint8 (rows, columns[, 1, 3 or 4]), which has neither. It is read as it lies.
        `second_look`: at the mirrored image, which flags doubtful labels, for twice the time.
        `progress(what, done, total)` hears of the network's work, `warn(line)` of what a person should know (None:
        Python's warnings), each on a thread of the library. What they raise ends the call and comes out of it; so
        does KeyboardInterrupt, and the segmenter takes the next image. Error for an image that the model refuses,
        UsageError for one that makes no sense.
        """
        case = self.prepare(image, second_look, warn, affine=affine, spacing=spacing)
        self.infer(case, progress, warn)
        return self.finish(case)

    # The same in steps, which may run on several threads: the next image is prepared while the network runs.

    def prepare(self, image: Any, second_look: bool = True, warn: Optional[Warn] = None, *, affine: Any = None,
                spacing: Optional[Sequence[float]] = None) -> Case:
        """Checks the image, which is not needed afterwards, and brings it to the network's grid."""
        warn = warnings.warn if warn is None else warn
        if isinstance(image, (str, os.PathLike)):
            if affine is not None or spacing is not None:
                raise _C.UsageError("Segmenter: expected affine and spacing with arrays only, a file has its own")
            return self._compiled.prepare_file(os.fspath(image), second_look, warn)
        if hasattr(image, "dataobj"):
            affine = image.affine if affine is None and spacing is None else affine
            image = image.dataobj
        if not self.reads_pictures:
            if (affine is None) == (spacing is None):
                raise _C.UsageError("Segmenter: expected affine= or spacing= with an array, got "
                                    + ("neither" if affine is None else "both"))
            affine, spacing = _rows("affine", affine, (4, 4)), _rows("spacing", spacing, (3,))
        values = _values(image)
        return self._compiled.prepare_array(values, None if affine is None else affine[:3], spacing, second_look, warn)

    def infer(self, case: Case, progress: Optional[Progress] = None, warn: Optional[Warn] = None) -> None:
        """Runs the network."""
        self._compiled.infer(case, progress, warnings.warn if warn is None else warn)

    def finish(self, case: Case) -> Segmentation:
        """Labels and findings. UsageError unless the case has just been through `infer` of this segmenter."""
        return Segmentation(self._compiled.finish(case))


def _rows(name: str, numbers: Any, shape: Sequence[int]) -> Any:
    """The numbers as lists, where they are given."""
    if numbers is None:
        return None
    array = np.asarray(numbers, dtype=np.float64)
    if array.shape != shape:
        raise _C.UsageError(f"Segmenter: {name}: expected {' x '.join(map(str, shape))} numbers, got an array of shape "
                            f"{array.shape}")
    return array.tolist()


def _values(image: Any) -> np.ndarray:
    """As they lie, but for what the library does not take: some types, broadcast axes, a fourth axis of one volume."""
    values = np.asanyarray(image)
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if 0 in values.strides:
        values = values.copy()
    if values.dtype == np.bool_:
        return values.view(np.uint8)
    if values.dtype == np.float16:
        return values.astype(np.float32)
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))
