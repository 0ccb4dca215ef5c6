"""A kernel of the target's own in place of one call's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import te, tirx

from edgecomp.lowering.codegen import STACK_BUFFER_BYTES
from edgecomp.lowering.kernels.conv import ConvShape
from edgecomp.program import Overlap
from edgecomp_targets.cortex_m.weight_order import WeightOrder

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Replacement:
    """What computes a call instead of its kernel.

    Attributes:
        function: the C function: inputs, constants, then the output and the scratch memory.
        header: the C header that defines it; see `headers.py`.
        inputs: which operands of the call are passed on, in order.
        constants: arrays made at compile time, by a word that says what they are; passed next.
        scratch_words: 32-bit words of scratch memory; 0 for none.
        overlaps: of `inputs`, those the output may lie over, and how.
        weights: how the weights are stored, as `Call.weights` says.
        order: of the weights, in the first of `constants`; None where they may only be plain.
    """

    function: str
    header: str
    inputs: Sequence[int]
    constants: Mapping[str, Array] = field(default_factory=dict)
    scratch_words: int = 0
    overlaps: tuple[Overlap, ...] = ()
    weights: str = ""
    order: WeightOrder | None = None

    def build(self, shapes: Sequence[tuple[int, ...]], output: tuple[int, ...]) -> Any:
        """TIR that makes the one call; `shapes` are those of `inputs`, all int8."""
        given = [te.placeholder(s, "int8", name=f"x{i}") for i, s in enumerate(shapes)]
        given += [
            te.placeholder(array.shape, array.dtype.name, name=name)
            for name, array in self.constants.items()
        ]
        results, dtypes = [output], ["int8"]
        if self.scratch_words:
            results.append((_hoisted(self.scratch_words),))
            dtypes.append("int32")

        def call(sources: Any, targets: Any) -> Any:
            pointers = [buffer.data for buffer in (*sources, *targets)]
            return tirx.call_extern("void", self.function, *pointers)

        made = te.extern(results, given, call, name="out", dtype=dtypes)
        out = made[0] if self.scratch_words else made
        return te.create_prim_func([*given, out])


def _hoisted(words: int) -> int:
    """Scratch never so small that it stays on the stack: one wrapper then serves every shape."""
    return max(words, STACK_BUFFER_BYTES // 4 + 1)


def geometry(values: Mapping[str, int]) -> npt.NDArray[np.int32]:
    """The fields of a C struct of int32, in its order."""
    return np.array(list(values.values()), np.int32)


def output_range(low: int, high: int) -> dict[str, int]:
    """The fields of C structs on what outputs are brought to: whether that is not all of int8."""
    return {"narrow": int((low, high) != (-128, 127)), "low": low, "high": high}


def extents(shape: ConvShape) -> dict[str, int]:
    """The fields with which every C struct of a convolution begins."""
    batch, height, width, channels = shape.x
    return {
        "batch": batch,
        "height": height,
        "width": width,
        "channels": channels,
        "out_height": shape.output_extent(0),
        "out_width": shape.output_extent(1),
        "filters": shape.out_channels,
        "kernel_height": shape.kernel[0],
    }
