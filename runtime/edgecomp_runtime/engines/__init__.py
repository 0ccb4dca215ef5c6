"""What runs a program, and which engine fits an artifact."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

import numpy.typing as npt

from edgecomp_runtime.artifact import Artifact
from edgecomp_runtime.errors import InputError
from edgecomp_runtime.host import host_isa
from edgecomp_runtime.manifest import Manifest


@dataclass(frozen=True)
class BoardTimes:
    """What a board's timer said of inferences of one program.

    Attributes:
        ticks: of each inference.
        timer_hz: ticks in a second; where it is the clock of the core, ticks are cycles.
        per_op: ticks of each call of the last inference, in the order of `manifest.ops`; empty
            where the board cannot tell calls apart.
        stack_bytes: the deepest the stack became.
    """

    ticks: tuple[int, ...]
    timer_hz: int
    per_op: tuple[int, ...]
    stack_bytes: int


@dataclass(frozen=True)
class Counts:
    """Exact counts of one inference, by an emulator.

    Attributes:
        instructions: instructions executed from the program's entry to its return.
        per_op: instructions of each call, in the order of `manifest.ops`; those outside of any
            call are in `instructions` only. Empty when the emulator cannot tell calls apart.
        stack_bytes: the deepest the stack became, or None when it was not watched.
    """

    instructions: int
    per_op: tuple[int, ...] = ()
    stack_bytes: int | None = None


class Engine(Protocol):
    """Runs the program of one artifact; made by `EngineClass(artifact)`.

    Attributes:
        name: "native", "unicorn" or "qemu".
    """

    name: str

    def run(self, inputs: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """One inference.

        Args:
            inputs: raw arrays in the manifest's order, of its shapes and dtypes.

        Returns:
            Raw outputs, newly allocated, in the manifest's order.

        Raises:
            InputError: an input has another shape or dtype than the manifest says.
        """
        ...

    def close(self) -> None:
        """Give back what the engine holds; it cannot run any more. May be called twice."""
        ...


@runtime_checkable
class CountingEngine(Engine, Protocol):
    """An emulator: an engine that also counts."""

    def count(self, inputs: Sequence[npt.NDArray[Any]]) -> Counts:
        """Run one inference and count its instructions."""
        ...


@runtime_checkable
class BatchEngine(Engine, Protocol):
    """An engine that starts anew for every run, and does so once for many samples."""

    def run_batch(
        self, samples: Sequence[Sequence[npt.NDArray[Any]]]
    ) -> list[list[npt.NDArray[Any]]]:
        """`run` on each of `samples`."""
        ...


@runtime_checkable
class TimingEngine(Engine, Protocol):
    """Real silicon: an engine whose time means something."""

    def latency(self, inputs: Sequence[npt.NDArray[Any]]) -> float:
        """Run one inference; seconds of the program alone, copies in and out left out."""
        ...


@runtime_checkable
class BoardEngine(Engine, Protocol):
    """A board with a timer of its own."""

    def times(self, samples: Sequence[Sequence[npt.NDArray[Any]]]) -> BoardTimes:
        """Run one inference for each of `samples`; the board's figures."""
        ...


SERIAL = "serial:"
"""What the link to a board begins with; the port follows."""

# name of the engine, which is the scheme of its link: module and class
ENGINES: Mapping[str, tuple[str, str]] = {
    "native": ("edgecomp_runtime.engines.native", "NativeEngine"),
    "unicorn": ("edgecomp_runtime.engines.unicorn", "UnicornEngine"),
    "qemu": ("edgecomp_runtime.engines.qemu", "QemuEngine"),
}


def engine_name(manifest: Manifest, link: str | None = None) -> str:
    """The name of the engine that `link` asks for, or else the one that fits.

    A program for this machine's own processor runs on it. Others are emulated: in this process
    by unicorn, or by QEMU for the Cortex-M55, whose vector instructions unicorn does not know.

    Args:
        manifest: what the artifact says of itself.
        link: "native:", "unicorn:", "qemu:", or None.

    Raises:
        InputError: there is no such link.
    """
    if link is not None:
        name = link[:-1] if link.endswith(":") else ""
        if name not in ENGINES:
            links = ", ".join(f"{known}:" for known in ENGINES)
            raise InputError(
                f"there is no link {link!r}; choose one of {links}, ssh://user@host, "
                f"{SERIAL}/dev/ttyACM0"
            )
        return name
    if manifest.target == "cpu" and manifest.machine.isa == host_isa():
        return "native"
    core = manifest.machine.cpu.replace("-", "_")
    return "qemu" if core.startswith("cortex_m55") else "unicorn"


def choose_engine(artifact: Artifact, link: str | None = None) -> Engine:
    """Make the engine that `link` asks for, or else the one that fits the artifact.

    Args:
        artifact: the opened artifact.
        link: "native:", "unicorn:", "qemu:", "serial:PORT", or None.

    Raises:
        InputError: there is no such link, or what the engine needs is not installed.
        ArtifactError: the program does not fit the engine.
    """
    if link is not None and link.startswith(SERIAL):
        from edgecomp_runtime.engines.serial import SerialEngine

        return SerialEngine(artifact, link)
    module, name = ENGINES[engine_name(artifact.manifest, link)]
    engine_class = getattr(importlib.import_module(module), name)
    return cast(Engine, engine_class(artifact))
