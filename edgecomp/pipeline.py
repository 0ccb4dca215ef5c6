"""The stages, in order: import, passes, lower, build, write. Read this file first."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgecomp.artifact import make_manifest, memory_of, op_records
from edgecomp.budget import check_budget
from edgecomp.calibration import CalibrationData
from edgecomp.compress import compress
from edgecomp.device import Device
from edgecomp.errors import raise_if_any
from edgecomp.fit_ram import fit_ram
from edgecomp.model import Model
from edgecomp.passes.base import Pass
from edgecomp.progress import SILENT, Progress
from edgecomp.target import Build, StoringTarget, load_target
from edgecomp.training_data import TrainingData
from edgecomp_runtime.artifact import write_artifact
from edgecomp_runtime.manifest import STATE_NAME, Flash, Manifest

if TYPE_CHECKING:
    from edgecomp.lowering.emit_c import CSource
    from edgecomp.program import Program


@dataclass(frozen=True)
class Options:
    """How to compile.

    Attributes:
        optimize: "speed", "balanced" or "size".
        ram_limit: bytes of RAM the program may take: where it needs more, operators are computed
            in bands of rows so that it fits. None leaves it as it is fastest.
        integer_io: a quantized model takes and gives integers; the caller converts.
        input_layout: "nhwc" lets the caller give 4-d inputs in that order; None keeps the model's.
        preprocess: recorded in the artifact, applied to uint8 data by `run` and `evaluate`.
        huffman: the artifact holds constants once, Huffman-coded: a smaller file to send.
    """

    optimize: str = "balanced"
    ram_limit: int | None = None
    integer_io: bool = True
    input_layout: str | None = None
    preprocess: str | None = None
    huffman: bool = False


def compile_model(
    model: Model,
    device: Device,
    output: Path,
    *,
    passes: Sequence[Pass] = (),
    data: CalibrationData | None = None,
    train: TrainingData | None = None,
    options: Options = Options(),
    progress: Progress = SILENT,
) -> Manifest:
    """Compile an imported `model` for `device` and write the artifact to `output`.

    Raises:
        EdgecompError: with every reason why the model, the options or the device do not fit.
    """
    from edgecomp.lowering.lower import lower

    model = compress(model, passes, data, progress, train=train, device=device)
    with progress.task("lower", total=1) as step:
        lowered = lower(model, integer_io=options.integer_io, input_layout=options.input_layout)
        step()
    with progress.task("build", total=1) as step:
        built = fit_ram(
            lowered,
            options.ram_limit,
            lambda program: emitted(program, device, options.optimize, options.ram_limit),
            lambda program, source: _build(program, source, device, options.optimize),
        )
        step()
    program, source, build = built.program, built.source, built.build
    manifest = make_manifest(program, source, build, device, options.preprocess)
    raise_if_any(
        check_budget(device, manifest.flash, manifest.memory, manifest.ops, options.ram_limit)
    )
    state = {STATE_NAME: source.state} if source.state else {}
    constants = list(program.constants.values()) if options.huffman else ()
    return write_artifact(output, manifest, {**build.files, **state}, constants)


def _build(program: Program, source: CSource, device: Device, optimize: str) -> Build:
    """`program` compiled and linked.

    Raises:
        EdgecompError: the device has no room for it, or no compiler.
    """
    # Before linking: a linker would say less about a program that is far too big.
    weights = Flash(source.weights_bytes, source.weights_bytes, 0)
    memory, records = memory_of(source, 0), op_records(program, source)
    raise_if_any(check_budget(device, weights, memory, records, before_linking=True))
    with tempfile.TemporaryDirectory() as work:
        return load_target(device.target).build(source, program, device, Path(work), optimize)


def emitted(
    program: Program, device: Device, optimize: str, ram_limit: int | None = None
) -> tuple[Program, CSource]:
    """`program` with kernels and constants as `device` wants them, its calls in order, and its C.

    Raises:
        EdgecompError: it cannot be written in C.
    """
    from edgecomp.lowering.emit_c import emit_c
    from edgecomp.lowering.half_constants import with_half_constants

    target = load_target(device.target)
    # to convert takes time, which pays where flash is short
    short = math.isfinite(device.memory.flash_bytes.value)
    if optimize == "size" or (optimize == "balanced" and short):
        program = with_half_constants(program)
    program = target.arrange(program, device, optimize)
    kernels = {name: target.schedule(k, device) for name, k in program.kernels.items()}
    program = replace(program, kernels=kernels)
    source = emit_c(program)
    program = replace(program, calls=source.calls)
    if isinstance(target, StoringTarget):
        stored = target.store(program, source.plan, device, optimize, ram_limit)
        if stored is not program:
            source = emit_c(stored)
            program = replace(stored, calls=source.calls)
    return program, source
