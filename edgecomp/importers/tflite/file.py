"""What a TFLite file holds, as values: read once, checked, and free of flatbuffers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Scales:
    """Quantization of a tensor: real = scale * (q - zero_point).

    Attributes:
        scale: float32 as in the file, one entry or one for each channel.
        zero_point: int64, as many entries.
        axis: the channel axis; means nothing for one entry.
    """

    scale: npt.NDArray[np.float32]
    zero_point: npt.NDArray[np.int64]
    axis: int


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor of the file.

    Attributes:
        name: unique in its file; made of the index where the file has none.
        shape: static; a dimension the file leaves open has the size the file was made with.
        dtype: numpy name of the element type; "int4", "string" and "resource" as TFLite has them.
        scales: its quantization, or None.
        data: the content of a constant, None for any other tensor.
        variable: whether it keeps its content from one run to the next.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: Scales | None
    data: Array | None
    variable: bool = False


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator of the file.

    Attributes:
        name: of the builtin, as in "CONV_2D"; "CUSTOM name" for any other.
        inputs: tensor indices, None for an operand left out.
        outputs: tensor indices.
        options: fields of its options table, by their name in the schema; absent in the file,
            they have the schema's defaults.
        custom: the options of a custom operator, as they lie in the file.
        intermediates: tensors that only say the scales of values within the operator.
    """

    name: str
    inputs: tuple[int | None, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]
    custom: bytes = b""
    intermediates: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Subgraph:
    """A graph: the first of a file is the model, others are called by operators.

    Attributes:
        tensors: its tensors, which the indices of operators count.
        inputs, outputs: indices of tensors, in the model's order.
        operators: in execution order.
    """

    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[Operator, ...]
