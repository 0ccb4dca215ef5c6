"""What the manifest of an artifact says of a program that was built."""

from __future__ import annotations

from importlib.metadata import version

from edgecomp.device import Device
from edgecomp.lowering.emit_c import CSource
from edgecomp.program import Program
from edgecomp.target import Build
from edgecomp_runtime.manifest import Manifest, Memory, OpRecord

PRODUCERS = ("edgecomp", "apache-tvm", "ziglang")
"""Packages whose versions decide what the code is."""


def make_manifest(
    program: Program, source: CSource, build: Build, device: Device, preprocess: str | None
) -> Manifest:
    """The manifest of `program`, compiled to `build` for `device`."""
    return Manifest(
        name=program.name,
        symbol=program.symbol,
        target=device.target,
        device=device.name,
        profile=device.to_json(),
        machine=build.machine,
        program=build.program,
        inputs=program.inputs,
        outputs=program.outputs,
        memory=memory_of(source, build.stack_bytes),
        flash=build.flash,
        ops=op_records(program, source),
        patches=program.patches,
        passes=program.passes,
        preprocess=preprocess,
        producer={name: version(name) for name in PRODUCERS},
    )


def memory_of(source: CSource, stack_bytes: int) -> Memory:
    """The RAM of a program whose calls go `stack_bytes` deep."""
    plan = source.plan
    return Memory(
        arena_bytes=plan.arena_bytes,
        arena_alignment=plan.alignment,
        state_bytes=len(source.state),
        stack_bytes=stack_bytes,
        ram_bytes=plan.arena_bytes + len(source.state) + stack_bytes,
        buffers=plan.buffers,
    )


def op_records(program: Program, source: CSource) -> tuple[OpRecord, ...]:
    """A record for each call of `program`, in order."""
    return tuple(
        OpRecord(
            name=call.name,
            op=call.op,
            kernel=function,
            macs=call.macs,
            where=call.where,
            weights_bytes=sum(
                program.constants[name].nbytes
                for name in call.operands
                if name in program.constants
            ),
            weights=call.weights,
        )
        for call, function in zip(program.calls, source.functions, strict=True)
    )
