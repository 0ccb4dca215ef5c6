"""The order of calls, against every order there is."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecomp.lowering.lifetimes import accesses_of, sharing_of, tensor_lifetimes
from edgecomp.lowering.memory import live_bytes
from edgecomp.lowering.order import best_order
from edgecomp.lowering.planner import plan_program
from edgecomp.program import Call, Kernel, Overlap, Program, Tensor
from edgecomp_runtime.manifest import TensorSpec


def spec(tensor: Tensor) -> TensorSpec:
    return TensorSpec(tensor.name, tensor.shape, tensor.dtype)


def program_of(sizes: Sequence[int], operands: Sequence[Sequence[int]]) -> Program:
    """Tensor 0 is the input, call i makes tensor i + 1 from `operands[i]`, over the first of them
    where the sizes allow; tensors nobody reads are outputs."""
    tensors = [Tensor(f"t{i}", (size,), "int8") for i, size in enumerate(sizes)]
    kernels, calls = {}, []
    for i, read in enumerate(operands):
        overlaps = (Overlap(0, 0),) if sizes[i + 1] <= sizes[read[0]] else ()
        kernels[f"k{i}"] = Kernel(f"k{i}", "", None, overlaps=overlaps)
        names = (*(f"t{r}" for r in read), f"t{i + 1}")
        calls.append(Call(f"k{i}", names, f"call{i}", "op", "integer", 0))
    read_at_all = {r for read in operands for r in read}
    left = [spec(t) for i, t in enumerate(tensors) if i not in read_at_all]
    named = {tensor.name: tensor for tensor in tensors}
    return Program("p", "p", (spec(tensors[0]),), tuple(left), named, {}, kernels, tuple(calls))


@st.composite
def programs(draw: st.DrawFn) -> Program:
    count = draw(st.integers(1, 5))
    sizes = [16 * draw(st.integers(1, 40)) for _ in range(count + 1)]
    operands = [
        draw(st.lists(st.integers(0, i), min_size=1, max_size=2, unique=True)) for i in range(count)
    ]
    return program_of(sizes, operands)


def peak(program: Program, order: Sequence[int]) -> int:
    moved = replace(program, calls=tuple(program.calls[i] for i in order))
    accesses = accesses_of(moved)
    return live_bytes(tensor_lifetimes(accesses, len(order)), sharing_of(accesses))


def is_possible(program: Program, order: Sequence[int]) -> bool:
    made = {"t0"}
    for index in order:
        *read, written = program.calls[index].operands
        if not made.issuperset(read):
            return False
        made.add(written)
    return True


@settings(max_examples=40, deadline=None)
@given(programs())
def test_no_order_has_a_smaller_peak(program: Program) -> None:
    count = len(program.calls)
    best = best_order(program, [0] * count)
    assert is_possible(program, best)
    orders = [o for o in itertools.permutations(range(count)) if is_possible(program, o)]
    assert peak(program, best) == min(peak(program, order) for order in orders)


@settings(max_examples=40, deadline=None)
@given(programs())
def test_a_plan_takes_no_more_than_in_the_order_given(program: Program) -> None:
    scratch: dict[str, list[int]] = {name: [] for name in program.kernels}
    planned = plan_program(program, scratch)
    fixed = replace(
        program, kernels={n: replace(k, overlaps=()) for n, k in program.kernels.items()}
    )
    accesses = accesses_of(fixed)
    assert sorted(c.name for c in planned.calls) == sorted(c.name for c in program.calls)
    assert planned.memory.arena_bytes <= sum(t.bytes for t in program.tensors.values())
    assert planned.memory.arena_bytes <= plan_program(fixed, scratch).memory.arena_bytes
    assert sharing_of(accesses) == {}


def test_the_branch_that_leaves_less_is_made_last() -> None:
    # both branches from t0 grow; the first leaves 160 bytes, the second 16
    program = program_of([16, 1600, 160, 1600, 16, 16], [[0], [1], [0], [3], [2, 4]])
    assert best_order(program, [0] * 5) == [2, 3, 0, 1, 4]


def test_a_call_comes_after_those_that_read_what_it_overwrites() -> None:
    program = program_of([16, 1600, 16, 16], [[0], [1], [0]])
    state = replace(program, states={"t3": np.zeros(16, np.int8)})
    calls = list(state.calls)
    calls[1] = replace(calls[1], operands=("t1", "t3", "t2"))
    reading = replace(state, calls=tuple(calls))
    order = best_order(reading, [0, 0, 0])
    assert order.index(1) < order.index(2)
