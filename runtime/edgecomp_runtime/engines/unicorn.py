"""Runs programs for Arm processors in this process, by the emulator unicorn."""

from __future__ import annotations

import importlib
import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp_runtime.artifact import Artifact
from edgecomp_runtime.elf import Elf, read_elf
from edgecomp_runtime.engines import Counts
from edgecomp_runtime.engines.instructions import InstructionSizes, OpTracker, kernel_symbols
from edgecomp_runtime.engines.processors import emulated_processor
from edgecomp_runtime.engines.signature import checked_inputs
from edgecomp_runtime.errors import ArtifactError, InputError
from edgecomp_runtime.manifest import TensorSpec

Array = npt.NDArray[Any]

_PAGE = 4096
_LIBRARY_BASE = 0x100000
_STACK_BYTES = 1 << 20
_PAINT = 0xA5
# R_AARCH64_RELATIVE and R_ARM_RELATIVE: the word is an address within the library
_RELATIVE = {"aarch64": 1027, "arm": 23}


class UnicornEngine:
    """The program on an emulated processor, with memory of its own around it.

    Every buffer ends at the end of a page that nothing follows, so a program that runs past one
    faults instead of spoiling its neighbour.

    Args:
        artifact: the opened artifact, for AArch64, Armv7-A or Cortex-M0+ to M33.

    Raises:
        ArtifactError: the program is for another processor, or cannot be loaded.
        InputError: the package unicorn is not installed.
    """

    name = "unicorn"

    def __init__(self, artifact: Artifact) -> None:
        self._unicorn = _load_unicorn()
        self._artifact = artifact
        manifest = artifact.manifest
        processor = emulated_processor(self._unicorn, manifest.machine, str(artifact.path))
        self._processor = processor
        self._elf = _load_elf(artifact)
        self._base = _LIBRARY_BASE if self._elf.shared else 0
        self._fault = ""
        self._emulator = self._unicorn.Uc(processor.architecture, processor.mode)
        self._emulator.ctl_set_cpu_model(processor.model)
        self._next_page = self._map_image()
        for register, value in processor.set_up.items():
            self._emulator.reg_write(register, value)
        self._return_address = self._map(_PAGE)
        self._stack = self._map(_STACK_BYTES)
        self._arena = self._map(manifest.memory.arena_bytes)
        self._inputs = [self._map(_bytes(spec)) for spec in manifest.taken]
        self._outputs = [self._map(_bytes(spec)) for spec in manifest.outputs]
        self._input_struct = self._map_pointers(self._inputs[: len(manifest.inputs)])
        self._output_struct = self._map_pointers(self._outputs)
        if manifest.memory.state_bytes:
            self._outputs.append(self._inputs[-1])
        self._emulator.hook_add(self._unicorn.UC_HOOK_MEM_INVALID, self._on_invalid_access)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """One inference; see `Engine.run`."""
        self._check_open()
        arrays = checked_inputs(inputs, self._artifact.manifest.taken)
        for address, array in zip(self._inputs, arrays):
            self._emulator.mem_write(address, array.tobytes())
        self._call()
        return [
            np.frombuffer(self._emulator.mem_read(address, _bytes(spec)), spec.dtype)
            .reshape(spec.shape)
            .copy()
            for address, spec in zip(self._outputs, self._artifact.manifest.given)
        ]

    def count(self, inputs: Sequence[Array]) -> Counts:
        """Run one inference and count every instruction; see `CountingEngine.count`.

        Instructions are those from the program's entry to its return, both included. One that a
        condition skips is counted, as the processor spends a slot on it.
        """
        self._check_open()
        manifest = self._artifact.manifest
        kernels = kernel_symbols(self._elf, manifest.symbol, [op.kernel for op in manifest.ops])
        tracker = OpTracker(kernels)
        self._emulator.mem_write(self._stack, bytes([_PAINT]) * _STACK_BYTES)
        hooks = self._add_hooks(tracker, {kernel.address for kernel in kernels})
        try:
            self.run(inputs)
        finally:
            for hook in hooks:
                self._emulator.hook_del(hook)
            self._forget_translations()
        sizes = InstructionSizes(self._elf, self._processor.thumb_only)
        instructions, per_op = tracker.totals(sizes)
        return Counts(instructions, per_op, self._stack_depth())

    def close(self) -> None:
        """Give back the emulator's memory. May be called twice."""
        self._emulator = None

    def _check_open(self) -> None:
        if self._emulator is None:
            raise InputError("the engine is closed; open a new session")

    def _map_image(self) -> int:
        """Load the segments; returns the first page after them, with a guard page between."""
        pages: dict[int, int] = {}
        for segment in self._elf.segments:
            start = self._base + segment.address
            allowed = segment.readable + 2 * segment.writable + 4 * segment.executable
            for page in range(start // _PAGE, _pages(start + segment.memory_bytes)):
                pages[page] = pages.get(page, 0) | allowed
        for page, allowed in pages.items():
            self._emulator.mem_map(page * _PAGE, _PAGE, allowed)
        for segment in self._elf.segments:
            self._emulator.mem_write(self._base + segment.address, segment.data)
        for relocation in self._elf.relocations:
            addend = relocation.addend
            place = self._base + relocation.address
            size = struct.calcsize(self._processor.word)
            if addend is None:
                addend = int.from_bytes(self._emulator.mem_read(place, size), "little")
            self._emulator.mem_write(place, struct.pack(self._processor.word, self._base + addend))
        return max(pages) + 2

    def _map(self, size: int) -> int:
        """Address of `size` new bytes, aligned to 16, that end where a guard page begins."""
        start = self._next_page * _PAGE
        pages = max(1, _pages(size))
        self._emulator.mem_map(start, pages * _PAGE)
        self._next_page += pages + 1
        return start + pages * _PAGE - (size + 15) // 16 * 16

    def _map_pointers(self, addresses: Sequence[int]) -> int:
        data = b"".join(struct.pack(self._processor.word, address) for address in addresses)
        start = self._map(len(data))
        self._emulator.mem_write(start, data)
        return start

    def _call(self) -> None:
        """Call `SYMBOL_run(inputs, outputs, arena[, state])` and come back when it returns."""
        entry = self._elf.symbol(f"{self._artifact.manifest.symbol}_run")
        registers = self._processor.registers
        thumb = int(self._processor.thumb_only)
        values = {
            "stack": self._stack + _STACK_BYTES,
            "return": self._return_address + thumb,
            "inputs": self._input_struct,
            "outputs": self._output_struct,
            "arena": self._arena,
        }
        if self._artifact.manifest.memory.state_bytes:
            values["state"] = self._inputs[-1]
        for name, value in values.items():
            self._emulator.reg_write(registers[name], value)
        self._fault = ""
        try:
            self._emulator.emu_start(self._base + entry.address + entry.thumb, self._return_address)
        except self._unicorn.UcError as error:
            raise ArtifactError(self._describe(self._fault or str(error))) from None
        if self._emulator.reg_read(registers["pc"]) != self._return_address:
            raise ArtifactError(self._describe("it stopped before it returned"))

    def _describe(self, what: str) -> str:
        """A sentence on a fault: which file, where, what."""
        address = self._emulator.reg_read(self._processor.registers["pc"]) - self._base
        inside = [
            symbol.name
            for symbol in self._elf.symbols
            if symbol.kind == "func" and 0 <= address - symbol.address < symbol.bytes
        ]
        place = f"{address:#x} in {inside[0]}" if inside else f"{address:#x}, outside its functions"
        return f"{self._artifact.path}: the program faulted at {place}: {what}"

    def _on_invalid_access(
        self, emulator: Any, access: int, address: int, size: int, value: int, data: Any
    ) -> bool:
        unicorn = self._unicorn
        writes = (unicorn.UC_MEM_WRITE_UNMAPPED, unicorn.UC_MEM_WRITE_PROT)
        reads = (unicorn.UC_MEM_READ_UNMAPPED, unicorn.UC_MEM_READ_PROT)
        verb = "wrote" if access in writes else "read" if access in reads else "jumped to"
        self._fault = f"it {verb} {address:#x}, which is not its to use"
        return False

    def _add_hooks(self, tracker: OpTracker, entries: set[int]) -> list[int]:
        """Count blocks into `tracker`; hooks run in the order they are added."""
        base, emulator = self._base, self._emulator
        program = self._elf.symbol(f"{self._artifact.manifest.symbol}_run")

        def in_program(emulator: Any, address: int, size: int, data: Any) -> None:
            tracker.in_program()

        def at_entry(emulator: Any, address: int, size: int, data: Any) -> None:
            tracker.at_entry(address - base)

        def count(emulator: Any, address: int, size: int, data: Any) -> None:
            tracker.current[address - base, size] += 1

        self._forget_translations()
        block = self._unicorn.UC_HOOK_BLOCK
        start = base + program.address
        hooks = [emulator.hook_add(block, in_program, None, start, start + program.bytes - 1)]
        for entry in entries:
            hooks.append(emulator.hook_add(block, at_entry, None, base + entry, base + entry))
        return [*hooks, emulator.hook_add(block, count)]

    def _forget_translations(self) -> None:
        """Blocks translated with other hooks must be translated again."""
        self._emulator.ctl_flush_tb()

    def _stack_depth(self) -> int:
        """Bytes of the painted stack that were overwritten."""
        stack = np.frombuffer(self._emulator.mem_read(self._stack, _STACK_BYTES), np.uint8)
        touched = np.flatnonzero(stack != _PAINT)
        return _STACK_BYTES - int(touched[0]) if touched.size else 0


def _bytes(spec: TensorSpec) -> int:
    return math.prod(spec.shape) * np.dtype(spec.dtype).itemsize


def _pages(size: int) -> int:
    """Pages that `size` bytes from address 0 touch."""
    return -(-size // _PAGE)


def _load_unicorn() -> Any:
    try:
        return importlib.import_module("unicorn")
    except ImportError as error:
        raise InputError(
            "this program needs an emulator: install the package unicorn, or run the program on "
            "its own processor"
        ) from error


def _load_elf(artifact: Artifact) -> Elf:
    """The program's image, checked to need nothing but itself."""
    manifest = artifact.manifest
    where = f"{artifact.path}: {manifest.program}"
    try:
        elf = read_elf(artifact.read(manifest.program))
        elf.symbol(f"{manifest.symbol}_run")
    except ArtifactError:
        raise
    except ValueError as error:
        raise ArtifactError(f"{where}: {error}") from error
    if elf.machine != ("aarch64" if manifest.machine.isa == "aarch64" else "arm"):
        raise ArtifactError(f"{where} is for {elf.machine}, not for {manifest.machine.isa}")
    lacking = (*elf.undefined, *elf.needed)
    if lacking:
        raise ArtifactError(f"{where} needs {', '.join(lacking)}, which an emulator does not have")
    kinds = {relocation.kind for relocation in elf.relocations} - {_RELATIVE[elf.machine]}
    if kinds:
        raise ArtifactError(f"{where} has relocations of types {sorted(kinds)}, not only relative")
    return elf
