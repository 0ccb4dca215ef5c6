"""When each call is made and where each buffer lies, once the kernels are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, takewhile

from edgecomp.lowering.lifetimes import accesses_of, sharing_of, tensor_lifetimes
from edgecomp.lowering.memory import Lifetime, plan_memory
from edgecomp.lowering.order import best_order
from edgecomp.program import Call, MemoryPlan, Program

Scratch = Mapping[str, Sequence[int]]
"""For each kernel, the bytes of every piece of scratch memory a call of it needs."""


@dataclass(frozen=True)
class Planned:
    """The plan of a program.

    Attributes:
        calls: in the order they are made.
        memory: where every tensor lies, and the scratch memory of every call.
    """

    calls: tuple[Call, ...]
    memory: MemoryPlan


def scratch_name(call: Call, position: int, index: int) -> str:
    """The name of scratch memory in the plan; `position` keeps two calls of one node apart."""
    return f"scratch {index} of call {position}, {call.name}"


def scratch_of(calls: Sequence[Call], plan: MemoryPlan) -> dict[str, list[int]]:
    """The `Scratch` of the kernels of `calls`, in the order they have in `plan`."""
    sizes = {record.name: record.bytes for record in plan.buffers}
    found: dict[str, list[int]] = {}
    for position, call in enumerate(calls):
        names = (scratch_name(call, position, index) for index in count())
        found[call.kernel] = [sizes[name] for name in takewhile(sizes.__contains__, names)]
    return found


def scratch_bytes(calls: Sequence[Call], plan: MemoryPlan) -> dict[str, int]:
    """Bytes of scratch memory by the names of calls; of calls of one name, the most."""
    scratch = scratch_of(calls, plan)
    found: dict[str, int] = {}
    for call in calls:
        found[call.name] = max(found.get(call.name, 0), sum(scratch[call.kernel]))
    return found


def plan_program(program: Program, scratch: Scratch) -> Planned:
    """The smallest plan found; the calls stay in their order where no other takes less memory."""
    kept = Planned(program.calls, memory_plan(program, scratch))
    if program.views:
        return kept  # calls that make parts of tensors are in the best order already
    order = best_order(program, [sum(scratch[call.kernel]) for call in program.calls])
    calls = tuple(program.calls[index] for index in order)
    if calls == program.calls:
        return kept
    moved = Planned(calls, memory_plan(replace(program, calls=calls), scratch))
    return moved if moved.memory.arena_bytes < kept.memory.arena_bytes else kept


def memory_plan(program: Program, scratch: Scratch) -> MemoryPlan:
    """The smallest plan found with the calls in the order they have."""
    accesses = accesses_of(program)
    buffers = tensor_lifetimes(accesses, len(program.calls))
    buffers += [
        Lifetime(scratch_name(call, index, number), size, index, index)
        for index, call in enumerate(program.calls)
        for number, size in enumerate(scratch[call.kernel])
    ]
    return plan_memory(buffers, sharing_of(accesses))
