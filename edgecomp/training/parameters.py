"""The constants of a graph that training changes: which they are, and how they are written back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.palette import is_palette
from edgecomp.graph.params import parameters_of
from edgecomp.graph.qdq import Quantization, is_dequantize, quantization_of
from edgecomp.graph.values import constant_of, elements_of

Array = npt.NDArray[Any]
KeepZeros = Literal["auto", "always", "never"]

SPARSE = 0.2
"""Share of zeros from which on a tensor counts as pruned."""

SPARSE_NARROW = 0.5
"""The same for integers of 4 bits and fewer, of which rounding alone makes many zeros."""

_SCALARS_ARE_LEARNED = frozenset(
    {"Conv", "ConvTranspose", "Gemm", "MatMul", "PRelu", "BatchNormalization", "Gather"}
)
"""Operators whose constants of one element are learned; elsewhere (x * 0.5) they are part of a
formula."""

_NEVER_LEARNED = frozenset({"Pow", "Where", "Max", "Min", "Greater", "Less", "Equal", "Mod"})
"""Operators whose constants are exponents, limits and fillers."""


@dataclass(frozen=True, eq=False)
class Learned:
    """One constant that is trained, as real numbers.

    Attributes:
        name: of the initializer.
        start: the real numbers it holds, float32.
        keeps_zeros: whether what is exactly 0 stays 0.
        integers: what the initializer holds where that is not floats, else None.
        grid: the real numbers those integers stand for.
        scale: name of the initializer with the scale; empty where the grid has one of its own.
    """

    name: str
    start: npt.NDArray[np.float32]
    keeps_zeros: bool
    integers: Array | None = None
    grid: Quantization | None = None
    scale: str = ""


def learned_constants(
    graph: ir.Graph, frozen: Sequence[str] = (), keep_zeros: KeepZeros = "auto"
) -> tuple[Learned, ...]:
    """Every learned float, and every learned integer behind a DequantizeLinear, in graph order.

    Args:
        graph: of an imported model.
        frozen: name patterns (* ? [...]) of nodes whose constants stay as they are.
        keep_zeros: "always" and "never" hold for every matrix or filter and every palette; "auto"
            keeps the zeros of those that were pruned (`SPARSE`, `SPARSE_NARROW`) and of palettes.
            Vectors, as biases, are free: no pass prunes them, and they may well begin as zeros.
    """
    found: dict[str, Learned] = {}
    held: set[str] = set()
    for node in graph:
        names = [str(value.name) for value in _trained(node)]
        if any(fnmatchcase(str(node.name), pattern) for pattern in frozen):
            held.update(names)
            continue
        for value in _trained(node):
            name = str(value.name)
            learned = found.get(name) or _learned(value, node, keep_zeros)
            if learned is not None:
                found[name] = learned
    return tuple(learned for name, learned in found.items() if name not in held)


def _trained(node: ir.Node) -> tuple[ir.Value, ...]:
    if is_palette(node) and node.inputs[1] is not None:
        return (node.inputs[1],)
    if node.op_type in _NEVER_LEARNED:
        return ()
    scalars = node.op_type in _SCALARS_ARE_LEARNED
    return tuple(
        value
        for value in parameters_of(node)
        if value.is_initializer()
        and (scalars or elements_of(value) > 1)
        and not (node.op_type == "BatchNormalization" and value in node.inputs[3:])
    )


def _learned(value: ir.Value, reader: ir.Node, keep_zeros: KeepZeros) -> Learned | None:
    """None where nothing says what real numbers its integers stand for."""
    content, name = constant_of(value), str(value.name)
    assert content is not None, "parameters are constants"
    palette = is_palette(reader)
    dequantized = reader.outputs[0] if palette else value
    readers = [use.node for use in dequantized.uses() if is_dequantize(use.node) and use.idx == 0]
    if value.dtype is not None and value.dtype.is_floating_point():
        real = np.array(content, np.float32)
        return Learned(name, real, _keeps(real, SPARSE, keep_zeros, palette))
    grid, scale = (quantization_of(readers[0]), readers[0].inputs[1]) if readers else (None, None)
    if grid is None or scale is None:
        return None
    if palette and not grid.per_tensor:
        # a table is no part of the tensor that has the channels: any step serves as a unit
        step = np.asarray(grid.scale.mean(), np.float32)
        grid, scale = Quantization(step, np.zeros((), content.dtype), grid.dtype, None), None
    real = grid.dequantize(content)
    narrow = value.dtype is not None and value.dtype.bitwidth <= 4
    keeps = _keeps(real, SPARSE_NARROW if narrow else SPARSE, keep_zeros, palette)
    return Learned(name, real, keeps, content, grid, str(scale.name) if scale is not None else "")


def _keeps(content: Array, share: float, keep_zeros: KeepZeros, palette: bool) -> bool:
    vector = not palette and content.size == max(content.shape, default=1)
    if keep_zeros == "never" or vector:
        return False
    if keep_zeros == "always" or palette:
        return True
    return bool(np.count_nonzero(content == 0) >= share * content.size)


def write_constants(graph: ir.Model, contents: Mapping[str, Array]) -> ir.Model:
    """A clone of `graph` whose initializers named in `contents` hold those numbers.

    Shapes, element types, names and metadata stay.
    """
    clone = graph.clone()
    for name, content in contents.items():
        value = clone.graph.initializers[name]
        before = value.const_value
        assert before is not None, "an initializer has content"
        value.const_value = ir.Tensor(
            np.array(content, before.dtype.numpy(), order="C"),
            dtype=before.dtype,
            name=name,
            doc_string=before.doc_string,
            metadata_props=dict(before.metadata_props),
        )
    return clone
