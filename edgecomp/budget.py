"""Does a program fit the memories of a device, and if not, what takes the room?"""

from __future__ import annotations

from collections.abc import Sequence

from edgecomp.device import Device
from edgecomp.errors import Reason
from edgecomp_runtime.manifest import BufferRecord, Flash, Memory, OpRecord

CONTRIBUTORS = 3
"""How many of the largest weights or buffers a refusal names."""


def check_budget(
    device: Device,
    flash: Flash,
    memory: Memory,
    ops: Sequence[OpRecord],
    ram_limit: int | None = None,
    before_linking: bool = False,
) -> list[Reason]:
    """Why the program does not fit `device`: a reason for each memory exceeded, none if it fits.

    Args:
        device: where the program is to run.
        flash: bytes of code and weights.
        memory: bytes of RAM, and the buffers planned in the arena.
        ops: the calls, whose weights are named when flash is exceeded.
        ram_limit: bytes of RAM the user allows, where that is less than the device has.
        before_linking: code and stack are not known yet and 0, so that it needs more than this.
    """
    needs = "needs more than" if before_linking else "needs"
    reasons = []
    if flash.flash_bytes > device.memory.flash_bytes.value:
        reasons.append(_flash_exceeded(device, needs, flash, ops))
    if ram_limit is not None and memory.ram_bytes > ram_limit:
        reasons.append(_ram_exceeded("--ram", f"{ram_limit:,} bytes are allowed", needs, memory))
    if memory.ram_bytes > device.memory.ram_bytes.value:
        has = f"the device has {device.memory.ram_bytes.value:,} bytes"
        reasons.append(_ram_exceeded(device.name, has, needs, memory))
    return reasons


def peak_buffers(buffers: Sequence[BufferRecord]) -> tuple[BufferRecord, ...]:
    """The buffers alive at the call that needs the most bytes, largest first."""
    calls = {buffer.first for buffer in buffers}
    alive = [[b for b in buffers if b.first <= call <= b.last] for call in sorted(calls)]
    peak = max(alive, key=lambda live: sum(b.bytes for b in live), default=[])
    return tuple(sorted(peak, key=lambda b: (-b.bytes, b.name)))


def _flash_exceeded(device: Device, needs: str, flash: Flash, ops: Sequence[OpRecord]) -> Reason:
    largest = sorted(ops, key=lambda op: -op.weights_bytes)[:CONTRIBUTORS]
    parts = _parts(weights=flash.weights_bytes, code=flash.code_bytes)
    named = [f"{op.name} ({op.weights_bytes:,})" for op in largest if op.weights_bytes]
    return Reason(
        f"the program {needs} {flash.flash_bytes:,} bytes of flash ({parts}) "
        f"and the device has {device.memory.flash_bytes.value:,} bytes"
        + _listed("the largest weights are those of", named),
        where=device.name,
        fix="quantize the model, make it smaller, or choose a device with more flash",
    )


def _ram_exceeded(where: str, has: str, needs: str, memory: Memory) -> Reason:
    parts = _parts(
        arena=memory.arena_bytes,
        stack=memory.stack_bytes,
        state=memory.state_bytes,
    )
    named = [f"{b.name} ({b.bytes:,})" for b in peak_buffers(memory.buffers)[:CONTRIBUTORS]]
    return Reason(
        f"the program {needs} {memory.ram_bytes:,} bytes of RAM ({parts}) and {has}"
        + _listed("the largest buffers alive at the peak are", named),
        where=where,
        fix="quantize the model, make its images smaller, or choose a device with more RAM",
    )


def _parts(**sizes: int) -> str:
    """`weights 60,000, code 10,000`, those that are 0 left out."""
    return ", ".join(f"{name} {size:,}" for name, size in sizes.items() if size)


def _listed(intro: str, items: Sequence[str]) -> str:
    return f"; {intro} {', '.join(items)}" if items else ""
