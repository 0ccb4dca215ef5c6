"""Place buffers with known lifetimes in one arena.

Two buffers may share bytes when no call needs both, or where the calls that do allow it. The
placement is greedy, after Y. Pisarchyk and J. Lee, "Efficient Memory Management for Deep Neural
Net Inference" (2020), tried in several orders; where the smallest result is above the bound, a
branch and bound search looks for a better one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from edgecomp.lowering.placement import Blocks, improve, place, search
from edgecomp.program import MemoryPlan
from edgecomp_runtime.manifest import BufferRecord

ALIGNMENT = 16
SEARCHED_BUFFERS = 64
"""Programs of more buffers keep the greedy placement."""


@dataclass(frozen=True)
class Lifetime:
    """A buffer to place: its size in bytes and the first and last call that need it.

    Attributes:
        complete: the call that writes its last byte.
    """

    name: str
    bytes: int
    first: int
    last: int
    complete: int | None = None

    def overlaps(self, other: Lifetime) -> bool:
        """Whether some call needs both."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Sharing:
    """How a newer buffer may lie over an older one that is still needed.

    Attributes:
        distance: the older one begins so many bytes after the newer one, or more.
        in_place: or both begin at the same byte.
    """

    distance: int
    in_place: bool = False


Sharings = Mapping[tuple[str, str], Sharing]
"""By the names of the newer buffer and of the older."""
NOTHING: Sharings = MappingProxyType({})


def align(size: int) -> int:
    """`size` rounded up to the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def live_bytes(buffers: Sequence[Lifetime], sharings: Sharings = NOTHING) -> int:
    """The largest number of bytes that one call needs at once: no plan can be smaller."""
    calls = sorted({buffer.first for buffer in buffers})
    return max((_needed(buffers, sharings, call) for call in calls), default=0)


def _needed(buffers: Sequence[Lifetime], sharings: Sharings, call: int) -> int:
    alive = {b.name: align(b.bytes) for b in buffers if b.first <= call <= b.last}
    shared = dict.fromkeys(alive, 0)
    for (newer, older), sharing in sharings.items():
        if newer in alive and older in alive:
            apart = 0 if sharing.in_place else align(sharing.distance)
            shared[newer] += max(0, min(alive[newer] - apart, alive[older]))
    return sum(size - min(size, shared[name]) for name, size in alive.items())


_ORDERS: tuple[Callable[[Lifetime], tuple[int, ...]], ...] = (
    lambda b: (-b.bytes, b.first),
    lambda b: (-b.bytes * (b.last - b.first + 1), b.first),
    lambda b: (-(b.last - b.first), -b.bytes),
    lambda b: (b.first, -b.bytes),
    lambda b: (-b.last, -b.bytes),
)


def plan_memory(
    buffers: Sequence[Lifetime], sharings: Sharings = NOTHING, *, thorough: bool = True
) -> MemoryPlan:
    """The smallest placement found; the same for the same buffers in the same order.

    Args:
        buffers: what to place.
        sharings: which of them may share bytes although some call needs both.
        thorough: look for better than greedy placements.
    """
    placed = _place(buffers, sharings, thorough)
    records = tuple(
        BufferRecord(b.name, placed[i], b.bytes, b.first, b.last, b.complete)
        for i, b in enumerate(buffers)
    )
    end = max((record.offset + align(record.bytes) for record in records), default=0)
    return MemoryPlan(end, ALIGNMENT, records)


def _place(buffers: Sequence[Lifetime], sharings: Sharings, thorough: bool) -> dict[int, int]:
    bound = live_bytes(buffers, sharings)
    orders = [sorted(range(len(buffers)), key=lambda i: order(buffers[i])) for order in _ORDERS]
    blocks, apart = _blocks(buffers, sharings), _blocks(buffers, NOTHING)
    tries = [(b, o, tight) for b in (blocks, apart) for o in orders for tight in (True, False)]
    best: dict[int, int] | None = None
    for given, order, tight in tries:
        placed = place(given, order, tight)
        if best is None or blocks.extent(placed) < blocks.extent(best):
            best, chosen = placed, order
        if blocks.extent(best) == bound:
            return best
    assert best is not None, "there is an order"
    if not thorough:
        return best
    best = improve(blocks, chosen, bound, blocks.extent(best)) or best
    if blocks.extent(best) > bound and len(buffers) <= SEARCHED_BUFFERS:
        best = search(blocks, bound, blocks.extent(best)) or best
    return best


def _blocks(buffers: Sequence[Lifetime], sharings: Sharings) -> Blocks:
    """The buffers as the placement sees them: sizes, and for each the gaps it may not leave."""
    sizes = [align(buffer.bytes) for buffer in buffers]
    conflicts: list[list[tuple[int, int, int, bool]]] = [[] for _ in buffers]
    for i, a in enumerate(buffers):
        for j, b in enumerate(buffers[:i]):
            if not a.overlaps(b):
                continue
            below, above, in_place = -sizes[i], sizes[j], False
            if (a.name, b.name) in sharings:
                sharing = sharings[a.name, b.name]
                below, in_place = -min(align(sharing.distance), sizes[i]), sharing.in_place
            elif (b.name, a.name) in sharings:
                sharing = sharings[b.name, a.name]
                above, in_place = min(align(sharing.distance), sizes[j]), sharing.in_place
            conflicts[i].append((j, below, above, in_place))
            conflicts[j].append((i, -above, -below, in_place))
    return Blocks(tuple(sizes), tuple(map(tuple, conflicts)))
