"""Which calls to patch, and how high their bands are, so that a program fits the RAM allowed.

Every call is made by itself or in a patch. What a patch needs does not depend on the other patches,
so that the cheapest choice for the first calls of a program is part of the cheapest for all. Cheap
is a program of few calls: patches repeat no multiplication, but each call and each row moved costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from edgecomp.lowering.lifetimes import accesses_of, sharing_of, tensor_lifetimes
from edgecomp.lowering.memory import Lifetime, live_bytes, plan_memory
from edgecomp.lowering.order import best_order
from edgecomp.lowering.patches import MOVE, Patch, can_patch, patched
from edgecomp.lowering.row_bands import output_rows
from edgecomp.program import Program
from edgecomp_runtime.manifest import TensorSpec

LONGEST = 12
"""How many calls a patch has at most."""


@dataclass(frozen=True)
class Choice:
    """Patches for a program.

    Attributes:
        patches: in order; none where it fits as it is.
        arena_bytes: what the largest of its parts needs, by estimate.
    """

    patches: tuple[Patch, ...]
    arena_bytes: int


@dataclass
class PatchSearch:
    """The choices there are for one program.

    Args:
        program: as `lower` makes it, its calls in the order they are to be made.
        scratch: bytes of scratch memory of the calls, by the name of the call.
    """

    program: Program
    scratch: Mapping[str, int]
    _bytes: dict[tuple[int, int, int], int] = field(default_factory=dict)
    _patchable: dict[tuple[int, int], bool] = field(default_factory=dict)

    def within(self, limit: int) -> Choice | None:
        """The cheapest choice that needs at most `limit` bytes; None if there is none."""
        count = len(self.program.calls)
        best: list[tuple[int, int, tuple[Patch, ...]] | None] = [(0, 0, ())] + [None] * count
        for end in range(1, count + 1):
            for first in range(end - 1, max(-1, end - 1 - LONGEST), -1):
                before = best[first]
                found = None if before is None else self._cheapest(first, end - 1, limit)
                if before is None or found is None:
                    continue
                calls, needed, patches = found
                total = (before[0] + calls, max(before[1], needed), (*before[2], *patches))
                known = best[end]
                if known is None or total[:2] < known[:2]:
                    best[end] = total
        chosen = best[count]
        return None if chosen is None else Choice(chosen[2], chosen[1])

    def smallest(self) -> int:
        """The bytes of the choice that needs the fewest."""
        count = len(self.program.calls)
        best = [0] * (count + 1)
        for end in range(1, count + 1):
            best[end] = max(best[end - 1], self._alone(end - 1))
            for first in range(end - 1, max(-1, end - 1 - LONGEST), -1):
                if best[first] < best[end] and self._can(first, end - 1):
                    best[end] = min(best[end], max(best[first], self._patch(first, end - 1, 1)))
        return best[count]

    def _can(self, first: int, last: int) -> bool:
        key = (first, last)
        if key not in self._patchable:
            self._patchable[key] = can_patch(self.program, first, last)
        return self._patchable[key]

    def _cheapest(
        self, first: int, last: int, limit: int
    ) -> tuple[int, int, tuple[Patch, ...]] | None:
        """Calls, bytes and patch of the cheapest way to make calls `first` to `last` together."""
        if first == last and self._alone(first) <= limit:
            return 1, self._alone(first), ()
        calls = range(first, last + 1)
        if all(self._alone(call) <= limit for call in calls) or not self._can(first, last):
            return None
        if self._patch(first, last, 1) > limit:
            return None
        low, high = 1, output_rows(self._work(last))
        while high - low > 1:  # as many rows as fit
            middle = (low + high) // 2
            low, high = (
                (middle, high) if self._patch(first, last, middle) <= limit else (low, middle)
            )
        patch = Patch(first, last, low)
        bands = -(-output_rows(self._work(last)) // low)
        return bands * len(calls), self._patch(first, last, low), (patch,)

    def _work(self, index: int) -> object:
        return self.program.kernels[self.program.calls[index].kernel].work

    def _alone(self, index: int) -> int:
        return self._patch(index, index, 0)

    def _patch(self, first: int, last: int, rows: int) -> int:
        """Bytes needed during calls `first` to `last`, patched unless `rows` is 0."""
        key = (first, last, rows)
        if key not in self._bytes:
            part = _part(self.program, first, last)
            if rows:
                part = patched(part, [Patch(0, last - first, rows)])
            self._bytes[key] = self._needed(part) + _beside(self.program, first, last)
        return self._bytes[key]

    def _needed(self, part: Program) -> int:
        accesses = accesses_of(part)
        buffers = tensor_lifetimes(accesses, len(part.calls))
        buffers += [
            Lifetime(f"scratch of call {index}", self.scratch.get(call.name, 0), index, index)
            for index, call in enumerate(part.calls)
            if part.kernels[call.kernel].schedule_as != MOVE
        ]
        return plan_memory(buffers, sharing_of(accesses), thorough=False).arena_bytes


def _part(program: Program, first: int, last: int) -> Program:
    """Calls `first` to `last` as a program: what they share with others is its input or output."""
    calls = program.calls[first : last + 1]
    made = {call.operands[-1] for call in calls}
    operands = dict.fromkeys(name for call in calls for name in call.operands)
    held = [name for name in operands if name in program.tensors and name not in program.states]
    later = _needed_after(program, last)
    return replace(
        program,
        inputs=_specs(program, [name for name in held if name not in made]),
        outputs=_specs(program, [name for name in held if name in later]),
        tensors={name: program.tensors[name] for name in operands if name in program.tensors},
        calls=calls,
    )


def _needed_after(program: Program, last: int) -> set[str]:
    names = {name for call in program.calls[last + 1 :] for name in call.operands}
    return names | {spec.name for spec in program.outputs}


def _beside(program: Program, first: int, last: int) -> int:
    """Bytes of tensors that are there during calls `first` to `last` and not touched by them."""
    touched = {name for call in program.calls[first : last + 1] for name in call.operands}
    before = {name for call in program.calls[:first] for name in call.operands}
    before |= {spec.name for spec in program.inputs}
    held = (before & _needed_after(program, last)) - touched - set(program.states)
    buffers = [
        Lifetime(name, program.tensors[name].bytes, 0, 0)
        for name in held
        if name in program.tensors
    ]
    return live_bytes(buffers)


def _specs(program: Program, names: Sequence[str]) -> tuple[TensorSpec, ...]:
    tensors = [program.tensors[name] for name in names]
    return tuple(TensorSpec(t.name, t.shape, t.dtype) for t in tensors)


def in_best_order(program: Program, scratch: Mapping[str, int]) -> Program:
    """`program` with its calls in the order of the smallest peak."""
    order = best_order(program, [scratch.get(call.name, 0) for call in program.calls])
    return replace(program, calls=tuple(program.calls[index] for index in order))
