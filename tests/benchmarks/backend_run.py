"""Run backend tests through the whole line: import, lower, emit C, compile, Session.

Many programs are compiled as one C file: a compiler takes longer to start than to compile one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from backend_cases import ONE_STEP, Case

from edgecomp.artifact import make_manifest
from edgecomp.compile_c import COMMON_FLAGS, write_files
from edgecomp.device import Device, load_device
from edgecomp.errors import EdgecompError
from edgecomp.importers.onnx import normalise
from edgecomp.lowering.emit_c import CSource, emit_c
from edgecomp.lowering.lower import lower
from edgecomp.program import Program
from edgecomp.target import Build, load_target
from edgecomp.toolchain import zig
from edgecomp_runtime.artifact import Artifact
from edgecomp_runtime.manifest import Flash, Machine
from edgecomp_runtime.session import Session
from edgecomp_targets.cpu import DISCARD, EXPORT, LINK
from edgecomp_targets.cpu.cores import CORES

FLAGS = ("-O1", "-fPIC", EXPORT)
"""A fast compilation; what the code means does not depend on it."""


@dataclass(frozen=True)
class Result:
    """What became of a test.

    Attributes:
        name: the test's name.
        status: "passed", "refused" (with a sentence, before anything ran) or "FAILED".
        detail: the sentence of a refusal; what is wrong with a failure.
    """

    name: str
    status: str
    detail: str = ""


@dataclass(frozen=True)
class Compiled:
    """A test up to its C."""

    case: Case
    program: Program
    source: CSource


def run_cases(cases: Sequence[Case], progress: Any = None) -> Iterator[Result]:
    """Run `cases`, compiled together; `progress` is told each name before its code can fail."""
    device = load_device("host")
    compiled = []
    for index, case in enumerate(cases):
        if progress is not None:
            progress(case.name)
        prepared = _prepare(case, f"c{index}", device)
        if isinstance(prepared, Result):
            yield prepared
        else:
            compiled.append(prepared)
    yield from _build_and_run(compiled, device, progress)


def _prepare(case: Case, name: str, device: Device) -> Compiled | Result:
    """Import and lower one test."""
    try:
        proto = onnx.ModelProto.FromString(case.model.SerializeToString())
        shapes = {
            name: array.shape
            for name, array in case.inputs.items()
            if name not in case.bindings and hasattr(array, "shape")
        }
        # the signature is the file's, also where a quantized model could take integers
        program = lower(normalise(proto, shapes, case.bindings, name), integer_io=False)
        target = load_target(device.target)
        kernels = {key: target.schedule(k, device) for key, k in program.kernels.items()}
        program = replace(program, kernels=kernels)
        return Compiled(case, program, emit_c(program))
    except EdgecompError as error:
        return Result(case.name, "refused", str(error))
    except Exception as error:  # whatever is no refusal is a failure, and has to be seen
        return Result(case.name, "FAILED", f"{type(error).__name__}: {str(error)[:300]}")


def _build_and_run(compiled: Sequence[Compiled], device: Device, progress: Any) -> Iterator[Result]:
    """Compile all as one; where that fails, find the culprits by halves."""
    if not compiled:
        return
    try:
        library = _compile(compiled, device)
    except EdgecompError as error:
        if len(compiled) == 1:
            yield Result(compiled[0].case.name, "FAILED", f"C compiler: {_first_error(error)}")
            return
        middle = len(compiled) // 2
        yield from _build_and_run(compiled[:middle], device, progress)
        yield from _build_and_run(compiled[middle:], device, progress)
        return
    for each in compiled:
        if progress is not None:
            progress(each.case.name)
        yield _run(each, library, device)


def _first_error(error: EdgecompError) -> str:
    lines = [line for line in str(error).splitlines() if "error:" in line]
    return lines[0] if lines else str(error)[:300]


def _compile(compiled: Sequence[Compiled], device: Device) -> bytes:
    core = CORES[device.core]
    processor = ["-target", core.triple, f"-mcpu={core.cpu}"]
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        parts = []
        for each in compiled:
            write_files(each.source.files, folder)
            parts += [name for name in each.source.files if name.endswith(".c")]
        together = "".join(f'#include "{name}"\n' for name in parts)
        write_files({"all.c": together, DISCARD[0]: DISCARD[1]}, folder)
        zig(["cc", *processor, *FLAGS, *COMMON_FLAGS, "-c", "all.c", "-o", "all.o"], folder)
        zig(["cc", *processor, *LINK, "all.o", "-o", "all.so"], folder)
        return (folder / "all.so").read_bytes()


def _run(compiled: Compiled, library: bytes, device: Device) -> Result:
    case, core = compiled.case, CORES[device.core]
    machine = Machine(core.isa, core.cpu, core.features)
    build = Build({"lib/all.so": library}, "lib/all.so", machine, Flash(0, 0, 0), 0)
    manifest = make_manifest(compiled.program, compiled.source, build, device, None)
    artifact = Artifact(Path(case.name), manifest, build.files)
    try:
        with Session(artifact) as session:
            outputs = session.run({spec.name: case.inputs[spec.name] for spec in manifest.inputs})
        wrong = _difference(case, outputs)
    except Exception as error:  # the Session takes what the test gives, or it is wrong
        wrong = f"{type(error).__name__}: {str(error)[:300]}"
    return Result(case.name, "FAILED" if wrong else "passed", wrong)


def _difference(case: Case, outputs: dict[str, Any]) -> str:
    """What is wrong with `outputs`; empty if nothing is."""
    step = 1.0 if case.operator in ONE_STEP else 0.0
    for name, expected in case.outputs.items():
        got = outputs[name]
        if got.dtype != expected.dtype or got.shape != expected.shape:
            return (
                f"{name}: {got.dtype}{list(got.shape)} instead of "
                f"{expected.dtype}{list(expected.shape)}"
            )
        same = np.isclose(
            got.astype(np.float64),
            expected.astype(np.float64),
            rtol=case.rtol,
            atol=max(case.atol, step),
            equal_nan=True,
        )
        if not same.all():
            index = tuple(int(i) for i in np.argwhere(~same)[0])
            return f"{name}{list(index)}: {got[index]} instead of {expected[index]}"
    return ""
