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
"""More buffers are placed greedily only."""


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
    later: dict[str, list[tuple[str, Sharing]]] = {}
    for (newer, older), sharing in sharings.items():
        later.setdefault(newer, []).append((older, sharing))
    most = 0
    alive: dict[str, Lifetime] = {}
    for buffer in sorted(buffers, key=lambda b: b.first):
        alive = {name: b for name, b in alive.items() if b.last >= buffer.first}
        alive[buffer.name] = buffer
        most = max(most, sum(_own_bytes(b, alive, later) for b in alive.values()))
    return most


def _own_bytes(
    buffer: Lifetime,
    alive: Mapping[str, Lifetime],
    sharings: Mapping[str, Sequence[tuple[str, Sharing]]],
) -> int:
    """Bytes of `buffer` that it shares with no older one, at least."""
    size = align(buffer.bytes)
    shared = 0
    for older, sharing in sharings.get(buffer.name, ()):
        if older in alive:
            apart = 0 if sharing.in_place else align(sharing.distance)
            shared += max(0, min(size - apart, align(alive[older].bytes)))
    return size - min(size, shared)


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
    for some in (_crowded(buffers, bound), range(len(buffers))):
        if blocks.extent(best) > bound and len(some) <= SEARCHED_BUFFERS:
            best = search(blocks, some, bound, blocks.extent(best)) or best
    return best


def _crowded(buffers: Sequence[Lifetime], bound: int) -> list[int]:
    """The buffers of calls that need more than `bound` bytes if none are shared."""
    found: set[int] = set()
    alive: list[int] = []
    for i in sorted(range(len(buffers)), key=lambda i: buffers[i].first):
        alive = [*(j for j in alive if buffers[j].last >= buffers[i].first), i]
        if sum(align(buffers[j].bytes) for j in alive) > bound:
            found.update(alive)
    return sorted(found)


def _blocks(buffers: Sequence[Lifetime], sharings: Sharings) -> Blocks:
    """The buffers as the placement sees them: sizes, and for each the gaps it may not leave."""
    sizes = [align(buffer.bytes) for buffer in buffers]
    conflicts: list[list[tuple[int, int, int, bool]]] = [[] for _ in buffers]
    alive: list[int] = []
    for i in sorted(range(len(buffers)), key=lambda i: buffers[i].first):
        alive = [j for j in alive if buffers[j].last >= buffers[i].first]
        for j in alive:
            below, above, in_place = -sizes[i], sizes[j], False
            newer = sharings.get((buffers[i].name, buffers[j].name))
            older = sharings.get((buffers[j].name, buffers[i].name))
            if newer is not None:
                below, in_place = -min(align(newer.distance), sizes[i]), newer.in_place
            elif older is not None:
                above, in_place = min(align(older.distance), sizes[j]), older.in_place
            conflicts[i].append((j, below, above, in_place))
            conflicts[j].append((i, -above, -below, in_place))
        alive.append(i)
    return Blocks(tuple(sizes), tuple(map(tuple, conflicts)))
