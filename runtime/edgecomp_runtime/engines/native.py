"""Runs a shared library on this machine's own processor."""

from __future__ import annotations

import _ctypes
import ctypes
import math
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp_runtime.artifact import Artifact
from edgecomp_runtime.engines.signature import checked_inputs
from edgecomp_runtime.errors import ArtifactError, InputError
from edgecomp_runtime.host import ROOT, cpu_features, host_isa
from edgecomp_runtime.manifest import Manifest, TensorSpec

Array = npt.NDArray[Any]
POINTER_ALIGNMENT = 16  # of every input and output, part of the C interface


class NativeEngine:
    """The program's shared library, called in this process.

    Any number of threads may run it at once, each on an arena of its own; the interpreter lock is
    released during a run.

    Args:
        artifact: the opened artifact.
        root: where /proc is, to know the processor's features.

    Raises:
        ArtifactError: the program is for another processor, or cannot be loaded.
    """

    name = "native"

    def __init__(self, artifact: Artifact, root: Path = ROOT) -> None:
        self._manifest = artifact.manifest
        _check_processor(artifact, root)
        self._library = _load(artifact)
        self._function = _entry(artifact, self._library)
        self._idle: list[_Workspace] = []
        self._running = 0
        self._closed = False
        self._changed = threading.Condition()

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """One inference; see `Engine.run`."""
        with self._workspace() as workspace:
            workspace.fill(checked_inputs(inputs, self._manifest.taken))
            self._function(*workspace.arguments)
            return [array.copy() for array in workspace.outputs]

    def latency(self, inputs: Sequence[Array]) -> float:
        """Seconds of one inference; see `TimingEngine.latency`."""
        with self._workspace() as workspace:
            workspace.fill(checked_inputs(inputs, self._manifest.taken))
            started = time.perf_counter_ns()
            self._function(*workspace.arguments)
            return (time.perf_counter_ns() - started) * 1e-9

    def close(self) -> None:
        """Unload the library once the runs under way have ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._running == 0)
            if not self._closed:
                self._closed = True
                self._idle.clear()
                _ctypes.dlclose(self._library._handle)

    @contextmanager
    def _workspace(self) -> Iterator[_Workspace]:
        """A workspace no other thread uses meanwhile."""
        with self._changed:
            if self._closed:
                raise InputError("the engine is closed; open a new session")
            self._running += 1
            workspace = self._idle.pop() if self._idle else None
        try:
            workspace = workspace or _Workspace(self._manifest)
            yield workspace
        finally:
            with self._changed:
                self._running -= 1
                if workspace is not None:
                    self._idle.append(workspace)
                self._changed.notify_all()


class _Workspace:
    """The memory of one run: arena, inputs and outputs, aligned as the program wants them."""

    def __init__(self, manifest: Manifest) -> None:
        memory = manifest.memory
        self._arena = _aligned((memory.arena_bytes,), "uint8", memory.arena_alignment)
        self._inputs = [_aligned_like(spec) for spec in manifest.taken]
        self.outputs = [_aligned_like(spec) for spec in manifest.outputs]
        arguments = [
            _pointers(self._inputs[: len(manifest.inputs)]),
            _pointers(self.outputs),
            ctypes.c_void_p(self._arena.ctypes.data),
        ]
        if manifest.memory.state_bytes:
            arguments.append(ctypes.c_void_p(self._inputs[-1].ctypes.data))
            self.outputs.append(self._inputs[-1])
        self.arguments = tuple(arguments)

    def fill(self, inputs: Sequence[Array]) -> None:
        """Copy `inputs` in: a run may overwrite them."""
        for place, array in zip(self._inputs, inputs):
            np.copyto(place, array, casting="no")


def _aligned(shape: tuple[int, ...], dtype: str, alignment: int) -> Array:
    """An uninitialised array whose first byte lies on a multiple of `alignment`."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.empty(size + alignment, np.uint8)
    start = -raw.ctypes.data % alignment
    return raw[start : start + size].view(dtype).reshape(shape)


def _aligned_like(spec: TensorSpec) -> Array:
    return _aligned(spec.shape, spec.dtype, POINTER_ALIGNMENT)


def _pointers(arrays: Sequence[Array]) -> ctypes.Array[ctypes.c_void_p]:
    """The struct of pointers that the program takes: one for each array, in order."""
    return (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))


def _check_processor(artifact: Artifact, root: Path) -> None:
    """Refuse what would end the process with an illegal instruction."""
    machine = artifact.manifest.machine
    if artifact.manifest.target != "cpu" or machine.isa != host_isa():
        raise ArtifactError(
            f"{artifact.path}: the program is for {machine.isa} ({artifact.manifest.device}), this "
            f"machine is {host_isa()}; run it there, or emulated with the link unicorn: or qemu:"
        )
    missing = sorted(set(machine.features) - cpu_features(root))
    if missing:
        raise ArtifactError(
            f"{artifact.path}: the program is for {machine.cpu}, this processor lacks "
            f"{', '.join(missing)}; compile the model for this device"
        )


def _load(artifact: Artifact) -> ctypes.CDLL:
    """Load the library from a file only this user can see; it is gone when this returns."""
    with tempfile.TemporaryDirectory(prefix="edgecomp-") as folder:
        library = Path(folder) / Path(artifact.manifest.program).name
        library.write_bytes(artifact.read(artifact.manifest.program))
        try:
            return ctypes.CDLL(str(library))
        except OSError as error:
            reason = str(error).replace(f"{library}: ", "")
            raise ArtifactError(
                f"{artifact.path}: {artifact.manifest.program} cannot be loaded ({reason})"
            ) from error


def _entry(artifact: Artifact, library: ctypes.CDLL) -> Any:
    symbol = f"{artifact.manifest.symbol}_run"
    try:
        function = library[symbol]
    except AttributeError as error:
        raise ArtifactError(
            f"{artifact.path}: {artifact.manifest.program} does not define {symbol}"
        ) from error
    takes_state = artifact.manifest.memory.state_bytes > 0
    function.argtypes = [ctypes.c_void_p] * (4 if takes_state else 3)
    function.restype = None
    return function
