"""Offsets for blocks of which some must keep apart: greedy, and by branch and bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

NODE_LIMIT = 3_000
"""Placements the search tries: a count, not a time, so that every machine finds the same."""
IMPROVEMENTS = 60
"""Orders tried one after the other."""
NOTHING: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True)
class Blocks:
    """What to place.

    Attributes:
        sizes: of the blocks, in bytes.
        conflicts: for each block `(other, below, above, in_place)`: it may not begin more than
            `below` (negative) and less than `above` bytes after the other begins; or, where
            `in_place`, at the same byte after all.
    """

    sizes: tuple[int, ...]
    conflicts: tuple[tuple[tuple[int, int, int, bool], ...], ...]

    def extent(self, offsets: Mapping[int, int]) -> int:
        """Where the last of the placed blocks ends."""
        return max((offset + self.sizes[i] for i, offset in offsets.items()), default=0)

    def free(self, block: int, offsets: Mapping[int, int]) -> list[tuple[int, int | None]]:
        """Where `block` may begin among the placed ones, lowest first, and the room up to the next.

        Gives the lowest offset of every range it may begin in, and the length of that range; None
        of the last, which has no end.
        """
        taken: list[tuple[int, int]] = []
        for other, below, above, in_place in self.conflicts[block]:
            if other not in offsets:
                continue
            at = offsets[other]
            if in_place and below < 0 < above:
                taken += [(at + below, at), (at, at + above)]
            elif below < above:
                taken.append((at + below, at + above))
        taken.sort()
        ranges: list[tuple[int, int | None]] = []
        lowest = 0
        for low, high in taken:
            if low >= lowest:
                ranges.append((lowest, low - lowest))
            lowest = max(lowest, high)
        ranges.append((lowest, None))
        return ranges


def place(
    blocks: Blocks, order: Sequence[int], tight: bool, placed: Mapping[int, int] = NOTHING
) -> dict[int, int]:
    """Offsets when blocks join those `placed` in `order`.

    Args:
        blocks: what to place.
        order: the blocks not placed yet.
        tight: each goes into the tightest gap, not the lowest.
        placed: offsets known already.
    """
    offsets = dict(placed)
    for block in order:
        ranges = blocks.free(block, offsets)
        if tight:
            closed = [entry for entry in ranges if entry[1] is not None]
            offsets[block] = min(closed, key=lambda r: (r[1] or 0, r[0]), default=ranges[-1])[0]
        else:
            offsets[block] = ranges[0][0]
    return offsets


def improve(blocks: Blocks, order: Sequence[int], bound: int, extent: int) -> dict[int, int] | None:
    """Offsets that end before `extent`; None if none are found.

    Again and again the blocks that end highest are placed before all others.
    """
    best: dict[int, int] | None = None
    order = list(order)
    for turn in range(IMPROVEMENTS):
        offsets = place(blocks, order, tight=turn % 2 == 0)
        end = blocks.extent(offsets)
        if end < extent:
            best, extent = offsets, end
        if extent <= bound:
            break
        highest = [i for i in order if offsets[i] + blocks.sizes[i] == end]
        order = highest + [i for i in order if i not in highest]
    return best


def search(
    blocks: Blocks, crowded: Sequence[int], bound: int, extent: int
) -> dict[int, int] | None:
    """Offsets that end before `extent`, as near `bound` as found; None if there are none.

    The `crowded` blocks are placed from low to high offsets, each as low as it goes: some best
    placement comes about so, since blocks that are pushed down stay apart. The others then go where
    there is room. Given up after `NODE_LIMIT` placements.
    """
    best: dict[int, int] | None = None
    others = sorted(set(range(len(blocks.sizes))) - set(crowded), key=lambda i: -blocks.sizes[i])
    nodes = 0
    stack: list[tuple[dict[int, int], int]] = [({}, 0)]
    while stack and nodes < NODE_LIMIT and extent > bound:
        offsets, floor = stack.pop()
        nodes += 1
        choices = _choices(blocks, crowded, offsets, floor, extent)
        if choices is None:
            continue
        if not choices:
            whole = place(blocks, others, True, offsets)
            if blocks.extent(whole) < extent:
                best, extent = whole, blocks.extent(whole)
            continue
        # a block that leaves room for another below it is placed after that one
        reach = min(at + blocks.sizes[i] for at, i in choices)
        for at, i in sorted(choices, key=lambda c: (-c[0], blocks.sizes[c[1]])):
            if at < reach or at == choices[0][0]:
                stack.append(({**offsets, i: at}, at))
    return best


def _choices(
    blocks: Blocks,
    crowded: Sequence[int],
    offsets: Mapping[int, int],
    floor: int,
    extent: int,
) -> list[tuple[int, int]] | None:
    """Where each block left can go at `floor` or above, lowest first; None if one ends too high."""
    choices = []
    for i in crowded:
        if i in offsets:
            continue
        at = next(
            max(low, floor)
            for low, room in blocks.free(i, offsets)
            if room is None or low + room >= floor
        )
        if at + blocks.sizes[i] >= extent:
            return None
        choices.append((at, i))
    return sorted(choices)
