"""Samples from a data file, and the one rounding between real values and a program's integers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp_runtime.errors import InputError, raise_if_any
from edgecomp_runtime.manifest import TensorSpec
from edgecomp_runtime.npz import ArrayHeader, read_array, read_headers, read_rows, write_arrays
from edgecomp_runtime.preprocess import Preprocess

Array = npt.NDArray[Any]
LABELS = "labels"


@dataclass(frozen=True)
class Samples:
    """The samples of a data file.

    Attributes:
        arrays: one array for each input of the model, in its order, [count, *shape of the input];
            raw recordings are preprocessed already.
        labels: class indices, int64 [count], or None when the file has none.
        count: number of samples.
    """

    arrays: tuple[Array, ...]
    labels: npt.NDArray[np.int64] | None
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[list[Array]]:
        """Sample by sample, one array for each input, [*shape of the input]."""
        return (list(sample) for sample in zip(*self.arrays))


def read_samples(
    path: str | os.PathLike[str],
    specs: Sequence[TensorSpec],
    preprocess: Preprocess | None = None,
    need_labels: bool = False,
) -> Samples:
    """The samples in an .npz file, by the project's conventions.

    The file holds one array for each input, named like the input, or `input_0`, `input_1` ... by
    position, or of any name for a single input when exactly one numeric array other than
    `labels` has its shape. The first axis counts samples, each of the input's shape, with or
    without its leading batch of 1. Other arrays are ignored.

    Args:
        path: the file.
        specs: the model's inputs.
        preprocess: applied to uint8 arrays.
        need_labels: whether missing or unusable labels are an error.

    Raises:
        InputError: all that keeps the file from being used.
    """
    headers = read_headers(path)
    found = _match(path, headers, specs, preprocess)
    count = found[0].shape[0]
    arrays = tuple(
        _prepared(read_array(path, header), spec, preprocess) for header, spec in zip(found, specs)
    )
    return Samples(arrays, _read_labels(path, headers, count, need_labels), count)


def stream_samples(
    path: str | os.PathLike[str],
    specs: Sequence[TensorSpec],
    preprocess: Preprocess | None = None,
    block: int = 16,
) -> Iterator[tuple[Array, ...]]:
    """The same arrays as `read_samples`, `block` samples at a time, in constant memory.

    Raises:
        InputError: all that keeps the file from being used.
    """
    found = _match(path, read_headers(path), specs, preprocess)
    streams = [read_rows(path, header, block) for header in found]
    for rows in zip(*streams):
        yield tuple(_prepared(array, spec, preprocess) for array, spec in zip(rows, specs))


def count_samples(
    path: str | os.PathLike[str],
    specs: Sequence[TensorSpec],
    preprocess: Preprocess | None = None,
) -> int:
    """How many samples `read_samples` and `stream_samples` find; no array is loaded.

    Raises:
        InputError: all that keeps the file from being used.
    """
    return int(_match(path, read_headers(path), specs, preprocess)[0].shape[0])


def write_outputs(
    path: str | os.PathLike[str], specs: Sequence[TensorSpec], outputs: Sequence[Array]
) -> None:
    """Write an .npz file of results: `output_0` ... in the model's order, and each by its name.

    Where an output is named like another's position, the position wins.

    Args:
        path: the file to write, whole or not at all.
        specs: the model's outputs.
        outputs: for each of them, [samples, *shape].

    Raises:
        OSError: the file cannot be written.
    """
    arrays = {f"output_{index}": array for index, array in enumerate(outputs)}
    for spec, array in zip(specs, outputs):
        arrays.setdefault(spec.name, array)
    write_arrays(path, arrays)


def is_raw(array: Array, spec: TensorSpec) -> bool:
    """Whether `array` holds the program's own values: its dtype is the program's."""
    return bool(array.dtype.newbyteorder("=") == np.dtype(spec.dtype))


def to_program(array: Array, spec: TensorSpec) -> Array:
    """The program's own values for real values.

    For a quantized tensor q = clip(rint(x / scale) + zero_point), x / scale in float32 and rint
    half to even, as ONNX's QuantizeLinear; infinities saturate. An array of the program's own
    dtype is raw and passes unchanged.

    Args:
        array: numbers of any shape, byte order and strides.
        spec: the program's input.

    Returns:
        `spec.dtype`, C-contiguous, this machine's byte order, the same shape.

    Raises:
        InputError: the array is not numeric, holds NaN where integers are wanted, or values that
            an integer input without a scale cannot take.
    """
    wanted = np.dtype(spec.dtype)
    if not _is_numeric(array.dtype):
        raise InputError(f"{spec.name}: the array is {array.dtype}, not real numbers")
    if is_raw(array, spec) or wanted.kind == "f":
        with np.errstate(over="ignore"):  # beyond the program's float is infinity
            return np.ascontiguousarray(array, wanted).reshape(array.shape)
    if np.isnan(array).any():
        raise InputError(f"{spec.name}: the array holds NaN, which no {wanted} stands for")
    if spec.scale is None:
        return _exactly(array, spec, wanted)
    with np.errstate(over="ignore"):  # beyond float32 is infinity, which saturates
        steps = np.rint(np.asarray(array, np.float32) / np.float32(spec.scale))
    limits = np.iinfo(wanted)
    # float64 holds every limit exactly, float32 does not hold 2**31 - 1
    shifted = steps.astype(np.float64) + (spec.zero_point or 0)
    return np.asarray(np.clip(shifted, limits.min, limits.max), wanted, order="C")


def from_program(array: Array, spec: TensorSpec) -> Array:
    """The real values that the program's own values stand for.

    Args:
        array: `spec.dtype`, any shape.
        spec: the program's output.

    Returns:
        float32 scale * (q - zero_point) for a quantized tensor; others unchanged.
    """
    if spec.scale is None:
        return array
    centred = array.astype(np.float32) - np.float32(spec.zero_point or 0)
    return np.asarray(centred * np.float32(spec.scale), np.float32)


def _exactly(array: Array, spec: TensorSpec, wanted: np.dtype[Any]) -> Array:
    """`array` as integers or booleans that have no scale, if they are exactly that."""
    with np.errstate(invalid="ignore"):
        converted = array.astype(wanted, order="C")
    if not np.array_equal(converted, array):
        raise InputError(
            f"{spec.name}: the input takes {wanted} values, the array holds others; "
            "round or index before"
        )
    return converted


def _is_numeric(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "biuf"


def _accepted_shapes(
    header: ArrayHeader, spec: TensorSpec, preprocess: Preprocess | None
) -> list[tuple[int, ...]]:
    """Shapes that one sample of this array may have."""
    shape = spec.shape
    if preprocess is not None and header.dtype == np.uint8:
        shape = preprocess.recorded_shape(shape)
    return [shape, shape[1:]] if shape[:1] == (1,) else [shape]


def _fits(header: ArrayHeader, spec: TensorSpec, preprocess: Preprocess | None) -> bool:
    accepted = _accepted_shapes(header, spec, preprocess)
    return bool(header.shape) and header.shape[1:] in accepted and _is_numeric(header.dtype)


def _prepared(array: Array, spec: TensorSpec, preprocess: Preprocess | None) -> Array:
    """Rows of the file as [rows, *shape of the input]."""
    count = array.shape[0]
    if preprocess is not None and array.dtype == np.uint8:
        recorded = preprocess.recorded_shape(spec.shape)
        array = preprocess.apply(array.reshape(count, *recorded))
    return array.reshape(count, *spec.shape)


def _match(
    path: str | os.PathLike[str],
    headers: Mapping[str, ArrayHeader],
    specs: Sequence[TensorSpec],
    preprocess: Preprocess | None,
) -> list[ArrayHeader]:
    """The array of the file that belongs to each input."""
    listing = ", ".join(str(header) for header in headers.values()) or "no arrays"
    found: list[ArrayHeader] = []
    reasons: list[str] = []
    for index, spec in enumerate(specs):
        header = headers.get(spec.name) or headers.get(f"input_{index}")
        if header is None and len(specs) == 1:
            others = [h for h in headers.values() if h.name != LABELS]
            fitting = [h for h in others if _fits(h, spec, preprocess)]
            header = fitting[0] if len(fitting) == 1 else None
        if header is None:
            reasons.append(
                f"{path}: there is no array for the input {spec.name!r} of shape "
                f"{list(spec.shape)}; name one {spec.name!r} or 'input_{index}' "
                f"(the file holds {listing})"
            )
        elif not _fits(header, spec, preprocess):
            reasons.append(_misfit(path, header, spec, preprocess))
        else:
            found.append(header)
    counts = sorted({header.shape[0] for header in found})
    if len(counts) > 1:
        reasons.append(f"{path}: the inputs have different numbers of samples ({listing})")
    elif counts == [0]:
        reasons.append(f"{path}: there are no samples in it")
    raise_if_any(InputError, reasons)
    return found


def _misfit(
    path: str | os.PathLike[str],
    header: ArrayHeader,
    spec: TensorSpec,
    preprocess: Preprocess | None,
) -> str:
    if not _is_numeric(header.dtype):
        return f"{path}: array {header.name} is {header.dtype}, not real numbers"
    shapes = _accepted_shapes(header, spec, preprocess)
    wanted = " or ".join(str(["samples", *shape]).replace("'", "") for shape in shapes)
    return (
        f"{path}: array {header.name} has shape {list(header.shape)}, "
        f"the input {spec.name!r} takes {wanted}"
    )


def _read_labels(
    path: str | os.PathLike[str],
    headers: Mapping[str, ArrayHeader],
    count: int,
    needed: bool,
) -> npt.NDArray[np.int64] | None:
    header = headers.get(LABELS)
    usable = (
        header is not None and header.dtype.kind in "iu" and header.shape in ((count,), (count, 1))
    )
    if header is not None and usable:
        return read_array(path, header).reshape(count).astype(np.int64)
    if needed:
        there = f"has {header}" if header else "has none"
        raise InputError(
            f"{path}: labels are needed, an integer array 'labels' of shape [{count}] with the "
            f"class index of each sample; the file {there}"
        )
    return None
