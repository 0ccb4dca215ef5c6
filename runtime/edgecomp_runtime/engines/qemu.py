"""Runs Cortex-M bench firmware on a board that QEMU emulates, many samples in one boot."""

from __future__ import annotations

import math
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp_runtime.artifact import Artifact
from edgecomp_runtime.elf import read_elf
from edgecomp_runtime.engines import Counts
from edgecomp_runtime.engines.signature import checked_inputs
from edgecomp_runtime.errors import ArtifactError, InputError
from edgecomp_runtime.manifest import TensorSpec

Array = npt.NDArray[Any]

_COMMAND = "qemu-system-arm"
# With `-icount shift=N` the board's clock advances 2**N ns for each instruction. With 8, one
# instruction is more than five ticks of the slowest board's timer (20 MHz), so that the at most
# two ticks lost in four readings cannot change the rounded number of instructions.
_CLOCK_SHIFT = 8
_BOOT_SECONDS = 60.0
_SAMPLE_SECONDS = 60.0


@dataclass(frozen=True)
class _Board:
    """What the image says of the board it is for."""

    machine: str
    timer_hz: int


class QemuEngine:
    """The program's bench firmware on an emulated board.

    Args:
        artifact: the opened artifact, of a Cortex-M.
        seconds: longest time one boot may take; by default one minute and one for each sample.

    Raises:
        ArtifactError: the artifact has no bench firmware.
        InputError: QEMU is not installed.
    """

    name = "qemu"

    def __init__(self, artifact: Artifact, seconds: float | None = None) -> None:
        self._artifact = artifact
        self._seconds = seconds
        self._board = _board(artifact)
        command = shutil.which(_COMMAND)
        if command is None:
            raise InputError(
                f"{_COMMAND} is not installed: install the Debian package qemu-system-arm"
            )
        self._command = command
        self._closed = False

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """One inference; see `Engine.run`."""
        return self.run_batch([inputs])[0]

    def run_batch(self, samples: Sequence[Sequence[Array]]) -> list[list[Array]]:
        """One inference for each of `samples`, in one boot of the board.

        Raises:
            InputError: an input has another shape or dtype than the manifest says.
            ArtifactError: the program faulted, did not end in time, or overran its stack.
        """
        return [self._arrays(record[4:]) for record in self._records(samples)[0]]

    def count(self, inputs: Sequence[Array]) -> Counts:
        """Run one inference and count every instruction; see `CountingEngine.count`.

        Instructions are those from the program's entry to its return, both included: the
        firmware reads a timer around the call, and around a call that only returns. The timer
        cannot tell calls apart, so `per_op` is empty.
        """
        (record,), empty_ticks, stack_bytes = self._records([inputs])
        ticks = struct.unpack_from("<I", record)[0]
        ticks_per_instruction = self._board.timer_hz * 2**_CLOCK_SHIFT / 1e9
        instructions = round((ticks - empty_ticks) / ticks_per_instruction) + 1
        return Counts(instructions, (), stack_bytes)

    def close(self) -> None:
        """Nothing is held between runs. May be called twice."""
        self._closed = True

    def _records(self, samples: Sequence[Sequence[Array]]) -> tuple[list[bytes], int, int]:
        """What the firmware wrote: a record for each sample, ticks of an empty call, stack bytes.

        A record is the timer's ticks as uint32, and the outputs.
        """
        if self._closed:
            raise InputError("the engine is closed; open a new session")
        manifest = self._artifact.manifest
        checked = [checked_inputs(sample, manifest.inputs) for sample in samples]
        request = struct.pack("<I", len(samples)) + b"".join(
            array.tobytes() for sample in checked for array in sample
        )
        answer = self._boot(request, len(samples))
        record_bytes = 4 + sum(_bytes(spec) for spec in manifest.outputs)
        if len(answer) != record_bytes * len(samples) + 8:
            raise ArtifactError(
                f"{self._artifact.path}: the firmware wrote {len(answer)} bytes, "
                f"not {record_bytes * len(samples) + 8}; compile the model again"
            )
        records = [
            answer[start : start + record_bytes]
            for start in range(0, record_bytes * len(samples), record_bytes)
        ]
        empty_ticks, stack_bytes = struct.unpack_from("<II", answer, len(answer) - 8)
        return records, empty_ticks, stack_bytes

    def _boot(self, request: bytes, samples: int) -> bytes:
        """Boot the board in a folder of its own; returns the file the firmware wrote there."""
        seconds = self._seconds or _BOOT_SECONDS + _SAMPLE_SECONDS * samples
        with tempfile.TemporaryDirectory(prefix="edgecomp-") as name:
            folder = Path(name)
            image = folder / "firmware.elf"
            image.write_bytes(self._artifact.read(self._artifact.manifest.program))
            (folder / "edgecomp.in").write_bytes(request)
            try:
                # on any exception, an interrupt included, run() kills the process and waits
                done = subprocess.run(
                    self._arguments(image),
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=seconds,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise ArtifactError(
                    f"{self._artifact.path}: the program did not end in {seconds:g} s on the "
                    f"emulated board {self._board.machine}"
                ) from None
            if done.returncode != 0:
                said = " ".join((done.stderr + done.stdout).split()) or "nothing"
                raise ArtifactError(
                    f"{self._artifact.path}: {_COMMAND} ended with status {done.returncode} on "
                    f"the board {self._board.machine} and said: {said}"
                )
            return (folder / "edgecomp.out").read_bytes()

    def _arguments(self, image: Path) -> list[str]:
        return [
            self._command,
            *("-machine", self._board.machine),
            *("-icount", f"shift={_CLOCK_SHIFT}"),
            *("-semihosting-config", "enable=on,target=native"),
            *("-nographic", "-monitor", "none", "-serial", "none"),
            *("-kernel", str(image)),
        ]

    def _arrays(self, data: bytes) -> list[Array]:
        """The outputs that lie one after another in `data`."""
        arrays, start = [], 0
        for spec in self._artifact.manifest.outputs:
            array = np.frombuffer(data, spec.dtype, math.prod(spec.shape), start)
            arrays.append(array.reshape(spec.shape).copy())
            start += _bytes(spec)
        return arrays


def _bytes(spec: TensorSpec) -> int:
    return math.prod(spec.shape) * np.dtype(spec.dtype).itemsize


def _board(artifact: Artifact) -> _Board:
    """The board, from the image's constants `bench_machine` and `bench_timer_hz`."""
    manifest = artifact.manifest
    try:
        elf = read_elf(artifact.read(manifest.program))
        name, rate = elf.symbol("bench_machine"), elf.symbol("bench_timer_hz")
        machine = elf.read(name.address, name.bytes).rstrip(b"\0").decode("ascii")
        return _Board(machine, int.from_bytes(elf.read(rate.address, 4), "little"))
    except ArtifactError:
        raise
    except ValueError as error:
        raise ArtifactError(
            f"{artifact.path}: {manifest.program} is no bench firmware ({error}); only programs "
            "for a Cortex-M run under the link qemu:"
        ) from error
