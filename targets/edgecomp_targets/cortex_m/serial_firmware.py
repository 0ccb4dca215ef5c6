"""The bench firmware of an artifact for a board that talks through a serial port."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgecomp.compile_c import write_files
from edgecomp.errors import EdgecompError, Reason
from edgecomp.toolchain import zig
from edgecomp_runtime.artifact import Artifact
from edgecomp_runtime.manifest import BufferRecord, Manifest, TensorSpec
from edgecomp_targets.cortex_m.boards import BOARDS, Board
from edgecomp_targets.cortex_m.call_sites import divert_calls
from edgecomp_targets.cortex_m.firmware import UART, firmware


def serial_firmware(artifact: Artifact, work: Path) -> bytes:
    """Link the library of `artifact` with the firmware of its device's board, in the folder `work`.

    Returns:
        An ELF image.

    Raises:
        EdgecompError: the device's profile names no board the firmware knows, or it does not fit.
    """
    manifest = artifact.manifest
    records = {record.name: record for record in manifest.memory.buffers}

    def planned(specs: Sequence[TensorSpec]) -> list[BufferRecord]:
        return [records[spec.name] for spec in specs]

    core = manifest.profile["core"]
    inputs, outputs = planned(manifest.inputs), planned(manifest.outputs)
    board, calls = _board_of(manifest), len(manifest.ops)
    bench = firmware(core, manifest.symbol, inputs, outputs, board, UART, calls)
    library = f"lib{manifest.symbol}.a"
    header = f"{manifest.symbol}.h"
    write_files({**bench.files, header: artifact.read(f"src/{header}")}, work)
    write_files({library: artifact.read(f"lib/{library}")}, work)
    objects = [f"{name[:-2]}.o" for name in bench.sources]
    for name, compiled in zip(bench.sources, objects, strict=True):
        zig(["cc", *bench.compile_flags, "-O2", "-c", name, "-o", compiled], work)
    zig(["cc", *bench.link_flags, *objects, library, "-o", "bench.elf"], work)
    image = (work / "bench.elf").read_bytes()
    kernels = [op.kernel for op in manifest.ops]
    return image if board.in_ram else divert_calls(image, manifest.symbol, kernels)


def _board_of(manifest: Manifest) -> Board:
    name = manifest.profile.get("serial", {}).get("board", "")
    if name not in BOARDS:
        known = ", ".join(BOARDS)
        raise EdgecompError(
            Reason(
                f"the profile of {manifest.device} names no board the bench firmware knows",
                "serial.board",
                f"compile for a profile with one of {known}",
            )
        )
    return BOARDS[name]
