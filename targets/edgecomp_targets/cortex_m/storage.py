"""Which layers' weights are stored in fewer bytes, and the calls that unpack them.

The unpacked weights lie in the arena, from a call of their own to the layer's. What that may cost
is a matter of `--optimize`: see `POLICIES`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import te, tirx

from edgecomp.device import Device
from edgecomp.graph.cost import CORES
from edgecomp.lowering.planner import memory_plan, scratch_of
from edgecomp.program import Call, Kernel, MemoryPlan, Program, Tensor
from edgecomp_targets.cortex_m.headers import headers
from edgecomp_targets.cortex_m.weight_codes import Coded, smallest
from edgecomp_targets.cortex_m.weight_order import WeightOrder

CALL_BYTES, FUNCTION_BYTES = 40, 350
"""Of code, for each layer and for each C function that unpacks."""
LEAST_SHARE, LEAST_SHARE_OF_FEW_USES = 1 / 6, 1 / 3
"""Of the weights that must be saved: less does not pay for being unpacked at every inference."""
FEW_USES = 8
"""Multiplications with a weight: to unpack it costs as much as several."""
STACK_ROOM = 2048
"""Bytes of RAM left to the stack, which is not known before the program is built."""
COST = {"cortex_m0plus": 7.0, "cortex_m3": 3.5, "cortex_m55": 0.8}
"""Instructions for a weight, at most."""
COST_OF_DSP = 4.6

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Policy:
    """What fewer bytes of flash may cost.

    Attributes:
        share: more instructions, as a share of those of the whole program.
        grows: the arena may grow, as far as the device has RAM or `--ram` allows.
    """

    share: float
    grows: bool


POLICIES: Mapping[str, Policy] = {
    "speed": Policy(0.0, grows=False),
    "balanced": Policy(0.03, grows=False),
    "size": Policy(1.0, grows=True),
}
"""By `optimize`."""


@dataclass(frozen=True)
class _Candidate:
    """A layer whose weights take fewer bytes coded.

    Attributes:
        call: its index.
        constant: the name of its weights.
        coded: the weights in fewer bytes.
        saved: how many fewer, with the code of the call.
    """

    call: int
    constant: str
    coded: Coded
    saved: int


def store(
    program: Program, plan: MemoryPlan, device: Device, optimize: str, ram_limit: int | None
) -> Program:
    """See `edgecomp.target.StoringTarget.store`."""
    policy = POLICIES[optimize]
    if policy.share == 0:
        return program
    cost = COST.get(device.core, COST_OF_DSP)
    instructions = sum(call.macs for call in program.calls) * CORES[device.core].product
    left = policy.share * instructions
    limit = _arena_limit(program, plan, device, ram_limit) if policy.grows else plan.arena_bytes
    scratch = scratch_of(program.calls, plan)
    chosen: list[_Candidate] = []
    candidates = _paying(list(_candidates(program)))
    for candidate in sorted(candidates, key=lambda c: (-c.saved, c.call)):
        weights = program.constants[candidate.constant].nbytes
        if cost * weights > left:
            continue
        tried = _with(program, [*chosen, candidate], device.core)
        unpacking: Mapping[str, Sequence[int]] = dict.fromkeys(tried.kernels, ())
        if memory_plan(tried, {**unpacking, **scratch}).arena_bytes <= limit:
            chosen.append(candidate)
            left -= cost * weights
    chosen = _paying(chosen)
    return _with(program, chosen, device.core) if chosen else program


def _paying(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """Those of a function that, together, save more than it takes."""
    saved = Counter[str]()
    for candidate in candidates:
        saved[candidate.coded.function] += candidate.saved
    return [c for c in candidates if saved[c.coded.function] > FUNCTION_BYTES]


def _arena_limit(program: Program, plan: MemoryPlan, device: Device, ram_limit: int | None) -> int:
    """Bytes an arena that may grow may have: no less than it has."""
    ram = int(device.memory.ram_bytes.value)
    allowed = ram if ram_limit is None else min(ram, ram_limit)
    state = sum(array.nbytes for array in program.states.values())
    return max(plan.arena_bytes, allowed - state - STACK_ROOM)


def _candidates(program: Program) -> Iterator[_Candidate]:
    for index, call in enumerate(program.calls):
        order = program.kernels[call.kernel].work
        if not isinstance(order, WeightOrder):
            continue
        constant = next(name for name in call.operands if name in program.constants)
        weights = program.constants[constant]
        coded = smallest(weights, order)
        saved = 0 if coded is None else weights.nbytes - coded.bytes - CALL_BYTES
        few = call.macs < FEW_USES * weights.nbytes
        share = LEAST_SHARE_OF_FEW_USES if few else LEAST_SHARE
        if coded is not None and saved >= share * weights.nbytes:
            yield _Candidate(index, constant, coded, saved)


def _with(program: Program, chosen: Sequence[_Candidate], core: str) -> Program:
    """`program` with the weights of `chosen` unpacked before they are used."""
    constants, tensors = dict(program.constants), dict(program.tensors)
    kernels, used = dict(program.kernels), set()
    calls: dict[int, list[Call]] = {i: [call] for i, call in enumerate(program.calls)}
    for candidate in chosen:
        name, coded, layer = candidate.constant, candidate.coded, program.calls[candidate.call]
        weights = constants.pop(name)
        tensors[name] = Tensor(name, weights.shape, weights.dtype.name)
        arrays = {_free(f"{name} {what}", constants): a for what, a in coded.arrays.items()}
        constants.update(arrays)
        function, header = _function(coded, core)
        used.add(header)
        kernel = _free("unpack", kernels)
        func = _call_of(function, list(arrays.values()), weights)
        kernels[kernel] = Kernel(kernel, "extern", func)
        unpack = Call(kernel, (*arrays, name), layer.name, "Unpack", "integer", 0, coded.words)
        calls[candidate.call] = [unpack, replace(layer, weights=coded.words)]
    return replace(
        program,
        constants=constants,
        tensors=tensors,
        kernels=kernels,
        calls=tuple(call for index in sorted(calls) for call in calls[index]),
        headers={**program.headers, **headers(used)},
    )


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """`name`, or with the first number that makes it another than those taken."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    return found


def _function(coded: Coded, core: str) -> tuple[str, str]:
    """The C function that unpacks, and its header."""
    if core == "cortex_m55" and coded.function == "ec_unpack_bytes_4":
        return "ec_mve_unpack_4", "edgecomp_mve_unpack.h"
    return coded.function, "edgecomp_unpack.h"


def _call_of(function: str, arrays: Sequence[Array], weights: Array) -> Any:
    """TIR that makes `weights` of `arrays` by the one call."""
    given = [
        te.placeholder(array.shape, array.dtype.name, name=f"x{i}")
        for i, array in enumerate(arrays)
    ]

    def call(sources: Any, targets: Any) -> Any:
        pointers = [buffer.data for buffer in (*sources, *targets)]
        return tirx.call_extern("void", function, *pointers)

    out = te.extern([weights.shape], given, call, name="out", dtype=[np.dtype(weights.dtype).name])
    return te.create_prim_func([*given, out])
