"""Counts instructions of an emulated run by basic blocks, in total and for each operator."""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Mapping, Sequence

from edgecomp_runtime.elf import Elf, Symbol

Blocks = Mapping[tuple[int, int], int]  # (address, bytes) of a block: how often it was entered

# The first halfword of a 32-bit Thumb instruction has one of these in its top five bits.
# Arm DDI 0403E, A5.1.
_WIDE_THUMB = (0b11101, 0b11110, 0b11111)


def kernel_symbols(elf: Elf, symbol: str, kernels: Sequence[str]) -> tuple[Symbol, ...]:
    """The function of each of `kernels`, in order; empty when the image lacks one.

    A compiler may call its copy of a function `NAME.something`.
    """
    functions = {s.name.partition(".")[0]: s for s in elf.symbols if s.kind == "func" and s.defined}
    found = [functions.get(f"{symbol}_{kernel}") for kernel in kernels]
    return tuple(s for s in found if s is not None) if all(found) else ()


class InstructionSizes:
    """How many instructions there are in a range of an image's code.

    Args:
        elf: the image; addresses are as linked.
        always_thumb: whether the processor knows Thumb code only.
    """

    def __init__(self, elf: Elf, always_thumb: bool) -> None:
        self._elf = elf
        # mapping symbols of AAELF32, 5.5.5, say where Thumb and Arm code begins
        marks = sorted(
            (s.address, s.name[:2] == "$t") for s in elf.symbols if s.name[:2] in ("$t", "$a")
        )
        self._starts = [address for address, _ in marks]
        self._thumb = [thumb for _, thumb in marks]
        self._always_thumb = always_thumb

    def _is_thumb(self, address: int) -> bool:
        if self._always_thumb or not self._starts:
            return self._always_thumb
        return self._thumb[bisect.bisect_right(self._starts, address) - 1]

    def count(self, address: int, size: int) -> int:
        """Instructions in the `size` bytes of code at `address`."""
        if not self._is_thumb(address):
            return size // 4
        code = self._elf.read(address, size)
        instructions = position = 0
        while position < size:
            position += 4 if code[position + 1] >> 3 in _WIDE_THUMB else 2
            instructions += 1
        return instructions


class OpTracker:
    """Collects the blocks of a run apart for each operator.

    The program calls one kernel for each operator, in order. An operator begins when its kernel is
    entered and ends when control is back in the program's own function; so support routines such
    as memcpy belong to the operator that called them.
    """

    def __init__(self, kernels: Sequence[Symbol]) -> None:
        self._entries = [kernel.address for kernel in kernels]
        self._between: defaultdict[tuple[int, int], int] = defaultdict(int)
        self._inside = False
        self.ops: list[defaultdict[tuple[int, int], int]] = []
        self.current = self._between

    def in_program(self) -> None:
        """Control is in the program's own function."""
        self._inside = False
        self.current = self._between

    def at_entry(self, address: int) -> None:
        """Control is at the first instruction of a kernel: called, or looping back to it."""
        index = len(self.ops)
        if self._inside or index >= len(self._entries) or self._entries[index] != address:
            return
        self._inside = True
        self.current = defaultdict(int)
        self.ops.append(self.current)

    def totals(self, sizes: InstructionSizes) -> tuple[int, tuple[int, ...]]:
        """Instructions of the whole run, and of each operator (empty if not all were seen)."""
        cache: dict[tuple[int, int], int] = {}

        def total(blocks: Blocks) -> int:
            for block in blocks:
                if block not in cache:
                    cache[block] = sizes.count(*block)
            return sum(cache[block] * entered for block, entered in blocks.items())

        per_op = tuple(total(blocks) for blocks in self.ops)
        complete = len(per_op) == len(self._entries)
        return total(self._between) + sum(per_op), per_op if complete else ()
