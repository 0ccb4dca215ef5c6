"""Damage done to the fields of a flatbuffer: offsets, lengths, sizes and codes.

A flatbuffer's tables are found without its schema: a table begins with the signed distance back to
its vtable, which lists where in the table each field lies (FlatBuffers internals, "Tables").
"""

from __future__ import annotations

import collections
import functools
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass

WORDS = (
    0, 1, 2, 3, 4, 7, 8, 127, 128, 255, 256, 2**15, 2**16, 2**30, 2**31 - 4, 2**31 - 1, 2**31,
    2**32 - 4, 2**32 - 1,
)  # fmt: skip

MAX_TABLES = 2000


@dataclass(frozen=True)
class Field:
    """Where a field of a table lies, and how many bytes it has at most."""

    place: int
    size: int


def damage_tflite(content: bytes, choose: random.Random) -> bytes:
    """`content` with one, two or four fields of its tables changed."""
    damaged = bytearray(content)
    fields = _all_fields(content)
    for _ in range(choose.choice((1, 1, 2, 4))):
        if fields:
            _damage_field(damaged, choose.choice(fields), choose)
    return bytes(damaged)


def _damage_field(content: bytearray, field: Field, choose: random.Random) -> None:
    """Overwrite the field itself, or the length or an element of the vector it points to."""
    place = field.place
    if field.size >= 4 and choose.random() < 0.6:
        target = place + _word(content, place)
        if target + 4 <= len(content) and target > place:
            length = _word(content, target)
            element = choose.randrange(min(length, 64) + 1)
            place = min(target + 4 * element, len(content) - 4)
    if field.size < 4:
        content[place] = choose.choice((0, 1, 2, 127, 128, 255, choose.randrange(256)))
        return
    near = (_word(content, place) + choose.choice((-8, -4, -1, 1, 4, 8))) % 2**32
    words = (*WORDS, len(content), len(content) - place, near, near, near)
    struct.pack_into("<I", content, place, choose.choice(words))


@functools.lru_cache(maxsize=64)
def _all_fields(content: bytes) -> tuple[Field, ...]:
    return tuple(_fields(content))


def _fields(content: bytes) -> Iterator[Field]:
    """The fields of the tables reachable from the root, the nearest first.

    Numbers that look like offsets are followed too; most of them lead to no table.
    """
    waiting = collections.deque([_word(content, 0)] if len(content) >= 8 else [])
    seen, tables = set(waiting), 0
    while waiting and tables < MAX_TABLES:
        fields = _fields_of(content, waiting.popleft())
        tables += bool(fields)
        yield from fields
        for field in fields:
            if field.size >= 4:
                found = set(_tables_behind(content, field.place)) - seen
                seen |= found
                waiting.extend(sorted(found))


def _fields_of(content: bytes, table: int) -> list[Field]:
    """The fields of the table at `table`, none when there is no table."""
    if not 4 <= table <= len(content) - 4:
        return []
    vtable = table - struct.unpack_from("<i", content, table)[0]
    if not 0 <= vtable <= len(content) - 4:
        return []
    vtable_size, table_size = struct.unpack_from("<HH", content, vtable)
    if vtable_size % 2 or not 4 <= vtable_size <= 200 or vtable + vtable_size > len(content):
        return []
    if table_size < 4 or table + table_size > len(content):
        return []
    starts = struct.unpack_from(f"<{vtable_size // 2 - 2}H", content, vtable + 4)
    if any(start >= table_size for start in starts):
        return []
    places = sorted({start for start in starts if start})
    if not places:
        return []
    ends = [*places, table_size][1:]
    return [Field(table + start, end - start) for start, end in zip(places, ends, strict=True)]


def _tables_behind(content: bytes, place: int) -> Iterator[int]:
    """What may be tables behind an offset: its target, and the targets of a vector of offsets."""
    if place + 4 > len(content):
        return
    target = place + _word(content, place)
    if place < target <= len(content) - 4:
        yield target
        for index in range(min(_word(content, target), 500)):
            element = target + 4 + 4 * index
            if element + 4 > len(content):
                return
            yield element + _word(content, element)


def _word(content: bytes | bytearray, place: int) -> int:
    return int(struct.unpack_from("<I", content, place)[0]) if place + 4 <= len(content) else 0
