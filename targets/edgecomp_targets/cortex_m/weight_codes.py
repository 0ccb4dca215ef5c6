"""Weights in fewer bytes: palettes, or a bit for each and the bytes of those that are not zero.

What a layer's kernel reads is made of them by a call of its own before it; see `edgecomp_unpack.h`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp_targets.cortex_m.weight_order import UNIT, WeightOrder

PALETTE_BITS = (1, 2, 3, 4, 5, 6)
"""Of an index, for which there are functions."""
MASK_BITS = 32
_READ_AT_ONCE = 4
"""Bytes of codes, at least."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Coded:
    """A constant in fewer bytes.

    Attributes:
        function: the C function that gives the constant of `arrays`, in their order.
        arrays: by a word that says what they are.
        words: how the weights are stored, as `Call.weights` says.
    """

    function: str
    arrays: dict[str, Array]
    words: str

    @property
    def bytes(self) -> int:
        """Of all arrays."""
        return sum(array.nbytes for array in self.arrays.values())


def smallest(constant: Array, order: WeightOrder) -> Coded | None:
    """The coding of `constant` that takes the fewest bytes; None where each takes more than it."""
    if not order.fits(constant):
        return None
    found = [*_palettes(constant, order), _sparse(constant, order)]
    least = min(found, key=lambda coded: coded.bytes)
    return least if least.bytes < constant.nbytes else None


def _palettes(constant: Array, order: WeightOrder) -> Iterator[Coded]:
    """One table for all weights, and one for each filter, where so few values do."""
    weights = order.weights_of(constant)
    blocks, _, lanes, _ = weights.shape
    own = weights.transpose(0, 2, 1, 3).reshape(blocks * lanes, -1)
    if order.pairs:
        own = np.stack([own[:, 0::2], own[:, 1::2]], axis=1).reshape(2 * blocks * lanes, -1)
    for rows in (weights.reshape(1, -1), own):
        tables = [np.unique(row) for row in rows]
        most = max(map(len, tables))
        bits = next((bits for bits in PALETTE_BITS if most <= 1 << bits), None)
        if bits is not None:
            yield _palette(constant, order, tables, bits)


def _palette(
    constant: Array, order: WeightOrder, tables: list[npt.NDArray[np.int8]], bits: int
) -> Coded:
    """`tables` are one for all weights, or one for each filter in the order of the lanes."""
    weights = order.weights_of(constant)
    blocks, _, lanes, _ = weights.shape
    size = 1 << bits
    turns = 2 if order.pairs else 1
    shared = len(tables) == 1
    codes = np.empty(weights.shape, np.uint8)
    for block in range(blocks):
        for lane in range(lanes):
            for turn in range(turns):
                table = tables[0 if shared else (block * lanes + lane) * turns + turn]
                part = (block, slice(None), lane, slice(turn, None, turns))
                codes[part] = np.searchsorted(table, weights[part])
    filled = [np.pad(table, (0, size - len(table)), mode="edge") for table in tables]
    fields = [blocks, lanes, order.run, *((0, 0) if shared else (turns * size, (turns - 1) * size))]
    parts = [number for part in order.parts for number in part]
    geometry = [*fields, len(order.parts), *parts]
    most = max(map(len, tables))
    kind = "pairs" if order.pairs else "bytes"
    return Coded(
        f"ec_unpack_{kind}_{bits}",
        {
            "codes": _in_bits(codes, bits),
            "tables": np.concatenate(filled),
            "geometry": np.concatenate([np.array(geometry, np.int32), order.words_of(constant)]),
        },
        f"palette of {most} values" if shared else f"palettes of {most} values",
    )


def _in_bits(codes: npt.NDArray[np.uint8], bits: int) -> npt.NDArray[np.uint8]:
    """Numbers of `bits` bits one after the other, from the lowest bit of the first byte on."""
    each = codes.reshape(-1, 1) >> np.arange(bits, dtype=np.uint8) & 1
    packed = np.packbits(each.reshape(-1), bitorder="little")
    return np.pad(packed, (0, max(0, _READ_AT_ONCE - bits)))


def _sparse(constant: Array, order: WeightOrder) -> Coded:
    content = order.bytes_of(constant)
    kept = content != order.zero
    mask = np.pad(kept, (0, -len(kept) % MASK_BITS))
    words = np.packbits(mask, bitorder="little").view("<u4").astype(np.uint32)
    kind = "pairs" if order.pairs else "bytes"
    percent = 100 * np.mean(order.weights_of(constant) != order.zero)
    return Coded(
        f"ec_unpack_sparse_{kind}",
        {
            "mask": words,
            "values": content[kept] if kept.any() else np.zeros(1, np.int8),
            "geometry": np.array([len(content), order.zero], np.int32),
        },
        f"sparse, {percent:.0f} % of the weights",
    )


assert UNIT == 8, "indices of a unit are so many bytes as an index has bits"
