"""The ELF reader against pyelftools, and on damaged files."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from edgecomp.toolchain import zig
from edgecomp_runtime.elf import Elf, read_elf

SOURCE = """
static const int table[4] = {1, 2, 3, 4};
const int *const pointer = table;
int elsewhere(int);
int putchar(int);
__attribute__((noinline)) static int inner(int x) { return elsewhere(x) + table[x & 3]; }
int outer(int x) { return inner(x) + pointer[x & 1] + putchar(x); }
"""
TARGETS = {
    "aarch64": "aarch64-linux-gnu.2.28",
    "arm": "arm-linux-gnueabihf.2.28",
    "x86_64": "x86_64-linux-gnu.2.28",
}


@pytest.fixture(scope="module", params=TARGETS)
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A shared library that needs libc and a function of another."""
    work = tmp_path_factory.mktemp("elf")
    (work / "a.c").write_text(SOURCE)
    options = ["-shared", "-fPIC", "-O1", "-g0"]
    zig(["cc", "-target", TARGETS[request.param], *options, "a.c", "-o", "a.so"], work)
    return (work / "a.so").read_bytes()


@pytest.fixture(scope="module")
def thumb(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A Thumb object."""
    work = tmp_path_factory.mktemp("elf")
    (work / "a.c").write_text(SOURCE)
    target = ["-target", "thumb-freestanding-eabi", "-mcpu=cortex_m3"]
    zig(["cc", *target, "-O1", "-g0", "-c", "a.c", "-o", "a.o"], work)
    return (work / "a.o").read_bytes()


def test_agrees_with_pyelftools(library: bytes) -> None:
    ours, theirs = read_elf(library), ELFFile(io.BytesIO(library))
    assert ours.bits == theirs.elfclass
    assert ours.entry == theirs.header.e_entry
    assert ours.shared
    loads = [s for s in theirs.iter_segments() if s.header.p_type == "PT_LOAD"]
    assert [s.data for s in ours.segments] == [s.data() for s in loads]
    assert [(s.address, s.memory_bytes) for s in ours.segments] == [
        (s.header.p_vaddr, s.header.p_memsz) for s in loads
    ]
    table = theirs.get_section_by_name(".symtab")
    assert isinstance(table, SymbolTableSection)
    assert [(s.name, s.address + s.thumb, s.bytes) for s in ours.symbols] == [
        (s.name, s.entry.st_value, s.entry.st_size) for s in table.iter_symbols() if s.name
    ]


def test_names_what_the_file_needs(library: bytes) -> None:
    elf = read_elf(library)
    assert "elsewhere" in elf.undefined
    assert "outer" not in elf.undefined
    assert any(name.startswith("libc.so") for name in elf.needed)
    theirs = ELFFile(io.BytesIO(library)).get_section_by_name(".dynamic")
    assert list(elf.needed) == [
        t.needed for t in theirs.iter_tags() if t.entry.d_tag == "DT_NEEDED"
    ]
    assert any(relocation.symbol == "elsewhere" for relocation in elf.relocations)


def test_symbols_have_kind_and_binding(library: bytes) -> None:
    elf = read_elf(library)
    assert elf.symbol("inner").local
    assert elf.symbol("inner").kind == "func"
    assert not elf.symbol("outer").local
    assert elf.symbol("table").kind == "object"
    with pytest.raises(ValueError, match="defines no symbol 'missing'"):
        elf.symbol("missing")


def test_read_gives_initial_bytes(library: bytes) -> None:
    elf = read_elf(library)
    assert struct.unpack("<4i", elf.read(elf.symbol("table").address, 16)) == (1, 2, 3, 4)
    with pytest.raises(ValueError, match="nothing at 0x7fffffff"):
        elf.read(0x7FFFFFFF, 1)


def test_thumb_functions_have_even_addresses(thumb: bytes) -> None:
    symbol = read_elf(thumb).symbol("outer")
    assert symbol.thumb
    assert symbol.address % 2 == 0


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: b"", "not an ELF file"),
        (lambda data: b"MZ" + data, "not an ELF file"),
        (lambda data: data[:5] + b"\2" + data[6:], "neither 32 nor 64 bits little-endian"),
        (lambda data: data[:30], "ends before byte"),
        (lambda data: data[:200], "ends before byte"),
        (lambda data: data[: len(data) // 2], "ends before byte"),
    ],
)
def test_damage_is_told(library: bytes, damage: Callable[[bytes], bytes], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_elf(damage(library))


def test_a_flipped_byte_never_fails_otherwise(library: bytes) -> None:
    for position in [*range(64), *range(64, len(library), 251)]:
        damaged = bytearray(library)
        damaged[position] ^= 0xFF
        with contextlib.suppress(ValueError):
            assert isinstance(read_elf(bytes(damaged)), Elf)


def test_reads_this_interpreter() -> None:
    program = Path("/proc/self/exe").read_bytes()
    assert read_elf(program).segments
