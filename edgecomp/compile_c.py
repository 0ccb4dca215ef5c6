"""Compile emitted C and read off what it takes: bytes by section, worst-case stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgecomp.stack_depth import worst_stack
from edgecomp.toolchain import zig
from edgecomp_runtime.elf import read_elf
from edgecomp_runtime.manifest import Flash

if TYPE_CHECKING:
    from edgecomp.lowering.emit_c import CSource

# Contraction to fused multiply-add would make float results depend on the core.
COMMON_FLAGS = (
    "-std=c11",
    "-g0",
    "-ffreestanding",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fvisibility=hidden",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
    "-fno-stack-protector",
    "-fno-sanitize=all",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unused-function",
    # a kernel that makes constants only does not read what its node reads
    "-Wno-unused-parameter",
    "-I.",
)
SOURCES = "src/"
"""Where an artifact keeps its C."""
ASSEMBLY_FLAGS = ("-g0", "-I.")


@dataclass(frozen=True)
class Objects:
    """Compiled files of a program.

    Attributes:
        paths: object files.
        stack_bytes: worst-case stack of one inference.
    """

    paths: tuple[Path, ...]
    stack_bytes: int


def write_files(files: Mapping[str, str | bytes], folder: Path) -> None:
    """Write `files` (contents by name) into `folder`."""
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def source_members(source: CSource) -> dict[str, bytes]:
    """The files of `source`, by their path in an artifact."""
    texts = {name: text.encode() for name, text in source.files.items()}
    return {f"{SOURCES}{name}": content for name, content in {**texts, **source.data}.items()}


def compile_source(source: CSource, flags: Sequence[str], folder: Path) -> Objects:
    """Compile `source` in `folder`, and note the stack each function uses.

    Args:
        source: what `emit_c` gave; its files are written into `folder`.
        flags: processor, optimization.

    Raises:
        EdgecompError: the compiler refused it.
    """
    write_files({**source.files, **source.data}, folder)

    def compile_one(name: str) -> Path:
        base, kind = name[:-2], name[-2:]
        options = [*COMMON_FLAGS, "-Xclang", "-stack-usage-file", "-Xclang", f"{base}.su"]
        given = options if kind == ".c" else ASSEMBLY_FLAGS
        zig(["cc", *flags, *given, "-c", name, "-o", f"{base}.o"], folder)
        return folder / f"{base}.o"

    with ThreadPoolExecutor() as pool:
        paths = tuple(pool.map(compile_one, source.compiled))
    report = (folder / f"{source.symbol}.su").read_text()
    return Objects(paths, worst_stack(f"{source.symbol}_run", source.files.values(), report))


def flash_of(image: bytes, weights_bytes: int) -> Flash:
    """Bytes of a linked image that a device stores: all loaded segments.

    Args:
        image: an ELF file.
        weights_bytes: how many of them are the program's constants.
    """
    total = sum(len(segment.data) for segment in read_elf(image).segments)
    return Flash(total, weights_bytes, total - weights_bytes)
