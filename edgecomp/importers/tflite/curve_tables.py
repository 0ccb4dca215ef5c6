"""Curves of fixed-point numbers as tables: long sequences would repeat their nodes too often."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
import onnxruntime

from edgecomp.importers.tflite.builder import Array, GraphBuilder
from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.file import Operator, Subgraph, Tensor
from edgecomp.importers.tflite.fixed_point_curves import logistic, tanh
from edgecomp.importers.tflite.integers import Integers
from edgecomp.importers.tflite.values import Values

_CURVES: Mapping[str, tuple[Callable[[Integers, int], Integers], int]] = {
    "logistic": (logistic, (1 << 15) - 1),
    "tanh": (tanh, 0),
}
"""Each curve, and what its values at x and -x add up to."""

_POINTS = (1 << 15) + 1
"""Arguments from 0 to the largest magnitude of 16 bits."""


def looked_up(name: str, table: str, x: Integers) -> Integers:
    """A curve from the constant `table`, the content of `table_of`."""
    negative = x.compare("Less", 0)
    size = (-x).where(negative, x)
    value = Integers(x.context, x.context.emit("Gather", table, size.value, axis=0)).cast("int32")
    return (-value + _CURVES[name][1]).where(negative, value)


@lru_cache
def table_of(name: str, integer_bits: int) -> Array:
    """The values of a curve at 0, 1, ... 2^15, int16; the last one is that of -2^15 mirrored."""
    curve, mirrored = _CURVES[name]
    tensors = tuple(Tensor(which, (_POINTS,), "int32", None, None) for which in ("x", "y"))
    operator = Operator(name, (0,), (1,), {})
    values = Values(Subgraph(tensors, (0,), (1,), (operator,)), GraphBuilder())
    fed = values.feed(0)
    result = curve(Integers(Context(operator, values), values.read(0)), integer_bits).value
    content = values.builder.model(name, [fed], [result]).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found = session.run(None, {fed: -np.arange(_POINTS, dtype=np.int32)})[0]
    return np.asarray(mirrored - found, np.int16)
