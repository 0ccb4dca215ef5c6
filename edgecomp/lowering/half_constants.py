"""Float constants kept in 16 bits: those of which every number has a twin of half precision.

Kernels convert each number where they read it, so that the results have the same bits as before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
import tvm_ffi
from tvm import tirx

from edgecomp.program import Call, Kernel, Program

FEWEST = 64
"""Elements of a constant that is worth a kernel of its own."""

CONVERT = "ec_halff"
"""The C function that makes a float of 16 bits, of `edgecomp_math_half.h`."""


def with_half_constants(program: Program) -> Program:
    """`program` with such constants as uint16, and kernels that read them."""
    halves = {
        name: array.astype(np.float16).view(np.uint16)
        for name, array in program.constants.items()
        if _is_half(array) and _is_read_by_kernels_without_work(program, name)
    }
    kernels, calls = dict(program.kernels), []
    for call in program.calls:
        places = tuple(i for i, name in enumerate(call.operands) if name in halves)
        if not places:
            calls.append(call)
            continue
        kernel = _reading(program.kernels[call.kernel], places)
        kernels[kernel.name] = kernel
        calls.append(replace(call, kernel=kernel.name, weights="float16"))
    used = {call.kernel for call in calls}
    return replace(
        program,
        constants={**program.constants, **halves},
        kernels={name: kernel for name, kernel in kernels.items() if name in used},
        calls=tuple(calls),
    )


def _is_half(array: npt.NDArray[Any]) -> bool:
    if array.dtype != np.float32 or array.size < FEWEST:
        return False
    with np.errstate(over="ignore"):
        narrow = array.astype(np.float16)
    return bool(np.isfinite(array).all() and np.array_equal(narrow.astype(np.float32), array))


def _is_read_by_kernels_without_work(program: Program, name: str) -> bool:
    """Whether all who read it are TIR alone, which can be changed."""
    readers = [call for call in program.calls if name in call.operands]
    return all(_can_change(call, program.kernels) for call in readers)


def _can_change(call: Call, kernels: Mapping[str, Kernel]) -> bool:
    kernel = kernels[call.kernel]
    return call.where == "float" and kernel.work is None and kernel.schedule_as == "float"


def _reading(kernel: Kernel, places: tuple[int, ...]) -> Kernel:
    """`kernel` with the operands at `places` in 16 bits."""
    params = list(kernel.func.params)
    swapped = {params[place]: _half_buffer(params[place]) for place in places}
    body = tvm_ffi.structural_map(kernel.func.body, (tvm.ir.TensorLoad, _load(swapped)))
    body = tvm_ffi.structural_map(body, (tvm.ir.TensorRegion, _region(swapped)))
    func = tirx.PrimFunc(
        [swapped.get(param, param) for param in params],
        body,
        kernel.func.ret_type,
        kernel.func.attrs,
    )
    suffix = "_".join(map(str, places))
    return replace(kernel, name=f"{kernel.name}_half{suffix}", func=func)


def _half_buffer(buffer: Any) -> Any:
    return tirx.decl_buffer(buffer.shape, "uint16", name=buffer.name)


def _load(swapped: Mapping[Any, Any]) -> Any:
    def visit(load: Any) -> Any:
        half = swapped.get(load.source)
        if half is None:
            return load
        return tirx.call_pure_extern("float32", CONVERT, half.vload(list(load.indices)))

    return visit


def _region(swapped: Mapping[Any, Any]) -> Any:
    def visit(region: Any) -> Any:
        half = swapped.get(region.source)
        return region if half is None else tirx.BufferRegion(half, region.region)

    return visit
