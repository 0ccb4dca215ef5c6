"""Which calls need each buffer of a program, and which buffers may share bytes all the same.

A tensor may lie over an older one that is still read, as long as no call writes a byte before the
last call reads it. How far apart the two must begin follows from the bytes each call reads and
writes. This is the diagonal memory optimisation of P. Blacker et al., "Memory Optimisation for
Microcontrollers: DMO" (2020), over calls and, where a kernel says it goes in order, within one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgecomp.lowering.memory import Lifetime, Sharing
from edgecomp.program import Call, Overlap, Program


@dataclass(frozen=True)
class Access:
    """Bytes `start` to `end` of a tensor, read or written by the call at an index.

    Attributes:
        overlap: of a read: how what the same call writes may lie over it, if at all.
    """

    call: int
    start: int
    end: int
    overlap: Overlap | None = None


@dataclass
class Accesses:
    """All accesses of one tensor, in order of the calls."""

    reads: list[Access] = field(default_factory=list)
    writes: list[Access] = field(default_factory=list)

    @property
    def first(self) -> int:
        """The first call that needs the tensor."""
        return min(access.call for access in (*self.writes, *self.reads))

    @property
    def last(self) -> int:
        """The last call that needs the tensor."""
        return max(access.call for access in (*self.writes, *self.reads))


def base_of(program: Program, name: str) -> tuple[str, int]:
    """The tensor whose memory `name` is, and where in it, in bytes."""
    offset = 0
    while name in program.views:
        view = program.views[name]
        name, offset = view.tensor, offset + view.offset
    return name, offset


def accesses_of(program: Program) -> dict[str, Accesses]:
    """What the calls of `program` read and write of every planned tensor.

    Inputs are written before the first call and outputs are read after the last, whole.
    """
    found: dict[str, Accesses] = {}
    for spec in program.inputs:
        whole = Access(-1, 0, program.tensors[spec.name].bytes)
        found.setdefault(spec.name, Accesses()).writes.append(whole)
    for index, call in enumerate(program.calls):
        for tensor, access, written in _operands(program, index, call):
            entry = found.setdefault(tensor, Accesses())
            (entry.writes if written else entry.reads).append(access)
    for spec in program.outputs:
        whole = Access(len(program.calls), 0, program.tensors[spec.name].bytes)
        found.setdefault(spec.name, Accesses()).reads.append(whole)
    return found


def _operands(program: Program, index: int, call: Call) -> list[tuple[str, Access, bool]]:
    """The planned tensors a call needs: name, bytes, and whether it writes them."""
    kernel = program.kernels[call.kernel]
    inputs = len(call.operands) - kernel.outputs
    overlaps = {overlap.operand: overlap for overlap in kernel.overlaps}
    found = []
    for place, name in enumerate(call.operands):
        base, start = base_of(program, name)
        if base in program.tensors and base not in program.states:
            end = start + program.tensors[name].bytes
            access = Access(index, start, end, overlaps.get(place))
            found.append((base, access, place >= inputs))
    return found


def tensor_lifetimes(accesses: Mapping[str, Accesses], calls: int) -> list[Lifetime]:
    """The buffers of all tensors of a program of so many calls."""
    last_call = max(calls - 1, 0)
    return [
        Lifetime(
            name,
            max(access.end for access in (*entry.writes, *entry.reads)),
            min(max(entry.first, 0), last_call),
            min(max(entry.last, 0), last_call),
            entry.writes[-1].call if len(entry.writes) > 1 else None,
        )
        for name, entry in accesses.items()
    ]


def sharing_of(accesses: Mapping[str, Accesses]) -> dict[tuple[str, str], Sharing]:
    """How the first of two tensors may lie over the second, older one; pairs that may not, lack."""
    found = {}
    alive: dict[str, int] = {}
    for newer, entry in sorted(accesses.items(), key=lambda item: item[1].first):
        alive = {name: last for name, last in alive.items() if last >= entry.first}
        for older in alive:
            sharing = _sharing(accesses[older], entry)
            if sharing is not None:
                found[newer, older] = sharing
        alive[newer] = entry.last
    return found


def _sharing(older: Accesses, newer: Accesses) -> Sharing | None:
    """How `newer` may lie over `older`; None if it may not."""
    if not older.writes or not newer.writes or older.writes[-1].call >= newer.writes[0].call:
        return None
    size = max(access.end for access in newer.writes)
    distance = 0
    for read in older.reads:
        for write in newer.writes:
            if write.call <= read.call:
                distance = max(distance, _apart(write, read))
    in_place = _in_place(older, newer)
    return None if distance >= size and not in_place else Sharing(distance, in_place)


def _apart(write: Access, read: Access) -> int:
    """Bytes the older tensor must begin after the newer, for a write no later than a read."""
    if write.call == read.call and read.overlap is not None:
        return min(read.overlap.distance + write.start, write.end) - read.start
    return write.end - read.start


def _in_place(older: Accesses, newer: Accesses) -> bool:
    """Whether the one call that needs both may write over what it reads."""
    needed = [read for read in older.reads if read.call >= newer.writes[0].call]
    return len(newer.writes) == len(needed) == 1 and bool(
        needed[0].call == newer.writes[0].call
        and needed[0].overlap is not None
        and needed[0].overlap.in_place
        and needed[0].start == newer.writes[0].start == 0
    )
