"""Place buffers with known lifetimes in one arena.

Two buffers may share bytes when no call needs both. The placement is the greedy best fit of
Y. Pisarchyk and J. Lee, "Efficient Memory Management for Deep Neural Net Inference" (2020), tried
in several orders; the smallest result wins. No plan can be smaller than the largest sum of buffers
alive at one call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgecomp.program import MemoryPlan
from edgecomp_runtime.manifest import BufferRecord

ALIGNMENT = 16


@dataclass(frozen=True)
class Lifetime:
    """A buffer to place: its size in bytes and the first and last call that need it."""

    name: str
    bytes: int
    first: int
    last: int

    def overlaps(self, other: Lifetime) -> bool:
        """Whether some call needs both."""
        return self.first <= other.last and other.first <= self.last


def align(size: int) -> int:
    """`size` rounded up to the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def live_bytes(buffers: Sequence[Lifetime]) -> int:
    """The largest number of bytes that one call needs at once: no plan can be smaller."""
    calls = {buffer.first for buffer in buffers}
    return max(
        (sum(align(b.bytes) for b in buffers if b.first <= call <= b.last) for call in calls),
        default=0,
    )


_ORDERS: tuple[Callable[[Lifetime], tuple[int, ...]], ...] = (
    lambda b: (-b.bytes, b.first),
    lambda b: (-b.bytes * (b.last - b.first + 1), b.first),
    lambda b: (-(b.last - b.first), -b.bytes),
    lambda b: (b.first, -b.bytes),
    lambda b: (-b.last, -b.bytes),
)


def _place(buffers: Sequence[Lifetime]) -> dict[str, int]:
    """Offsets when `buffers` are placed one by one, each in the smallest gap it fits."""
    placed: list[tuple[int, Lifetime]] = []
    for buffer in buffers:
        need = align(buffer.bytes)
        neighbours = sorted(
            ((offset, other) for offset, other in placed if other.overlaps(buffer)),
            key=lambda entry: entry[0],
        )
        best, smallest, end = None, None, 0
        for offset, other in neighbours:
            gap = offset - end
            if gap >= need and (smallest is None or gap < smallest):
                best, smallest = end, gap
            end = max(end, offset + align(other.bytes))
        placed.append((end if best is None else best, buffer))
    return {buffer.name: offset for offset, buffer in placed}


def plan_memory(buffers: Sequence[Lifetime]) -> MemoryPlan:
    """The smallest placement found; the same for the same buffers in the same order."""
    sizes = {buffer.name: align(buffer.bytes) for buffer in buffers}

    def extent(offsets: dict[str, int]) -> int:
        return max((offset + sizes[name] for name, offset in offsets.items()), default=0)

    candidates = [_place(sorted(buffers, key=order)) for order in _ORDERS]
    offsets = min(candidates, key=extent)
    records = tuple(
        BufferRecord(b.name, offsets[b.name], b.bytes, b.first, b.last) for b in buffers
    )
    return MemoryPlan(extent(offsets), ALIGNMENT, records)
