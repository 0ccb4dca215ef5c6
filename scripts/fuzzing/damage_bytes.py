"""Damage done to any file without knowing its format."""

from __future__ import annotations

import random

INTERESTING_BYTES = (0, 1, 0x7F, 0x80, 0xFF)


def damage_bytes(content: bytes, choose: random.Random, other: bytes = b"") -> bytes:
    """`content` with one, two or four damages, such as flipped bits and parts of `other`."""
    damaged = bytearray(content)
    for _ in range(choose.choice((1, 1, 2, 4))):
        if damaged:
            choose.choice(_DAMAGES)(damaged, choose, other)
    return bytes(damaged)


def _flip_bit(content: bytearray, choose: random.Random, other: bytes) -> None:
    content[choose.randrange(len(content))] ^= 1 << choose.randrange(8)


def _set_byte(content: bytearray, choose: random.Random, other: bytes) -> None:
    content[choose.randrange(len(content))] = choose.choice(INTERESTING_BYTES)


def _flip_bit_near_an_end(content: bytearray, choose: random.Random, other: bytes) -> None:
    # the structure of a model is mostly in its first and last bytes, the weights between
    place = choose.randrange(min(len(content), 4096))
    content[place if choose.random() < 0.5 else -1 - place] ^= 1 << choose.randrange(8)


def _truncate(content: bytearray, choose: random.Random, other: bytes) -> None:
    del content[choose.randrange(len(content)) :]


def _cut_out(content: bytearray, choose: random.Random, other: bytes) -> None:
    start = choose.randrange(len(content))
    del content[start : start + choose.randint(1, 64)]


def _repeat(content: bytearray, choose: random.Random, other: bytes) -> None:
    start = choose.randrange(len(content))
    content[start:start] = content[start : start + choose.randint(1, 64)]


def _splice(content: bytearray, choose: random.Random, other: bytes) -> None:
    if other:
        start, source = choose.randrange(len(content)), choose.randrange(len(other))
        length = choose.randint(1, 256)
        content[start : start + length] = other[source : source + length]


_DAMAGES = (
    _flip_bit, _flip_bit, _flip_bit_near_an_end, _flip_bit_near_an_end, _set_byte, _truncate,
    _cut_out, _repeat, _splice,
)  # fmt: skip
