from hypothesis import given
from hypothesis import strategies as st

from edgecomp.lowering.memory import ALIGNMENT, Lifetime, align, live_bytes, plan_memory


@st.composite
def lifetimes(draw: st.DrawFn) -> list[Lifetime]:
    calls = draw(st.integers(1, 12))
    buffers = []
    for index in range(draw(st.integers(0, 20))):
        first = draw(st.integers(0, calls - 1))
        last = draw(st.integers(first, calls - 1))
        buffers.append(Lifetime(f"b{index}", draw(st.integers(1, 5000)), first, last))
    return buffers


@given(lifetimes())
def test_no_two_buffers_alive_at_once_share_a_byte(buffers: list[Lifetime]) -> None:
    plan = plan_memory(buffers)
    records = plan.buffers
    for index, a in enumerate(records):
        assert a.offset % ALIGNMENT == 0
        assert a.offset + a.bytes <= plan.arena_bytes
        for b in records[index + 1 :]:
            together = a.first <= b.last and b.first <= a.last
            apart = a.offset + a.bytes <= b.offset or b.offset + b.bytes <= a.offset
            assert apart or not together


@given(lifetimes())
def test_arena_is_between_the_live_bytes_and_the_sum(buffers: list[Lifetime]) -> None:
    plan = plan_memory(buffers)
    assert live_bytes(buffers) <= plan.arena_bytes <= sum(align(b.bytes) for b in buffers)
    assert plan_memory(buffers) == plan


def test_a_chain_needs_its_two_largest_neighbours() -> None:
    sizes = [100, 4000, 3000, 50, 2000]
    chain = [Lifetime(str(i), size, max(i - 1, 0), i) for i, size in enumerate(sizes)]
    assert plan_memory(chain).arena_bytes == align(4000) + align(3000)
