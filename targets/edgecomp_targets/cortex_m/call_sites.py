"""Make a program's calls of its kernels go through the bench firmware, in the linked image.

Where code lies in flash, the firmware cannot write into functions to time them; so each call in
`SYMBOL_run` becomes one of the firmware's `on_entry`, and the table `bench_calls` says which
function was meant. Nothing else of the program changes: every instruction timed is its own.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from edgecomp_runtime.elf import Elf, Symbol, read_elf
from edgecomp_runtime.engines.instructions import kernel_symbols

_PROGRAM_HEADERS, _HEADER_SIZE = 28, 32
"""Offset of e_phoff in a 32-bit ELF file, and bytes of a program header: System V ABI, 4 and 5."""


def divert_calls(image: bytes, symbol: str, kernels: Sequence[str]) -> bytes:
    """`image` with the calls of `kernels` diverted, or as it is if not each of them is found.

    Args:
        image: bench firmware, an ELF file.
        symbol: prefix of the program's C names.
        kernels: the functions it calls, in order.
    """
    elf = read_elf(image)
    meant = [kernel.address for kernel in kernel_symbols(elf, symbol, kernels)]
    sites = list(_calls(elf, elf.symbol(f"{symbol}_run"), set(meant)))
    if not meant or [target for _, target, _ in sites] != meant:
        return image
    door, table = elf.symbol("on_entry"), elf.symbol("bench_calls")
    patched = bytearray(image)
    for address, _, links in sites:
        offset = _file_offset(image, address)
        patched[offset : offset + 4] = _branch(door.address - (address + 4), links)
    offset = _file_offset(image, table.address)
    patched[offset : offset + 4 * len(meant)] = struct.pack(f"<{len(meant)}I", *meant)
    return bytes(patched)


def _calls(elf: Elf, function: Symbol, targets: set[int]) -> Iterator[tuple[int, int, bool]]:
    """Address, target and kind (a call, or a jump at the end) of branches to one of `targets`."""
    code = elf.read(function.address, function.bytes)
    position = 0
    while position + 4 <= len(code):
        first, second = struct.unpack_from("<HH", code, position)
        address = function.address + position
        if first >> 11 == 0b11110 and second & 0x9000 == 0x9000:
            target = address + 4 + _offset(first, second)
            if target in targets:
                yield address, target, bool(second & 0x4000)
        position += 4 if first >> 11 in (0b11101, 0b11110, 0b11111) else 2


def _offset(first: int, second: int) -> int:
    """Of B.W, encoding T4, or BL: Arm DDI 0403E, A7.7.12 and A7.7.18."""
    sign = first >> 10 & 1
    i1, i2 = 1 ^ (second >> 13 & 1) ^ sign, 1 ^ (second >> 11 & 1) ^ sign
    value = i1 << 23 | i2 << 22 | (first & 0x3FF) << 12 | (second & 0x7FF) << 1
    return value - (sign << 24)


def _branch(offset: int, links: bool) -> bytes:
    """The instruction that `_offset` reads."""
    sign = int(offset < 0)
    j1, j2 = 1 ^ (offset >> 23 & 1) ^ sign, 1 ^ (offset >> 22 & 1) ^ sign
    first = 0xF000 | sign << 10 | (offset >> 12 & 0x3FF)
    second = 0x9000 | links << 14 | j1 << 13 | j2 << 11 | (offset >> 1 & 0x7FF)
    return struct.pack("<HH", first, second)


def _file_offset(image: bytes, address: int) -> int:
    """Where the byte loaded at `address` is in the file."""
    (start,) = struct.unpack_from("<I", image, _PROGRAM_HEADERS)
    (count,) = struct.unpack_from("<H", image, 44)
    for index in range(count):
        header = struct.unpack_from("<8I", image, start + index * _HEADER_SIZE)
        _, offset, virtual, _, size, *_ = header
        if virtual <= address < virtual + size:
            return int(offset + address - virtual)
    raise ValueError(f"the image has nothing at {address:#x}")
