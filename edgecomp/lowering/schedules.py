"""Schedules that suit every core; a target may bring better ones for the integer kernels.

Integer kernels are recognised by the names of their blocks: "pad", "acc" and "out".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tvm import s_tir

from edgecomp.lowering.float_schedule import schedule_float
from edgecomp.program import Kernel


def _block_names(func: Any) -> set[str]:
    names: set[str] = set()
    schedule = s_tir.Schedule(func)
    root = schedule.get_sblock("root")
    for block in schedule.get_child_blocks(root):
        names.add(schedule.get(block).name_hint)
    return names


def channel_tile(channels: int, widest: int = 16) -> int:
    """The largest power of two up to `widest` that divides `channels`."""
    tile = widest
    while channels % tile:
        tile //= 2
    return tile


def _reduce_inside(func: Any) -> Any:
    """One output at a time: pad rows as they are needed, sum in a register, rescale at once."""
    schedule = s_tir.Schedule(func)
    loops = schedule.get_loops(schedule.get_sblock("out"))
    inside = _sum_inside(schedule, loops[-1], len(loops))
    _pad_inside(schedule, loops[:2][-1])
    schedule.decompose_reduction(schedule.get_sblock("acc"), inside[0])
    return schedule.mod["main"]


def _channels_inside(func: Any) -> Any:
    """A tile of channels at a time, so that the innermost loop runs over contiguous channels."""
    schedule = s_tir.Schedule(func)
    loops = schedule.get_loops(schedule.get_sblock("out"))
    channels = int(schedule.get(loops[-1]).extent)
    outer, _ = schedule.split(loops[-1], [None, channel_tile(channels)])
    inside = _sum_inside(schedule, outer, len(loops))
    _pad_inside(schedule, loops[:2][-1])
    spatial, window = inside[: len(loops)], inside[len(loops) :]
    schedule.reorder(*window, spatial[-1])
    schedule.decompose_reduction(schedule.get_sblock("acc"), spatial[0])
    return schedule.mod["main"]


def _sum_inside(schedule: Any, loop: Any, depth: int) -> Any:
    """Sum inside `loop`, the `depth`-th; gives the loops there: the output's axes, then the sum's.

    Loops that turn once are kept, so that every shape has the same loops.
    """
    accumulator = schedule.get_sblock("acc")
    schedule.compute_at(accumulator, loop, preserve_unit_loops=True)
    return schedule.get_loops(accumulator)[depth:]


def _pad_inside(schedule: Any, loop: Any) -> None:
    """Pad, where the function pads, inside `loop` of the output."""
    if "pad" in _block_names(schedule.mod["main"]):
        schedule.compute_at(schedule.get_sblock("pad"), loop, preserve_unit_loops=True)


SCHEDULES = {
    "conv2d": _reduce_inside,
    "conv_transpose": _reduce_inside,
    "dense": _reduce_inside,
    "depthwise_conv2d": _channels_inside,
    "float": schedule_float,
    "matmul": _reduce_inside,
    "pool2d": _channels_inside,
    "reduce": _reduce_inside,
}


def schedule_kernel(kernel: Kernel) -> Kernel:
    """`kernel` with the schedule its `schedule_as` names; kernels without one stay as they are."""
    rule = SCHEDULES.get(kernel.schedule_as)
    return kernel if rule is None else replace(kernel, func=rule(kernel.func))
