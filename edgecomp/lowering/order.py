"""The order of calls whose largest sum of live buffers is smallest.

Dynamic programming over the sets of calls that can have been made so far, as in B. Ahn et al.,
"Ordering Chaos: Memory-Aware Scheduling of Irregularly Wired Neural Networks for Edge Devices"
(MLSys 2020). Exact as long as no step has more sets than `STATES` allows, which holds for graphs of
few branches; beyond, the sets with the smallest peaks go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgecomp.lowering.lifetimes import Accesses, accesses_of
from edgecomp.lowering.memory import align
from edgecomp.program import Program

STATES = 20_000
"""Sets looked at in all: a count, not a time, so that every machine finds the same order."""


@dataclass(frozen=True)
class _Graph:
    """What the search needs of a program; sets of calls are bits of an integer.

    Attributes:
        before: the calls each call must come after.
        sizes: bytes of each tensor.
        users: the calls that need each tensor; outputs are needed by a call after the last.
        held: tensors that are there from the beginning.
        touched: the tensors each call reads or writes.
        savings: for each call, its result, and for each operand that the result may lie over, the
            bytes that saves.
        scratch: bytes of scratch memory of each call.
    """

    before: list[int]
    sizes: dict[str, int]
    users: dict[str, int]
    held: frozenset[str]
    touched: list[frozenset[str]]
    savings: list[tuple[str, dict[str, int]]]
    scratch: Sequence[int]

    def alive_after(self, alive: frozenset[str], done: int) -> frozenset[str]:
        """Those of `alive` that calls not in `done` need."""
        return frozenset(name for name in alive if self.users[name] & ~done)

    def needed(self, alive: frozenset[str], call: int, done: int) -> int:
        """Bytes that `call` needs, made after `done` with `alive` tensors kept."""
        result, savings = self.savings[call]
        after = done | 1 << call
        saved = sum(s for name, s in savings.items() if not self.users[name] & ~after)
        total = sum(self.sizes[name] for name in alive | self.touched[call]) + self.scratch[call]
        return total - min(saved, self.sizes.get(result, 0))


def best_order(program: Program, scratch: Sequence[int]) -> list[int]:
    """Indices of the calls of `program` in the order with the smallest peak found.

    Args:
        program: without views.
        scratch: bytes of scratch memory each call needs.

    Returns:
        The order there is where none is better.
    """
    graph = _graph(program, scratch)
    count = len(program.calls)
    own = _peak(graph, range(count))
    if count == 0 or own == max(_least(graph, call) for call in range(count)):
        return list(range(count))
    width = max(1, STATES // count)
    start = (graph.held, 0, ())
    layer: dict[int, tuple[frozenset[str], int, tuple[int, ...]]] = {0: start}
    for _ in range(count):
        following: dict[int, tuple[frozenset[str], int, tuple[int, ...]]] = {}
        for done, (alive, peak, path) in layer.items():
            for call in range(count):
                if done >> call & 1 or graph.before[call] & ~done:
                    continue
                reached = max(peak, graph.needed(alive, call, done))
                after = done | 1 << call
                known = following.get(after)
                if reached < own and (known is None or (reached, (*path, call)) < known[1:]):
                    left = graph.alive_after(alive | graph.touched[call], after)
                    following[after] = (left, reached, (*path, call))
        best = sorted(following.items(), key=lambda entry: entry[1][1:])[:width]
        layer = dict(best)
    return list(next(iter(layer.values()))[2]) if layer else list(range(count))


def _peak(graph: _Graph, order: Sequence[int]) -> int:
    alive, done, peak = graph.held, 0, 0
    for call in order:
        peak = max(peak, graph.needed(alive, call, done))
        done |= 1 << call
        alive = graph.alive_after(alive | graph.touched[call], done)
    return peak


def _least(graph: _Graph, call: int) -> int:
    """Bytes that `call` needs in any order."""
    everything = (1 << len(graph.before)) - 1
    return graph.needed(frozenset(), call, everything)


def _graph(program: Program, scratch: Sequence[int]) -> _Graph:
    accesses = accesses_of(program)
    count = len(program.calls)
    touched: list[set[str]] = [set() for _ in program.calls]
    users, sizes = {}, {}
    for name, entry in accesses.items():
        both = (*entry.writes, *entry.reads)
        sizes[name] = align(max(access.end for access in both))
        users[name] = sum({1 << access.call for access in both if access.call >= 0})
        for access in both:
            if 0 <= access.call < count:
                touched[access.call].add(name)
    return _Graph(
        before=_before(program),
        sizes=sizes,
        users=users,
        held=frozenset(spec.name for spec in program.inputs if users[spec.name]),
        touched=[frozenset(names) for names in touched],
        savings=[_savings(program, accesses, index) for index in range(count)],
        scratch=[align(size) for size in scratch],
    )


def _savings(
    program: Program, accesses: Mapping[str, Accesses], index: int
) -> tuple[str, dict[str, int]]:
    call = program.calls[index]
    result = call.operands[-1]
    saved = {}
    for overlap in program.kernels[call.kernel].overlaps:
        name = call.operands[overlap.operand]
        if name in accesses and result in accesses and len(accesses[result].writes) == 1:
            apart = 0 if overlap.in_place else align(overlap.distance)
            room = align(program.tensors[result].bytes) - apart
            saved[name] = max(0, min(room, align(program.tensors[name].bytes)))
    return result, saved


def _before(program: Program) -> list[int]:
    """The calls each call must follow: they write what it reads, or need what it writes."""
    wrote: dict[str, int] = {}
    used: dict[str, int] = {}
    before = []
    for index, call in enumerate(program.calls):
        inputs = len(call.operands) - program.kernels[call.kernel].outputs
        earlier = 0
        for place, name in enumerate(call.operands):
            earlier |= (used if place >= inputs else wrote).get(name, 0)
        for place, name in enumerate(call.operands):
            used[name] = used.get(name, 0) | 1 << index
            if place >= inputs:
                wrote[name] = wrote.get(name, 0) | 1 << index
        before.append(earlier)
    return before
