"""Read little-endian ELF files, 32 and 64 bits: what an emulator needs to load a program.

Written from the System V ABI, chapters 4 and 5, and the Arm ELF supplements (AAELF32, AAELF64).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

MACHINES = {40: "arm", 183: "aarch64", 62: "x86_64", 3: "i386", 243: "riscv"}
SYMBOL_KINDS = {0: "notype", 1: "object", 2: "func", 3: "section", 4: "file", 6: "tls"}

_PT_LOAD, _PT_DYNAMIC = 1, 2
_SHT_SYMTAB, _SHT_RELA, _SHT_REL, _SHT_DYNSYM = 2, 4, 9, 11
_SHF_ALLOC = 2
_DT_NULL, _DT_NEEDED, _DT_STRTAB = 0, 1, 5


@dataclass(frozen=True)
class Segment:
    """A range of memory to load: `data`, then zeros up to `memory_bytes`."""

    address: int
    data: bytes
    memory_bytes: int
    readable: bool
    writable: bool
    executable: bool


@dataclass(frozen=True)
class Symbol:
    """A named address.

    Attributes:
        name: as in the file.
        address: without the Thumb bit.
        bytes: size, 0 when the file does not say.
        kind: a value of `SYMBOL_KINDS`, or "other".
        thumb: whether it is a function of Thumb code.
        defined: whether the file itself defines it.
        local: whether it is visible in its own source file only.
    """

    name: str
    address: int
    bytes: int
    kind: str
    thumb: bool
    defined: bool
    local: bool


@dataclass(frozen=True)
class Relocation:
    """A word to be patched at load time: at `address`, of the machine's relocation type `kind`.

    `addend` is None where it is stored in the word itself.
    """

    address: int
    kind: int
    symbol: str
    addend: int | None


@dataclass(frozen=True)
class Elf:
    """What a file holds. Addresses are as linked; `bits` is 32 or 64.

    `symbols` are those of .symtab, or of .dynsym in a stripped file; `undefined` names what
    another file would have to define; `needed` the shared libraries it asks for.
    """

    bits: int
    machine: str
    entry: int
    shared: bool
    segments: tuple[Segment, ...]
    symbols: tuple[Symbol, ...]
    undefined: tuple[str, ...]
    relocations: tuple[Relocation, ...]
    needed: tuple[str, ...]

    def symbol(self, name: str) -> Symbol:
        """The defined symbol called `name`.

        Raises:
            ValueError: there is none.
        """
        for symbol in self.symbols:
            if symbol.defined and symbol.name == name:
                return symbol
        raise ValueError(f"the program defines no symbol {name!r}")

    def read(self, address: int, size: int) -> bytes:
        """`size` initial bytes at a linked address.

        Raises:
            ValueError: they are not all in one segment.
        """
        for segment in self.segments:
            start = address - segment.address
            if start >= 0 and start + size <= segment.memory_bytes:
                return segment.data[start : start + size].ljust(size, b"\0")
        raise ValueError(f"the program has nothing at {address:#x}")


@dataclass(frozen=True)
class _Section:
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int


# struct formats of each class, in the field order of the 64-bit file where the two differ
_HEADER = {32: "<HHIIIIIHHHHHH", 64: "<HHIQQQIHHHHHH"}
_SEGMENT = {32: "<IIIIIIII", 64: "<IIQQQQQQ"}
_SECTION = {32: "<IIIIIIIIII", 64: "<IIQQQQIIQQ"}
_SYMBOL = {32: "<IIIBBH", 64: "<IBBHQQ"}
_REL = {32: "<II", 64: "<QQ"}
_RELA = {32: "<IIi", 64: "<QQq"}
_DYNAMIC = {32: "<iI", 64: "<qQ"}


class _Reader:
    """Decodes tables of one file; every access is checked."""

    def __init__(self, data: bytes) -> None:
        if data[:4] != b"\x7fELF":
            raise ValueError("this is not an ELF file")
        if len(data) < 20 or data[4] not in (1, 2) or data[5] != 1:
            raise ValueError("this ELF file is neither 32 nor 64 bits little-endian")
        self.data = data
        self.bits = 32 * data[4]
        self.header = self._unpack(_HEADER[self.bits], 16)
        self.sections = tuple(self._sections())

    def _unpack(self, layout: str, offset: int) -> tuple[int, ...]:
        if offset < 0 or offset + struct.calcsize(layout) > len(self.data):
            raise ValueError(f"the ELF file ends before byte {offset + struct.calcsize(layout)}")
        return struct.unpack_from(layout, self.data, offset)

    def slice(self, offset: int, size: int) -> bytes:
        if offset < 0 or offset + size > len(self.data):
            raise ValueError(f"the ELF file ends before byte {offset + size}")
        return self.data[offset : offset + size]

    def table(self, layout: str, offset: int, size: int) -> Iterator[tuple[int, ...]]:
        return struct.iter_unpack(layout, self.slice(offset, size - size % struct.calcsize(layout)))

    def text(self, table: bytes, offset: int) -> str:
        end = table.find(b"\0", offset)
        if offset >= len(table) or end < 0:
            raise ValueError("the ELF file has a name outside its string table")
        return table[offset:end].decode("utf-8", "replace")

    def _sections(self) -> Iterator[_Section]:
        offset, entry_bytes, count = self.header[5], self.header[10], self.header[11]
        for index in range(count if offset else 0):
            row = self._unpack(_SECTION[self.bits], offset + index * entry_bytes)
            yield _Section(row[1], row[2], row[3], row[4], row[5], row[6])

    def section(self, index: int) -> _Section:
        if not 0 <= index < len(self.sections):
            raise ValueError(f"the ELF file refers to section {index}, which it does not have")
        return self.sections[index]

    def program_headers(self) -> list[dict[str, int]]:
        offset, entry_bytes, count = self.header[4], self.header[8], self.header[9]
        names = {
            32: ("type", "offset", "address", "physical", "size", "memory", "flags", "align"),
            64: ("type", "flags", "offset", "address", "physical", "size", "memory", "align"),
        }[self.bits]
        rows = (
            self._unpack(_SEGMENT[self.bits], offset + index * entry_bytes)
            for index in range(count)
        )
        return [dict(zip(names, row)) for row in rows]

    def symbols(self, section: _Section) -> list[Symbol]:
        names = self.slice(self.section(section.link).offset, self.section(section.link).size)
        arm = self.header[1] == 40
        found = []
        for row in self.table(_SYMBOL[self.bits], section.offset, section.size):
            if self.bits == 64:
                name, info, _, index, address, size = row
            else:
                name, address, size, info, _, index = row
            kind = SYMBOL_KINDS.get(info & 15, "other")
            thumb = arm and kind == "func" and address % 2 == 1
            found.append(
                Symbol(
                    name=self.text(names, name),
                    address=address - 1 if thumb else address,
                    bytes=size,
                    kind=kind,
                    thumb=thumb,
                    defined=index != 0,
                    local=info >> 4 == 0,
                )
            )
        return found

    def relocations(self) -> Iterator[Relocation]:
        for section in self.sections:
            if section.kind not in (_SHT_REL, _SHT_RELA) or not section.flags & _SHF_ALLOC:
                continue
            linked = self.section(section.link) if section.link else None
            symbols = self.symbols(linked) if linked else []
            layout = (_RELA if section.kind == _SHT_RELA else _REL)[self.bits]
            for row in self.table(layout, section.offset, section.size):
                index = row[1] >> (32 if self.bits == 64 else 8)
                kind = row[1] & (0xFFFFFFFF if self.bits == 64 else 0xFF)
                if index and index >= len(symbols):
                    raise ValueError("the ELF file relocates by a symbol it does not have")
                yield Relocation(
                    address=row[0],
                    kind=kind,
                    symbol=symbols[index].name if index else "",
                    addend=row[2] if section.kind == _SHT_RELA else None,
                )

    def needed(self, segments: tuple[Segment, ...]) -> Iterator[str]:
        for header in self.program_headers():
            if header["type"] != _PT_DYNAMIC:
                continue
            entries = []
            for tag, value in self.table(_DYNAMIC[self.bits], header["offset"], header["size"]):
                if tag == _DT_NULL:
                    break
                entries.append((tag, value))
            address = dict(entries).get(_DT_STRTAB, -1)
            for segment in segments:
                if 0 <= address - segment.address < len(segment.data):
                    names = segment.data[address - segment.address :]
                    yield from (self.text(names, v) for tag, v in entries if tag == _DT_NEEDED)


def read_elf(data: bytes) -> Elf:
    """Decode an ELF file.

    Raises:
        ValueError: it is not ELF, not little-endian, or refers to bytes it does not have.
    """
    reader = _Reader(data)
    segments = tuple(
        Segment(
            address=header["address"],
            data=reader.slice(header["offset"], header["size"]),
            memory_bytes=max(header["memory"], header["size"]),
            readable=bool(header["flags"] & 4),
            writable=bool(header["flags"] & 2),
            executable=bool(header["flags"] & 1),
        )
        for header in reader.program_headers()
        if header["type"] == _PT_LOAD
    )
    tables = {
        kind: [
            s
            for section in reader.sections
            if section.kind == kind
            for s in reader.symbols(section)
        ]
        for kind in (_SHT_SYMTAB, _SHT_DYNSYM)
    }
    symbols = tables[_SHT_SYMTAB] or tables[_SHT_DYNSYM]
    every = tables[_SHT_SYMTAB] + tables[_SHT_DYNSYM]
    return Elf(
        bits=reader.bits,
        machine=MACHINES.get(reader.header[1], f"machine {reader.header[1]}"),
        entry=reader.header[3],
        shared=reader.header[0] == 3,
        segments=segments,
        symbols=tuple(symbol for symbol in symbols if symbol.name),
        undefined=tuple(sorted({s.name for s in every if s.name and not s.defined})),
        relocations=tuple(reader.relocations()),
        needed=tuple(reader.needed(segments)),
    )
