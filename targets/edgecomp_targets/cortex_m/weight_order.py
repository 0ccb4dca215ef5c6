"""Where each filter's weights lie in a constant that a kernel reads in an order of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

UNIT = 8
"""Weights that follow each other, at least."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class WeightOrder:
    """A constant is blocks of the same parts, one after the other.

    A part is words that are no weights, then groups of runs of weights: a run for each lane. A lane
    has the weights of one filter or, of pairs, of two filters that take turns; the next block has
    other filters.

    Attributes:
        parts: of a block: how many 32-bit words that are no weights, then how many groups.
        lanes: runs of a group.
        run: how many times `UNIT` weights a run has.
        pairs: weights are 16-bit numbers 256 * b + a of two filters, modulo 2^16: a carry of a is
            part of the high byte.
        zero: the byte that stands for a weight of 0, as int8; 0 of pairs.
    """

    parts: tuple[tuple[int, int], ...]
    lanes: int = 1
    run: int = 1
    pairs: bool = False
    zero: int = 0

    @property
    def group_bytes(self) -> int:
        """Bytes of a group."""
        return self.lanes * self.run * UNIT

    @property
    def block_bytes(self) -> int:
        """Bytes of a block."""
        return sum(4 * words + groups * self.group_bytes for words, groups in self.parts)

    def fits(self, constant: Array) -> bool:
        """Whether `constant` is whole blocks."""
        return constant.nbytes > 0 and constant.nbytes % self.block_bytes == 0

    def weights_of(self, constant: Array) -> npt.NDArray[np.int8]:
        """The weights: int8 [blocks, groups of a block, lanes, UNIT * run], carries undone."""
        blocks = self._blocks(constant)[:, ~self._is_word()]
        shape = (len(blocks), -1, self.lanes, self.run * UNIT)
        return self._without_carries(blocks.reshape(shape))

    def words_of(self, constant: Array) -> npt.NDArray[np.int32]:
        """What lies between the weights, in order."""
        words = np.ascontiguousarray(self._blocks(constant)[:, self._is_word()])
        return words.reshape(-1).view("<i4").astype(np.int32)

    def bytes_of(self, constant: Array) -> npt.NDArray[np.int8]:
        """All bytes, carries undone."""
        return self._without_carries(self._blocks(constant)).reshape(-1)

    def _blocks(self, constant: Array) -> npt.NDArray[np.int8]:
        little = np.ascontiguousarray(constant, constant.dtype.newbyteorder("<"))
        return little.reshape(-1).view(np.int8).reshape(-1, self.block_bytes)

    def _is_word(self) -> npt.NDArray[np.bool_]:
        """For each byte of a block, whether it is of a word that is no weight."""
        kinds = [(4 * words, groups * self.group_bytes) for words, groups in self.parts]
        flags = [np.repeat([True, False], kind) for kind in kinds]
        return np.concatenate(flags)

    def _without_carries(self, content: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        if not self.pairs:
            return content
        undone = content.astype(np.int16)
        undone[..., 1::2] += undone[..., 0::2] < 0
        return undone.astype(np.int8)
