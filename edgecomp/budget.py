"""Does a program fit the memories of a device, and if not, what takes the room?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgecomp.device import Device
from edgecomp.errors import Reason
from edgecomp_runtime.manifest import BufferRecord, Flash, Memory, OpRecord

ROWS = 6
"""How many operators the table of a refusal has."""
CONTRIBUTORS = 3
"""How many buffers it names for each."""


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
        fix = "allow more, quantize the model, or make its images smaller: this is the least found"
        limit = _Limit("--ram", f"{ram_limit:,} bytes are allowed", ram_limit, fix)
        reasons.append(_ram_exceeded(limit, needs, memory, ops))
    ram = device.memory.ram_bytes.value
    if memory.ram_bytes > ram:
        fix = "quantize the model, make its images smaller, or choose a device with more RAM"
        if ram_limit is None:
            fix = f"compile with --ram {ram:.0f}, which makes images in bands of rows; or {fix}"
        limit = _Limit(device.name, f"the device has {ram:,} bytes", ram, fix)
        reasons.append(_ram_exceeded(limit, needs, memory, ops))
    return reasons


@dataclass(frozen=True)
class _Limit:
    """What RAM there is.

    Attributes:
        where: what sets the limit.
        has: the clause that says so.
        bytes: the limit.
        fix: what to do.
    """

    where: str
    has: str
    bytes: float
    fix: str


def bytes_at(buffers: Sequence[BufferRecord], call: int) -> int:
    """Bytes of the arena that call number `call` needs; what two buffers share counts once."""
    alive = sorted((b.offset, b.offset + b.bytes) for b in buffers if b.first <= call <= b.last)
    total, end = 0, 0
    for low, high in alive:
        total += max(0, high - max(low, end))
        end = max(end, high)
    return total


def _flash_exceeded(device: Device, needs: str, flash: Flash, ops: Sequence[OpRecord]) -> Reason:
    has = device.memory.flash_bytes.value
    parts = _parts(weights=flash.weights_bytes, code=flash.code_bytes)
    weights = {op.name: op for op in ops if op.weights_bytes}
    largest = sorted(weights.values(), key=lambda op: -op.weights_bytes)[:ROWS]
    rows = [(op.weights_bytes, f"{_short(op.name)} ({op.op})") for op in largest]
    return Reason(
        f"the program {needs} {flash.flash_bytes:,} bytes of flash ({parts}) and the device has "
        f"{has:,} bytes: {flash.flash_bytes - has:,.0f} too many",
        where=device.name,
        fix="quantize the model, make it smaller, or choose a device with more flash",
        details=_table("weights, bytes", rows),
    )


def _ram_exceeded(limit: _Limit, needs: str, memory: Memory, ops: Sequence[OpRecord]) -> Reason:
    parts = _parts(
        arena=memory.arena_bytes,
        stack=memory.stack_bytes,
        state=memory.state_bytes,
    )
    needed = [bytes_at(memory.buffers, call) for call in range(len(ops))]
    most: dict[str, int] = {}
    for call, op in enumerate(ops):
        if needed[call] > needed[most.setdefault(op.name, call)]:
            most[op.name] = call
    largest = sorted(most.values(), key=lambda call: (-needed[call], call))[:ROWS]
    rows = [(needed[call], _what(memory.buffers, call, ops[call])) for call in largest]
    turns = bool(largest) and ops[largest[0]].op == "Transpose"
    return Reason(
        f"the program {needs} {memory.ram_bytes:,} bytes of RAM ({parts}) and {limit.has}: "
        f"{memory.ram_bytes - limit.bytes:,.0f} too many",
        where=limit.where,
        fix=("give images with --input-layout nhwc, or " if turns else "") + limit.fix,
        details=_table("arena, bytes", rows),
    )


def _what(buffers: Sequence[BufferRecord], call: int, op: OpRecord) -> str:
    """An operator with the largest buffers it needs."""
    alive = sorted((b for b in buffers if b.first <= call <= b.last), key=lambda b: -b.bytes)
    named = ", ".join(f"{_short(b.name)} {b.bytes:,}" for b in alive[:CONTRIBUTORS])
    return f"{_short(op.name)} ({op.op}): {named}"


def _short(name: str) -> str:
    """The first of the names that a converter joined; of scratch memory, without the operator."""
    return name.split(" of call ")[0].split(";")[0]


def _table(title: str, rows: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    return (f"  {title:>14}  operator", *(f"  {size:>14,}  {what}" for size, what in rows))


def _parts(**sizes: int) -> str:
    """`weights 60,000, code 10,000`, those that are 0 left out."""
    return ", ".join(f"{name} {size:,}" for name, size in sizes.items() if size)
