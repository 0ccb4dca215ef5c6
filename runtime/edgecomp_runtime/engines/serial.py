"""Runs Cortex-M programs on a board with bench firmware, through a serial port."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from edgecomp_runtime.artifact import Artifact
from edgecomp_runtime.elf import read_elf
from edgecomp_runtime.engines import SERIAL, BoardTimes
from edgecomp_runtime.engines.bench_messages import make_request, read_answer
from edgecomp_runtime.engines.instructions import kernel_symbols
from edgecomp_runtime.engines.serial_port import BenchPort

Array = npt.NDArray[Any]


class SerialEngine:
    """A board that runs the artifact's program; it was flashed before.

    Args:
        artifact: the opened artifact. Where its program is the firmware that was flashed, and the
            board's code lies in RAM, every operator is timed too.
        link: as in serial:/dev/ttyACM0.

    Raises:
        InputError: the port cannot be opened, or pyserial is not installed.
    """

    name = "serial"

    def __init__(self, artifact: Artifact, link: str) -> None:
        self._artifact = artifact
        self._port = BenchPort(link[len(SERIAL) :])

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """One inference; see `Engine.run`."""
        return self.run_batch([inputs])[0]

    def run_batch(self, samples: Sequence[Sequence[Array]]) -> list[list[Array]]:
        """One inference for each of `samples`, in one request."""
        answer, _ = self._port.ask(make_request(self._artifact, samples))
        return read_answer(self._artifact, answer, len(samples)).outputs

    def times(self, samples: Sequence[Sequence[Array]]) -> BoardTimes:
        """One inference for each of `samples`, timed; see `BoardEngine.times`."""
        watch = self._operators()
        request = make_request(self._artifact, samples, watch)
        answer, timer_hz = self._port.ask(request)
        found = read_answer(self._artifact, answer, len(samples), len(watch))
        first, *watched = found.watched or (0,)
        return BoardTimes(
            ticks=tuple(ticks - found.empty for ticks in found.ticks),
            timer_hz=timer_hz,
            per_op=tuple(ticks - first for ticks in watched) if all(watched) else (),
            stack_bytes=found.stack_bytes,
        )

    def close(self) -> None:
        """Give the port back. May be called twice."""
        self._port.close()

    def _operators(self) -> list[int]:
        """Where each operator's function is, if the board can watch them."""
        manifest = self._artifact.manifest
        elf = read_elf(self._artifact.read(manifest.program))
        limits = [each for each in elf.symbols if each.name == "bench_uart_watch_limit"]
        if not limits:  # another firmware than the one on the board
            return []
        kernels = kernel_symbols(elf, manifest.symbol, [op.kernel for op in manifest.ops])
        limit = int.from_bytes(elf.read(limits[0].address, 4), "little")
        return [kernel.address for kernel in kernels] if len(kernels) <= limit else []
