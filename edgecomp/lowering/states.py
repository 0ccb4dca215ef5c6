"""State of streaming models: what one inference leaves for the next.

The model reads a state as an input of its graph and gives the next one as an output. The program
keeps it in a buffer of its own beside the arena: it writes the next state over the last one, by the
call that computes it where nothing needs the last one any more, or that call alone and its
kernel may, else by a copy at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from edgecomp.model import State
from edgecomp.program import Call, Kernel


def carry_states(
    states: Sequence[State],
    calls: Sequence[Call],
    kernels: Mapping[str, Kernel],
    copy: Callable[[str, str], Call],
) -> list[Call]:
    """`calls` that leave the next states where the last ones were.

    Args:
        states: names of the tensors that hold each state before and after; the latter are no
            other state's tensors.
        calls: the program's.
        kernels: those they call, by name.
        copy: makes a call that copies a tensor onto another.
    """
    result = list(calls)
    copies = []
    for state in states:
        if _may_overwrite(state, result, kernels):
            result = [_renamed(call, state.output, state.input) for call in result]
        else:
            copies.append(copy(state.output, state.input))
    return result + copies


def _may_overwrite(state: State, calls: Sequence[Call], kernels: Mapping[str, Kernel]) -> bool:
    """Whether nothing reads the last state once the next one is written, but what writes it."""
    written = [i for i, call in enumerate(calls) if _writes(call, state.output, kernels)]
    read = [i for i, call in enumerate(calls) if state.input in call.operands]
    if len(written) != 1:
        return False
    last = calls[written[0]]
    pairs = [(last.operands[i], last.operands[j]) for i, j in kernels[last.kernel].carried]
    carries = (state.input, state.output) in pairs and last.operands.count(state.input) == 1
    return all(i < written[0] or (i == written[0] and carries) for i in read)


def _writes(call: Call, name: str, kernels: Mapping[str, Kernel]) -> bool:
    return name in call.operands[-kernels[call.kernel].outputs :]


def _renamed(call: Call, old: str, new: str) -> Call:
    operands = tuple(new if name == old else name for name in call.operands)
    return replace(call, operands=operands)
