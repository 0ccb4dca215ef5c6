"""The program between lowering and a target: calls, the tensors they pass on, constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp_runtime.manifest import BufferRecord, PatchRecord, TensorSpec


@dataclass(frozen=True)
class Overlap:
    """How a kernel's output may lie over an operand that no later call needs.

    Attributes:
        operand: index of the operand.
        distance: it is safe where the operand begins this many bytes after the output, or more.
        in_place: it is safe, too, where both begin at the same byte.
    """

    operand: int
    distance: int
    in_place: bool = False


@dataclass(frozen=True)
class Kernel:
    """One C function to generate.

    Attributes:
        name: unique C identifier within the program.
        schedule_as: the schedule a target picks it by, such as "conv2d" or "elementwise".
        func: the TIR function; parameters in the order of a call's operands.
        outputs: how many of the last parameters are written.
        work: geometry and constants, such as `kernels.conv.ConvWork`, for targets that compute it
            by code of their own; None where they cannot.
        overlaps: operands the output may lie over, in which case nothing is `restrict`.
        carried: pairs of an operand read and one written that may be the same memory, which then
            is a state's.
    """

    name: str
    schedule_as: str
    func: Any
    outputs: int = 1
    work: Any = None
    overlaps: tuple[Overlap, ...] = ()
    carried: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Call:
    """One call of a kernel.

    Attributes:
        kernel: name of the kernel.
        operands: names of tensors and constants, inputs first, outputs last.
        name: the user's node this computes.
        op: the operator and what is fused into it, as in "Conv+Relu".
        where: "integer" or "float".
        macs: multiply-accumulate operations.
        weights: how the weights are stored, in words, where they are no plain array: "int4",
            "palette of 16 values"; "" where they are, or there are none.
    """

    kernel: str
    operands: tuple[str, ...]
    name: str
    op: str
    where: str
    macs: int
    weights: str = ""


@dataclass(frozen=True)
class Tensor:
    """A value of the program that lives in the arena (inputs and outputs may live elsewhere)."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def bytes(self) -> int:
        """Size in bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class View:
    """A tensor that is part of another: whole rows of an image.

    Attributes:
        tensor: name of the other.
        offset: bytes between the beginnings of the two.
    """

    tensor: str
    offset: int


@dataclass(frozen=True)
class MemoryPlan:
    """Where every tensor lives in the arena, and when.

    Attributes:
        arena_bytes: size of the arena.
        alignment: alignment of the arena, and of every buffer in it.
        buffers: offset, size and lifetime (first and last call) of each buffer.
    """

    arena_bytes: int
    alignment: int
    buffers: tuple[BufferRecord, ...]


@dataclass(frozen=True)
class Program:
    """A model lowered to straight-line calls.

    Attributes:
        name: the model's name.
        symbol: C prefix of everything emitted.
        inputs, outputs: signature of the program.
        tensors: every value that is not constant, by name, inputs and outputs included.
        states: initial content of the tensors that outlive a run, by name.
        constants: every constant operand, by name.
        kernels: by name.
        calls: in execution order.
        views: those of `tensors` that are part of another, by name.
        patches: calls made in bands of rows.
        passes: specs of the passes applied to the model.
        headers: C headers the kernels need beside the compiler's own, text by file name; included
            in this order.
    """

    name: str
    symbol: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    tensors: Mapping[str, Tensor]
    constants: Mapping[str, npt.NDArray[Any]]
    kernels: Mapping[str, Kernel]
    calls: tuple[Call, ...]
    passes: tuple[str, ...] = ()
    views: Mapping[str, View] = field(default_factory=dict)
    states: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    patches: tuple[PatchRecord, ...] = ()
