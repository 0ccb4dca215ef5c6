"""Runs Cortex-M programs on emulated boards, by QEMU; many samples in one boot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from edgecomp_runtime.artifact import Artifact
from edgecomp_runtime.elf import Elf, read_elf
from edgecomp_runtime.engines import Counts
from edgecomp_runtime.engines.bench_messages import Answer, make_request, read_answer
from edgecomp_runtime.engines.board import Board, board_of, boot, find_emulator
from edgecomp_runtime.engines.instructions import kernel_symbols
from edgecomp_runtime.errors import ArtifactError, InputError

Array = npt.NDArray[Any]

_BOOT_SECONDS = 60.0
_SAMPLE_SECONDS = 60.0


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
        self._image = artifact.read(artifact.manifest.program)
        self._elf, self._board = _firmware(artifact, self._image)
        self._command = find_emulator()
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
        return self._boot(samples).outputs

    def count(self, inputs: Sequence[Array]) -> Counts:
        """Run one inference and count every instruction; see `CountingEngine.count`.

        Instructions are those from the program's entry to its return, both included: the
        firmware reads a timer around the call, and around a call that only returns. A second
        inference times each operator's kernel in the same way.
        """
        manifest = self._artifact.manifest
        kernels = kernel_symbols(self._elf, manifest.symbol, [op.kernel for op in manifest.ops])
        answer = self._boot([inputs], [kernel.address for kernel in kernels])
        # what an empty function takes was taken off, its one instruction too
        first, *watched = answer.watched or (0,)
        per_op = tuple(self._board.instructions(t - first) + 1 for t in watched if t)
        return Counts(
            instructions=self._board.instructions(answer.ticks[0] - answer.empty) + 1,
            per_op=per_op if len(per_op) == len(kernels) else (),
            stack_bytes=answer.stack_bytes,
        )

    def close(self) -> None:
        """Nothing is held between runs. May be called twice."""
        self._closed = True

    def _boot(self, samples: Sequence[Sequence[Array]], watch: Sequence[int] = ()) -> Answer:
        """Boot the board on `samples`, and once more on the last with the functions at `watch`."""
        if self._closed:
            raise InputError("the engine is closed; open a new session")
        request = make_request(self._artifact, samples, watch)
        seconds = self._seconds or _BOOT_SECONDS + _SAMPLE_SECONDS * len(samples)
        try:
            answer = boot(self._command, self._board, self._image, request, seconds)
        except ArtifactError as error:
            raise ArtifactError(f"{self._artifact.path}: {error}") from None
        return read_answer(self._artifact, answer, len(samples), len(watch))


def _firmware(artifact: Artifact, image: bytes) -> tuple[Elf, Board]:
    """The image, and the board it is for."""
    try:
        elf = read_elf(image)
        return elf, board_of(elf)
    except ValueError as error:
        raise ArtifactError(
            f"{artifact.path}: {artifact.manifest.program} is no bench firmware ({error}); only "
            "programs for a Cortex-M run under the link qemu:"
        ) from error
