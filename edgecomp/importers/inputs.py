"""Give every graph input a static shape, or turn it into a constant, as the user asked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from edgecomp.errors import Reason, raise_if_any

MAX_ELEMENTS = 2**31 - 1
"""No tensor of a model may have more elements: offsets are 32-bit on the devices."""

BATCH_NAME = re.compile(r"batch|^(n|b|bs)$", re.IGNORECASE)
"""Names by which exporters call the batch dimension."""

Dims = list[int | str | None]
"""Of each dimension: its size, its symbol, or None where the file says nothing."""


def fix_inputs(
    proto: onnx.ModelProto,
    shapes: Mapping[str, Sequence[int]],
    bindings: Mapping[str, Any],
) -> None:
    """Set static shapes on the inputs of `proto`, and move bound inputs to its initializers.

    An input that is also an initializer (IR version 3 and before) becomes a constant. The batch
    dimension is 1 unless `shapes` says otherwise: it is the dimension named like one, else
    dimension 0 of an input of two or more dimensions. A symbol that `shapes` or the batch gives a
    size has that size in every input.

    Raises:
        EdgecompError: every dimension without a size, with the option that gives it; names in
            `shapes` or `bindings` that are no inputs; shapes and values that do not fit.
    """
    graph = proto.graph
    _constants_are_no_inputs(graph, bindings)
    reasons = [
        Reason("is no input of the model", f"{option} {name}", f"inputs are {_names(graph)}")
        for option, given in (("--shape", shapes), ("--bind", bindings))
        for name in given
        if name not in {value.name for value in graph.input}
    ]
    reasons += [reason for value in graph.input for reason in _wrong_type(value)]
    raise_if_any(reasons)
    dims = {value.name: _dims(value) for value in graph.input}
    symbols = _sizes_of_symbols(dims, shapes, reasons)
    for value in list(graph.input):
        if value.name in bindings:
            reasons += _bind(graph, value, dims[value.name], bindings[value.name])
        else:
            _set_shape(value, dims[value.name], shapes.get(value.name), symbols, reasons)
    raise_if_any(reasons)


def _names(graph: onnx.GraphProto) -> str:
    return ", ".join(value.name for value in graph.input) or "none"


def _constants_are_no_inputs(graph: onnx.GraphProto, bindings: Mapping[str, Any]) -> None:
    """An initializer gives an input its value; the user's binding comes before it."""
    bound = [tensor for tensor in graph.initializer if tensor.name in bindings]
    for tensor in bound:
        graph.initializer.remove(tensor)
    constants = {tensor.name for tensor in graph.initializer}
    for value in [value for value in graph.input if value.name in constants]:
        graph.input.remove(value)


def _wrong_type(value: onnx.ValueInfoProto) -> Iterator[Reason]:
    if value.type.WhichOneof("value") != "tensor_type":
        yield Reason("the input is a sequence, a map or optional", value.name, "use tensors only")
    elif value.type.tensor_type.elem_type == onnx.TensorProto.STRING:
        yield Reason("the input holds strings", value.name, "use a model that takes numbers")
    elif value.type.tensor_type.elem_type == onnx.TensorProto.UNDEFINED:
        yield Reason("the input has no element type", value.name, "export the model again")


def _dims(value: onnx.ValueInfoProto) -> Dims | None:
    """The dimensions in the file; None when not even their number is known.

    Exporters write sizes of 0 and below, and the symbol "?", for "unknown".
    """
    if not value.type.tensor_type.HasField("shape"):
        return None
    return [
        dim.dim_value if dim.dim_value > 0 else (dim.dim_param.strip("?") or None)
        for dim in value.type.tensor_type.shape.dim
    ]


def _sizes_of_symbols(
    inputs: Mapping[str, Dims | None], shapes: Mapping[str, Sequence[int]], reasons: list[Reason]
) -> dict[str, int]:
    """Sizes of the symbolic dimensions: those the user gave, then 1 for the batch."""
    sizes: dict[str, int] = {}
    for name, shape in shapes.items():
        dims = inputs[name]
        if dims is None or len(dims) != len(shape):
            continue
        for symbol, size in zip(dims, shape, strict=True):
            if isinstance(symbol, str) and sizes.setdefault(symbol, size) != size:
                reasons.append(
                    Reason(
                        f"gives dimension {symbol!r} the size {size}, and elsewhere it is "
                        f"{sizes[symbol]}",
                        f"--shape {name}",
                        "give the same size everywhere",
                    )
                )
    for dims in inputs.values():
        index = _batch_index(dims)
        if dims is not None and index is not None and isinstance(dims[index], str):
            sizes.setdefault(str(dims[index]), 1)
    return sizes


def _batch_index(dims: Dims | None) -> int | None:
    """Which dimension without a size is the batch; None if none is."""
    if dims is None:
        return None
    for index, dim in enumerate(dims):
        if isinstance(dim, str) and BATCH_NAME.search(dim):
            return index
    return 0 if len(dims) >= 2 and not isinstance(dims[0], int) else None


def _set_shape(
    value: onnx.ValueInfoProto,
    dims: Dims | None,
    given: Sequence[int] | None,
    symbols: Mapping[str, int],
    reasons: list[Reason],
) -> None:
    """Write the static shape of an input, or say why there is none."""
    if given is not None:
        if any(size <= 0 for size in given) or not _fits(dims, given):
            reasons.append(
                Reason(
                    f"{_text(given)} does not fit the input's shape {_text(dims)}",
                    f"--shape {value.name}",
                    "give a positive size for each unknown dimension and keep the others",
                )
            )
            return
        static: Dims | None = list(given)
    else:
        static = _resolve(dims, symbols)
    if static is None or not all(isinstance(dim, int) for dim in static):
        reasons.append(_unknown(value.name, static))
        return
    sizes = [int(dim) for dim in static if dim is not None]
    if int(np.prod([float(size) for size in sizes])) > MAX_ELEMENTS:
        reasons.append(
            Reason(
                f"the input of shape {_text(sizes)} has more than {MAX_ELEMENTS} elements",
                value.name,
                f"give a smaller shape: --shape {value.name}=...",
            )
        )
    shape = value.type.tensor_type.shape
    shape.ClearField("dim")
    for size in sizes:
        shape.dim.add().dim_value = size


def _fits(dims: Dims | None, given: Sequence[int]) -> bool:
    if dims is None:
        return True
    return len(dims) == len(given) and all(
        dim == size for dim, size in zip(dims, given, strict=True) if isinstance(dim, int)
    )


def _resolve(dims: Dims | None, symbols: Mapping[str, int]) -> Dims | None:
    if dims is None:
        return None
    batch = _batch_index(dims)
    return [
        1
        if index == batch and dim is None
        else symbols.get(dim, dim)
        if isinstance(dim, str)
        else dim
        for index, dim in enumerate(dims)
    ]


def _unknown(name: str, dims: Dims | None) -> Reason:
    if dims is None:
        return Reason(
            "not even the number of dimensions is known", name, f"give --shape {name}=1,..."
        )
    missing = [
        f"{index} ({dim!r})" if dim else f"{index}"
        for index, dim in enumerate(dims)
        if not isinstance(dim, int)
    ]
    example = ",".join(
        str(d) if isinstance(d, int) else d.upper() if d and d.isidentifier() else "SIZE"
        for d in dims
    )
    plural = "dimensions" if len(missing) > 1 else "dimension"
    return Reason(
        f"the size of {plural} {', '.join(missing)} of the input is unknown",
        name,
        f"give --shape {name}={example}",
    )


def _text(dims: Sequence[Any] | None) -> str:
    return "unknown" if dims is None else ",".join("?" if d is None else str(d) for d in dims)


def _bind(
    graph: onnx.GraphProto, value: onnx.ValueInfoProto, dims: Dims | None, bound: Any
) -> list[Reason]:
    """Make an initializer of `bound` in place of the input; a scalar fills a static shape."""
    dtype = ir.DataType(value.type.tensor_type.elem_type)
    where = f"--bind {value.name}"
    array = _as_type(np.asarray(bound), dtype)
    if array is None:
        return [Reason(f"the value does not fit the input's type {dtype.name.lower()}", where)]
    if array.ndim == 0 and dims is not None:
        sizes = [dim if isinstance(dim, int) else 1 for dim in dims]
        if int(np.prod([float(size) for size in sizes])) > MAX_ELEMENTS:
            return [Reason(f"the input of shape {_text(sizes)} is too large", where)]
        array = np.full(sizes, array)
    elif not _fits(dims, array.shape):
        return [
            Reason(
                f"the value of shape {_text(array.shape)} does not fit the input's {_text(dims)}",
                where,
            )
        ]
    graph.input.remove(value)
    graph.initializer.append(ir.to_proto(ir.tensor(array, dtype=dtype, name=value.name)))
    return []


def _as_type(value: npt.NDArray[Any], dtype: ir.DataType) -> npt.NDArray[Any] | None:
    """`value` in the input's type; None when that would change it beyond float rounding."""
    if value.dtype == dtype.numpy():
        return value
    if value.dtype.kind not in "biuf":
        return None
    with np.errstate(all="ignore"):
        cast = value.astype(dtype.numpy())
    if dtype.is_floating_point():
        fits = np.array_equal(np.isfinite(cast.astype(np.float64)), np.isfinite(value))
    else:
        fits = np.array_equal(cast.astype(value.dtype), value)
    return cast if fits else None
