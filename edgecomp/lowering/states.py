"""State of streaming models: what one inference leaves for the next.

The model reads a state as an input of its graph and gives the next one as an output. The program
keeps it in a buffer of its own beside the arena: it writes the next state over the last one, by the
call that computes it where nothing needs the last one any more, else by a copy at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from edgecomp.model import State
from edgecomp.program import Call


def carry_states(
    states: Sequence[State], calls: Sequence[Call], copy: Callable[[str, str], Call]
) -> list[Call]:
    """`calls` that leave the next states where the last ones were.

    Args:
        states: names of the tensors that hold each state before and after; the latter are no
            other state's tensors.
        calls: the program's.
        copy: makes a call that copies a tensor onto another.
    """
    result = list(calls)
    copies = []
    for state in states:
        if _may_overwrite(state, result):
            result = [_renamed(call, state.output, state.input) for call in result]
        else:
            copies.append(copy(state.output, state.input))
    return result + copies


def _may_overwrite(state: State, calls: Sequence[Call]) -> bool:
    """Whether the last state is read for the last time before the next one is written."""
    written = [i for i, call in enumerate(calls) if call.operands[-1] == state.output]
    read = [i for i, call in enumerate(calls) if state.input in call.operands]
    return len(written) == 1 and all(i < written[0] for i in read)


def _renamed(call: Call, old: str, new: str) -> Call:
    operands = tuple(new if name == old else name for name in call.operands)
    return replace(call, operands=operands)
