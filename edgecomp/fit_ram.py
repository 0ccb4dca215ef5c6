"""A program made to fit the RAM that is allowed: as it is, or some of its operators in bands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgecomp.target import Build

if TYPE_CHECKING:
    from edgecomp.lowering.emit_c import CSource
    from edgecomp.lowering.patch_search import PatchSearch
    from edgecomp.program import Overlap, Program

ATTEMPTS = 8
"""Choices tried: what one needs is known when it is written, its stack when it is built."""


@dataclass(frozen=True)
class Built:
    """A program as it was written and built.

    Attributes:
        program: its kernels as the device wants them.
        source: its C.
        build: what the target made of it.
    """

    program: Program
    source: CSource
    build: Build

    @property
    def ram_bytes(self) -> int:
        """All the RAM it needs."""
        return self.source.plan.arena_bytes + len(self.source.state) + self.build.stack_bytes


def fit_ram(
    lowered: Program,
    limit: int | None,
    emit: Callable[[Program], tuple[Program, CSource]],
    build: Callable[[Program, CSource], Build],
) -> Built:
    """A program that computes `lowered` in at most `limit` bytes of RAM.

    Args:
        lowered: the program as `lower` makes it.
        limit: bytes of arena, state and stack; None if there is none.
        emit: writes a program in C.
        build: compiles it.

    Returns:
        `lowered` itself where that fits, or the program of the fewest calls that does; if none
        does, the one expected to be the smallest.
    """
    from edgecomp.lowering.patches import patched, with_functions

    program, source = emit(lowered)
    if limit is None:
        return Built(program, source, build(program, source))
    search = _search(lowered, program, source)
    in_order = replace(lowered, calls=search.program.calls)
    expected, stack = source.plan.arena_bytes, 0
    for _ in range(ATTEMPTS):
        room = limit - len(source.state) - stack
        if source.plan.arena_bytes <= room:
            built = Built(program, source, build(program, source))
            if built.ram_bytes <= limit:
                return built
            stack = max(stack, built.build.stack_bytes)
            room = limit - len(source.state) - stack
        # what is expected knows neither the gaps between buffers nor what changes with the bands
        choice = search.within(expected - (source.plan.arena_bytes - room))
        if choice is None:
            break
        expected = choice.arena_bytes
        program, source = emit(with_functions(patched(in_order, choice.patches)))
    choice = search.within(search.smallest())
    assert choice is not None, "the smallest choice is one"
    program, source = emit(with_functions(patched(in_order, choice.patches)))
    return Built(program, source, build(program, source))


def _search(lowered: Program, program: Program, source: CSource) -> PatchSearch:
    """The choices for `lowered`, with what is known from writing it as `program`."""
    from edgecomp.lowering.patch_search import PatchSearch, in_best_order
    from edgecomp.lowering.planner import scratch_bytes

    scratch = scratch_bytes(program.calls, source.plan)
    return PatchSearch(in_best_order(_with_overlaps(lowered, program), scratch), scratch)


def _with_overlaps(lowered: Program, program: Program) -> Program:
    """`lowered`, its kernels with the overlaps of those that compute the same in `program`."""
    overlaps: dict[tuple[str, str], Mapping[str, Overlap]] = {}
    for call in program.calls:
        kernel = program.kernels[call.kernel]
        by_name = {call.operands[o.operand]: o for o in kernel.overlaps}
        overlaps[call.name, call.operands[-1]] = by_name
    kernels = dict(lowered.kernels)
    for call in lowered.calls:
        found = overlaps.get((call.name, call.operands[-1]), {})
        kernels[call.kernel] = replace(
            kernels[call.kernel],
            overlaps=tuple(
                replace(found[name], operand=index)
                for index, name in enumerate(call.operands[:-1])
                if name in found
            ),
        )
    return replace(lowered, kernels=kernels)
