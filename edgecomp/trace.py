"""What every call of an artifact makes: its own C, compiled for this machine and watched.

The C of a program gives the same bits on every core, so a program for a microcontroller can be
watched here. The compiler is asked to report the end of every function; the end of a kernel is a
moment at which what it wrote still lies where the plan put it.
"""

from __future__ import annotations

import _ctypes
import ctypes
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.compile_c import COMMON_FLAGS, SOURCES
from edgecomp.errors import EdgecompError, Reason
from edgecomp.toolchain import zig
from edgecomp_runtime.artifact import Artifact
from edgecomp_runtime.manifest import BufferRecord

Array = npt.NDArray[Any]

ALIGNMENT = 16

WATCH = """
/* Tells `called` that a function called by the outermost one has ended. The two functions are
 * hidden, or those of the C library that do nothing would be called instead. */
#define UNWATCHED __attribute__((visibility("hidden"), no_instrument_function))
__attribute__((visibility("default"))) void (*called)(void);
static int depth;
UNWATCHED void __cyg_profile_func_enter(void *function, void *site);
UNWATCHED void __cyg_profile_func_exit(void *function, void *site);
void __cyg_profile_func_enter(void *function, void *site) { (void)function, (void)site, depth++; }
void __cyg_profile_func_exit(void *function, void *site) {
  (void)function, (void)site;
  if (--depth == 1) called();
}
"""
FLAGS = (
    "-O1",
    "-fPIC",
    "-shared",
    "-finstrument-functions-after-inlining",
    '-DEC_EXPORT=__attribute__((visibility("default")))',
)


@dataclass(frozen=True, eq=False)
class Made:
    """A buffer just after the call that made it.

    Attributes:
        call: index of the call, and of its record in the manifest.
        buffer: name of the buffer in the plan.
        content: its bytes, uint8.
    """

    call: int
    buffer: str
    content: npt.NDArray[np.uint8]


class Tracer:
    """The program of an artifact, watched. A context manager.

    Args:
        artifact: the opened artifact, for any device.

    Raises:
        EdgecompError: its C cannot be compiled here.
    """

    def __init__(self, artifact: Artifact) -> None:
        self._artifact = artifact
        manifest = artifact.manifest
        self._library = _compiled(artifact)
        self._run = self._library[f"{manifest.symbol}_run"]
        pointers = 4 if manifest.memory.state_bytes else 3
        self._run.argtypes, self._run.restype = [ctypes.c_void_p] * pointers, None
        given = {spec.name for spec in manifest.inputs}
        self._made_by: dict[int, list[BufferRecord]] = {}
        for buffer in manifest.memory.buffers:
            if buffer.name not in given:
                made = buffer.first if buffer.complete is None else buffer.complete
                self._made_by.setdefault(made, []).append(buffer)

    def run(self, inputs: Sequence[Array]) -> tuple[list[Array], list[Made]]:
        """One inference.

        Args:
            inputs: raw arrays, as `edgecomp_runtime.session.Session.prepare` makes them: of a
                streaming model, the state is the last.

        Returns:
            The raw outputs, and what every call made, in order.

        Raises:
            EdgecompError: the calls seen are not those of the manifest.
        """
        manifest = self._artifact.manifest
        given = [_aligned(array) for array in inputs]
        outputs = [_aligned(np.zeros(spec.shape, spec.dtype)) for spec in manifest.outputs]
        arena = _aligned(np.zeros(manifest.memory.arena_bytes, np.uint8))
        places = {spec.name: array for spec, array in zip(manifest.outputs, outputs, strict=True)}
        made: list[Made] = []
        calls = 0

        def called() -> None:
            nonlocal calls
            for buffer in self._made_by.get(calls, []):
                content = arena[buffer.offset : buffer.offset + buffer.bytes]
                if buffer.name in places:
                    content = np.frombuffer(places[buffer.name].tobytes(), np.uint8)
                made.append(Made(calls, buffer.name, content.copy()))
            calls += 1

        kept = ctypes.CFUNCTYPE(None)(called)
        pointer = ctypes.c_void_p.in_dll(self._library, "called")
        pointer.value = ctypes.cast(kept, ctypes.c_void_p).value
        count = len(manifest.inputs)
        state = [array.ctypes.data for array in given[count:]]
        self._run(_pointers(given[:count]), _pointers(outputs), arena.ctypes.data, *state)
        if calls != len(manifest.ops):
            raise EdgecompError(
                Reason(
                    f"its C makes {calls} calls and its manifest lists {len(manifest.ops)}",
                    str(self._artifact.path),
                    "compile the model again",
                )
            )
        return outputs, made

    def close(self) -> None:
        """Unload the program."""
        _ctypes.dlclose(self._library._handle)

    def __enter__(self) -> Tracer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _compiled(artifact: Artifact) -> ctypes.CDLL:
    names = [name for name in artifact.manifest.files if name.startswith(SOURCES)]
    with tempfile.TemporaryDirectory(prefix="edgecomp-") as work:
        folder = Path(work)
        for name in names:
            (folder / name.removeprefix(SOURCES)).write_bytes(artifact.read(name))
        (folder / "edgecomp_watch.c").write_text(WATCH)
        sources = sorted(path.name for path in folder.glob("*.[cS]"))
        zig(["cc", *COMMON_FLAGS, *FLAGS, *sources, "-o", "watched.so"], folder)
        return ctypes.CDLL(str(folder / "watched.so"))


def _aligned(array: Array) -> Array:
    """A copy of `array` whose first byte lies on a multiple of the alignment."""
    raw = np.empty(array.nbytes + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    place = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    np.copyto(place, array)
    return place


def _pointers(arrays: Sequence[Array]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))
