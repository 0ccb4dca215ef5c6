"""Functions of our own domain by C functions of ours: LSTMs over a sequence, SVDFs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import te, tirx

Typed = tuple[tuple[int, ...], str]
"""Shape and element type."""

_ABSENT = 0
"""What C takes for a null pointer."""


def c_call(
    function: str,
    operands: Sequence[Typed | None],
    results: Sequence[Typed],
    scratch: Sequence[Typed],
) -> Any:
    """TIR that calls the C `function` with what it reads, writes, and computes in.

    Args:
        operands: in the order of the function; None for what the node does without.
    """
    present = [
        None if operand is None else te.placeholder(operand[0], operand[1], name=f"x{i}")
        for i, operand in enumerate(operands)
    ]
    given = [tensor for tensor in present if tensor is not None]

    def call(sources: Any, targets: Any) -> Any:
        pointers = iter(source.data for source in sources)
        passed = [_ABSENT if tensor is None else next(pointers) for tensor in present]
        return tirx.call_extern("void", function, *passed, *(t.data for t in targets))

    shapes, dtypes = zip(*results, *scratch, strict=True)
    made = te.extern(list(shapes), given, call, name="out", dtype=list(dtypes))
    return te.create_prim_func([*given, *made[: len(results)]])
