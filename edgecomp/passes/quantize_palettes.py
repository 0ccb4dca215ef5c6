"""Quantization of clustered weights: the indices stay, the tables become integers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.palette import (
    add_palette,
    expand_palettes,
    is_palette,
    palette_bytes,
    palette_of,
)
from edgecomp.graph.values import constant_of
from edgecomp.model import Model

Indices = Mapping[str, npt.NDArray[np.uint8]]
"""Indices of the weights of a palette, by name of the weights."""


def without_palettes(model: Model) -> tuple[Model, Indices]:
    """`model` with the weights themselves as constants, and what their indices were."""
    palettes = [node.outputs[0] for node in model.graph.graph if is_palette(node)]
    found = {str(value.name): palette_of(value) for value in palettes}
    indices = {name: palette[0] for name, palette in found.items() if palette is not None}
    if not indices:
        return model, {}
    graph = model.graph.clone()
    expand_palettes(graph)
    return model.with_graph(graph), indices


def restore_palettes(model: ir.Model, integers: Mapping[str, str], indices: Indices) -> None:
    """Put palettes of integers, in place, where quantized weights came from a palette.

    Args:
        model: the quantized model.
        integers: name of the constant that holds the integers, by name of the float weights.
        indices: of `without_palettes`.
    """
    for name, places in indices.items():
        value = model.graph.initializers.get(integers.get(name, ""))
        content = constant_of(value)
        table = None if content is None else _table(content, places)
        if value is None or content is None or table is None:
            continue
        if palette_bytes(places, table) >= content.nbytes:
            continue
        users, stored = list(value.uses()), str(value.name)
        del model.graph.initializers[stored]
        value.name = f"{stored}/dense"
        made = add_palette(model, stored, places, table)
        for use in users:
            use.node.replace_input_with(use.idx, made)


def _table(content: npt.NDArray[Any], indices: npt.NDArray[np.uint8]) -> npt.NDArray[Any] | None:
    """The integer of each index: one table, or one for each place of the first axis.

    None where neither says it, as with scales along another axis.
    """
    count = int(indices.max()) + 1
    rows = len(content)
    tables = np.zeros((rows, count), content.dtype)
    flat, places = content.reshape(rows, -1), indices.reshape(rows, -1)
    for row in range(rows):
        tables[row, places[row]] = flat[row]
    if not np.array_equal(np.take_along_axis(tables, places.astype(np.int64), 1), flat):
        return None
    one = np.zeros(count, content.dtype)
    one[indices.ravel()] = content.ravel()
    return one if np.array_equal(one[indices], content) else tables
