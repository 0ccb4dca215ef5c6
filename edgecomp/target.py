"""What a target is, and how the compiler finds one: a folder in `edgecomp_targets`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from edgecomp.errors import EdgecompError, Reason
from edgecomp_runtime.manifest import Flash, Machine

if TYPE_CHECKING:
    from edgecomp.device import Device
    from edgecomp.lowering.emit_c import CSource
    from edgecomp.program import Kernel, MemoryPlan, Program
    from edgecomp_runtime.artifact import Artifact


@dataclass(frozen=True)
class Build:
    """What a target makes of a program.

    Attributes:
        files: contents by path in the artifact.
        program: the path an engine loads.
        machine: what the code needs of the processor.
        flash: bytes of code and weights, from the linked image.
        stack_bytes: worst-case stack of one inference.
    """

    files: Mapping[str, bytes]
    program: str
    machine: Machine
    flash: Flash
    stack_bytes: int


class Target(Protocol):
    """A kind of silicon: schedules kernels, compiles and links the C.

    A target package `edgecomp_targets/NAME/__init__.py` defines `TARGET`, an instance.
    """

    name: str
    summary: str

    def cores(self) -> Mapping[str, str]:
        """The cores a device profile may name, each with one line on what it is."""
        ...

    def arrange(self, program: Program, device: Device, optimize: str) -> Program:
        """`program` with kernels of the target's own for the device's core, where it has any.

        `optimize` is "speed", "balanced" or "size", as in `build`.

        Such a kernel may want constants in another order: that is done here, at compile time. The
        others stay for `schedule`.
        """
        ...

    def schedule(self, kernel: Kernel, device: Device) -> Kernel:
        """`kernel` with its TIR scheduled for the device's core."""
        ...

    def build(
        self, source: CSource, program: Program, device: Device, work: Path, optimize: str
    ) -> Build:
        """Compile and link `source` in the empty folder `work` for "speed", "balanced" or "size".

        Raises:
            EdgecompError: the compiler refused the source, or a tool is missing.
        """
        ...


@runtime_checkable
class StoringTarget(Target, Protocol):
    """A target that stores weights in fewer bytes, where its devices have few.

    Others leave them plain: the file of a shared library is no larger than its artifact, which is
    compressed.
    """

    def store(
        self,
        program: Program,
        plan: MemoryPlan,
        device: Device,
        optimize: str,
        ram_limit: int | None,
    ) -> Program:
        """`program` with some constants in fewer bytes, or itself where that does not pay.

        Args:
            program: as `arrange` gave it, its calls in the order of `plan`.
            plan: where every buffer lives.
            device: what it runs on.
            optimize: "speed", "balanced" or "size", as in `build`.
            ram_limit: bytes of RAM the user allows; None where that is all there is.
        """
        ...


@runtime_checkable
class FlashedTarget(Target, Protocol):
    """A target whose programs run from a board's flash memory."""

    def serial_image(self, artifact: Artifact, work: Path) -> bytes:
        """The bench firmware of `artifact` for its board, which talks through a serial port.

        Args:
            artifact: what `build` of this target gave.
            work: a folder to build in.

        Raises:
            EdgecompError: there is none for the artifact's device.
        """
        ...


def target_names() -> list[str]:
    """Every target there is, sorted."""
    import edgecomp_targets

    return sorted(m.name for m in pkgutil.iter_modules(edgecomp_targets.__path__) if m.ispkg)


def load_target(name: str) -> Target:
    """The target called `name`.

    Raises:
        EdgecompError: there is none of that name.
    """
    names = target_names()
    if name not in names:
        raise EdgecompError(
            Reason(f"there is no target {name!r}", fix=f"choose one of {', '.join(names)}")
        )
    target: Target = importlib.import_module(f"edgecomp_targets.{name}").TARGET
    return target
