"""Runs Cortex-M programs on emulated boards, by QEMU; many samples in one boot."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp_runtime.artifact import Artifact
from edgecomp_runtime.elf import Elf, read_elf
from edgecomp_runtime.engines import Counts
from edgecomp_runtime.engines.board import Board, board_of, boot, find_emulator
from edgecomp_runtime.engines.instructions import kernel_symbols
from edgecomp_runtime.engines.signature import checked_inputs
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
        return self._boot(samples)[0]

    def count(self, inputs: Sequence[Array]) -> Counts:
        """Run one inference and count every instruction; see `CountingEngine.count`.

        Instructions are those from the program's entry to its return, both included: the
        firmware reads a timer around the call, and around a call that only returns. A second
        inference times each operator's kernel in the same way.
        """
        manifest = self._artifact.manifest
        kernels = kernel_symbols(self._elf, manifest.symbol, [op.kernel for op in manifest.ops])
        _, (ticks,), tail = self._boot([inputs], [kernel.address for kernel in kernels])
        empty, stack_bytes, *watched = tail
        # what an empty function takes was taken off, its one instruction too
        per_op = tuple(self._board.instructions(t - watched[0]) + 1 for t in watched[1:] if t)
        return Counts(
            instructions=self._board.instructions(ticks - empty) + 1,
            per_op=per_op if len(per_op) == len(kernels) else (),
            stack_bytes=stack_bytes,
        )

    def close(self) -> None:
        """Nothing is held between runs. May be called twice."""
        self._closed = True

    def _boot(
        self, samples: Sequence[Sequence[Array]], watch: Sequence[int] = ()
    ) -> tuple[list[list[Array]], list[int], tuple[int, ...]]:
        """Boot the board on `samples`, and once more on the last with the functions at `watch`.

        Returns:
            The outputs and the ticks of each sample; then ticks of an empty run, the deepest stack
            in bytes, and if functions were watched, ticks of an empty one and of each of them.
        """
        if self._closed:
            raise InputError("the engine is closed; open a new session")
        specs = self._artifact.manifest.taken
        packed = [
            b"".join(array.tobytes() for array in checked_inputs(sample, specs))
            for sample in samples
        ]
        header = struct.pack(f"<{2 + len(watch)}I", len(samples), len(watch), *watch)
        request = b"".join([header, *packed, *(packed[-1:] if watch else [])])
        seconds = self._seconds or _BOOT_SECONDS + _SAMPLE_SECONDS * len(samples)
        try:
            answer = boot(self._command, self._board, self._image, request, seconds)
        except ArtifactError as error:
            raise ArtifactError(f"{self._artifact.path}: {error}") from None
        return self._decode(answer, len(samples), len(watch))

    def _decode(
        self, answer: bytes, samples: int, watched: int
    ) -> tuple[list[list[Array]], list[int], tuple[int, ...]]:
        """What the firmware wrote; see `_boot`."""
        specs = self._artifact.manifest.given
        record = np.dtype(
            [("ticks", "<u4")] + [(f"{i}", s.dtype, s.shape) for i, s in enumerate(specs)]
        )
        tail = struct.Struct(f"<{2 + (1 + watched if watched else 0)}I")
        if len(answer) != record.itemsize * samples + tail.size:
            raise ArtifactError(
                f"{self._artifact.path}: the firmware wrote {len(answer)} bytes, not "
                f"{record.itemsize * samples + tail.size}; compile the model again"
            )
        records = np.frombuffer(answer, record, samples)
        outputs = [[np.array(row[f"{i}"]) for i in range(len(specs))] for row in records]
        return outputs, records["ticks"].tolist(), tail.unpack(answer[-tail.size :])


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
