import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from edgecomp.lowering.memory import (
    ALIGNMENT,
    Lifetime,
    Sharing,
    align,
    live_bytes,
    plan_memory,
)
from edgecomp_runtime.manifest import BufferRecord

Sharings = dict[tuple[str, str], Sharing]


@st.composite
def lifetimes(draw: st.DrawFn, most: int = 20) -> list[Lifetime]:
    calls = draw(st.integers(1, 12))
    buffers = []
    for index in range(draw(st.integers(0, most))):
        first = draw(st.integers(0, calls - 1))
        last = draw(st.integers(first, calls - 1))
        buffers.append(Lifetime(f"b{index}", draw(st.integers(1, 5000)), first, last))
    return buffers


@st.composite
def shared(draw: st.DrawFn) -> tuple[list[Lifetime], Sharings]:
    """Buffers, some of which may lie over one that is last needed when they are first."""
    buffers = draw(lifetimes(most=12))
    sharings = {}
    for newer, older in itertools.permutations(buffers, 2):
        if older.last == newer.first and older.first < newer.first and draw(st.booleans()):
            distance = draw(st.integers(0, newer.bytes))
            sharings[newer.name, older.name] = Sharing(distance, draw(st.booleans()))
    return buffers, sharings


def is_apart(a: BufferRecord, b: BufferRecord) -> bool:
    return a.offset + a.bytes <= b.offset or b.offset + b.bytes <= a.offset


def is_shared(newer: BufferRecord, older: BufferRecord, sharings: Sharings) -> bool:
    sharing = sharings.get((newer.name, older.name))
    if sharing is None:
        return False
    apart = older.offset - newer.offset
    return apart >= sharing.distance or (sharing.in_place and apart == 0)


@settings(deadline=None)
@given(shared())
def test_buffers_needed_at_once_share_only_what_they_may(
    drawn: tuple[list[Lifetime], Sharings],
) -> None:
    buffers, sharings = drawn
    plan = plan_memory(buffers, sharings)
    for a, b in itertools.combinations(plan.buffers, 2):
        together = a.first <= b.last and b.first <= a.last
        allowed = is_shared(a, b, sharings) or is_shared(b, a, sharings)
        assert is_apart(a, b) or allowed or not together
    for record in plan.buffers:
        assert record.offset % ALIGNMENT == 0
        assert record.offset + record.bytes <= plan.arena_bytes


@settings(deadline=None)
@given(shared())
def test_arena_is_between_the_bound_and_that_of_buffers_kept_apart(
    drawn: tuple[list[Lifetime], Sharings],
) -> None:
    buffers, sharings = drawn
    plan, apart = plan_memory(buffers, sharings), plan_memory(buffers)
    assert live_bytes(buffers, sharings) <= plan.arena_bytes
    assert plan.arena_bytes <= plan_memory(buffers, thorough=False).arena_bytes
    assert apart.arena_bytes <= sum(align(b.bytes) for b in buffers)
    assert plan_memory(buffers, sharings) == plan


def smallest(buffers: list[Lifetime]) -> int:
    """The best arena: every order, each buffer as low as it goes."""
    best = None
    for order in itertools.permutations(buffers):
        placed: list[tuple[int, Lifetime]] = []
        for buffer in order:
            near = [(at, at + align(b.bytes)) for at, b in placed if b.overlaps(buffer)]
            starts = sorted([0, *(end for _, end in near)])
            size = align(buffer.bytes)
            at = next(s for s in starts if all(s + size <= lo or s >= hi for lo, hi in near))
            placed.append((at, buffer))
        end = max((at + align(b.bytes) for at, b in placed), default=0)
        best = end if best is None else min(best, end)
    assert best is not None
    return best


@settings(max_examples=40, deadline=None)
@given(lifetimes(most=6))
def test_few_buffers_are_placed_as_well_as_can_be(buffers: list[Lifetime]) -> None:
    assert plan_memory(buffers).arena_bytes == smallest(buffers)


def test_a_chain_needs_its_two_largest_neighbours() -> None:
    sizes = [100, 4000, 3000, 50, 2000]
    chain = [Lifetime(str(i), size, max(i - 1, 0), i) for i, size in enumerate(sizes)]
    assert plan_memory(chain).arena_bytes == align(4000) + align(3000)


def test_what_is_written_row_by_row_lies_a_row_before_what_is_read() -> None:
    chain = [Lifetime(str(i), 4096, max(i - 1, 0), i) for i in range(6)]
    sharings = {(str(i), str(i - 1)): Sharing(64) for i in range(1, 6)}
    plan = plan_memory(chain, sharings)
    assert plan.arena_bytes == 4096 + 5 * 64


def test_in_place_takes_no_room() -> None:
    chain = [Lifetime(str(i), 4096, max(i - 1, 0), i) for i in range(6)]
    sharings = {(str(i), str(i - 1)): Sharing(4096, in_place=True) for i in range(1, 6)}
    assert plan_memory(chain, sharings).arena_bytes == 4096
