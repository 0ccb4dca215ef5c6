"""One schedule for the float kernels of every target.

The order in which a reduction adds is part of a kernel's meaning, so reduction loops keep their
order and every target uses this schedule. What it changes is which outputs are computed together:
a tile of neighbours along the innermost axis, so that the C compiler can use vectors without
reordering a sum, times a few along an axis that reuses the same operand. Functions it knows nothing
better for stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tvm
from tvm import s_tir

from edgecomp.lowering.tir_facts import (
    DATA_PARALLEL,
    all_extents,
    blocks_of,
    extent_of,
    is_costly,
    is_reduction,
    is_strided,
    largest_divisor,
    loads_of,
    mentions,
    product,
    reduction_rank,
    spatial_extents,
)

# A padded operand is kept in scratch memory this large at most, in bytes.
SCRATCH_BYTES = 8192
# Neighbours computed together.
WIDEST_TILE = 128
NARROWEST_TILE = 16
# Sums kept for each neighbour where an operand is reused.
REUSE = 4
# With this many sums in a tile, more than there are registers but few enough for the C compiler to
# unroll all of them, clang 22 makes code up to 20 times slower (measured); half as many are kept.
UNROLLED_SUMS = range(25, 96)


def schedule_float(func: Any) -> Any:
    """`func`, a TIR function of one float group, with its loops arranged for a C compiler."""
    for rule in (_tiled, _row_by_row, _plain):
        try:
            return rule(s_tir.Schedule(func, error_render_level="fast"))
        except (s_tir.ScheduleError, tvm.error.InternalError):  # some conditions are assertions
            continue
    return func


def _plain(schedule: Any) -> Any:
    """Chains inlined, the start of each sum before its loops."""
    _inline(schedule, _reads_more_than_once)
    _split_initializations(schedule)
    _flatten(schedule)
    return schedule.mod["main"]


def _row_by_row(schedule: Any) -> Any:
    """Several reductions over the same axes, as in a softmax: all of them for one row at a time."""
    _inline(schedule, _reads_more_than_once)
    blocks = blocks_of(schedule)
    reductions = [block for block in blocks if is_reduction(schedule, block)]
    last = blocks[-1]
    if len(reductions) < 2 or is_reduction(schedule, last):
        raise s_tir.ScheduleError("not several reductions and a last step")
    kept = min((spatial_extents(schedule, block) for block in reductions), key=product)
    loops = schedule.get_loops(last)
    extents = [extent_of(schedule, loop) for loop in loops]
    if len(kept) != len(loops):
        kept = extents[: len(kept)] if kept == extents[: len(kept)] else _refuse()
        kept = kept + [1] * (len(loops) - len(kept))
    outer = [
        loop for loop, extent, keep in zip(loops, extents, kept, strict=True) if keep == extent
    ]
    inner = [
        loop for loop, extent, keep in zip(loops, extents, kept, strict=True) if keep != extent
    ]
    if not outer or not inner:
        _refuse()
    schedule.reorder(*outer, *inner)
    for block in reversed(blocks[:-1]):
        schedule.compute_at(block, outer[-1])
    _split_initializations(schedule)
    return schedule.mod["main"]


def _tiled(schedule: Any) -> Any:
    """One reduction with much reuse: a convolution, a matrix product, a pool."""
    _inline(schedule, _reads_more_than_once)
    reductions = [block for block in blocks_of(schedule) if is_reduction(schedule, block)]
    if len(reductions) != 1:
        _refuse()
    reduction = reductions[0]
    consumers = schedule.get_consumers(reduction)
    if len(consumers) > 1 or any(is_reduction(schedule, block) for block in consumers):
        _refuse()
    last = consumers[0] if consumers else schedule.cache_write(reduction, 0, "global")
    loops = schedule.get_loops(last)
    spatial = spatial_extents(schedule, reduction)
    if [extent_of(schedule, loop) for loop in loops] != spatial:
        _refuse()
    if max(spatial, default=1) == 1:
        _refuse()
    vector = max(i for i, extent in enumerate(spatial) if extent > 1)
    tile = _tile_loops(schedule, reduction, loops, vector)
    start = len(schedule.get_loops(last)) - _loops_inside(schedule, last, tile)
    schedule.compute_at(reduction, tile, preserve_unit_loops=True)
    own = schedule.get_loops(reduction)[start:]
    steps = own[len(own) - reduction_rank(schedule, reduction) :]
    schedule.reorder(*steps, *own[: len(own) - len(steps)])
    _place_producers(schedule, reduction, start + len(steps))
    schedule.decompose_reduction(reduction, schedule.get_loops(reduction)[start])
    return schedule.mod["main"]


def _tile_loops(schedule: Any, reduction: Any, loops: list[Any], vector: int) -> Any:
    """Split the vector axis and one that reuses its operand; the loop around the tile.

    Axes the operand does not depend on come last, so that one copy of it, padded, serves them all.
    """
    extents = [extent_of(schedule, loop) for loop in loops]
    width = _width(extents[vector])
    free, strided = _free_axes(schedule, reduction, vector)
    outer = [loop for i, loop in enumerate(loops) if i != vector and i not in free]
    chunks, neighbours = schedule.split(loops[vector], [None, width])
    outer.append(chunks)
    tile = [neighbours]
    longest = max(free, key=extents.__getitem__, default=None)
    for axis in free:
        if axis == longest and not strided:
            sums = REUSE // 2 if width * REUSE in UNROLLED_SUMS else REUSE
            rows, inner = schedule.split(loops[axis], [None, largest_divisor(extents[axis], sums)])
            outer.append(rows)
            tile.insert(0, inner)
        else:
            outer.append(loops[axis])
    schedule.reorder(*outer, *tile)
    return outer[-1]


def _width(extent: int) -> int:
    """How many neighbours to compute together: a divisor of `extent` unless all are small."""
    width = largest_divisor(extent, WIDEST_TILE)
    return width if width >= min(extent, NARROWEST_TILE) else WIDEST_TILE


def _loops_inside(schedule: Any, block: Any, around: Any) -> int:
    """How many loops of `block` lie inside the loop `around`."""
    loops = schedule.get_loops(block)
    wanted = schedule.get(around)
    position = next(i for i, loop in enumerate(loops) if schedule.get(loop).same_as(wanted))
    return len(loops) - position - 1


def _free_axes(schedule: Any, reduction: Any, vector: int) -> tuple[list[int], bool]:
    """Spatial axes an operand along the vector axis does not depend on, and whether it is strided.

    A strided operand is not worth a tile: the C compiler does better with one sum.
    """
    block = schedule.get(reduction)
    axes = [axis.var for axis in block.iter_vars if axis.iter_type == DATA_PARALLEL]
    for load in loads_of(block.body):
        used = {axis for axis in range(len(axes)) if mentions(load.indices, axes[axis])}
        if vector in used and not load.source.same_as(block.writes[0].source):
            free = [axis for axis in range(len(axes)) if axis not in used]
            return free, is_strided(load.indices, axes[vector])
    return [], False


def _place_producers(schedule: Any, reduction: Any, end: int) -> None:
    """Compute padded operands as far out as `SCRATCH_BYTES` allows, in the first `end` loops."""
    for producer in schedule.get_producers(reduction):
        if is_reduction(schedule, producer):
            _refuse()
        for depth in range(end):
            trial = schedule.copy()
            block = trial.get_sblock(schedule.get(producer).name_hint)
            around = trial.get_loops(trial.get_sblock(schedule.get(reduction).name_hint))
            trial.compute_at(block, around[depth])
            own = trial.get_loops(block)[depth + 1 :]
            if 4 * product(extent_of(trial, loop) for loop in own) <= SCRATCH_BYTES:
                schedule.compute_at(producer, schedule.get_loops(reduction)[depth])
                break
        else:
            schedule.compute_inline(producer)


def _inline(schedule: Any, keep: Callable[[Any, Any, list[Any]], bool]) -> None:
    """Inline elementwise and data-movement steps into the steps that read them."""
    outputs = {schedule.get(block).name_hint for block in schedule.get_output_blocks("root")}
    for block in reversed(blocks_of(schedule)):
        if is_reduction(schedule, block) or schedule.get(block).name_hint in outputs:
            continue
        if not keep(schedule, block, schedule.get_consumers(block)):
            schedule.compute_inline(block)


def _reads_more_than_once(schedule: Any, block: Any, consumers: list[Any]) -> bool:
    """Whether inlining `block`, which is more than a move or an addition, would repeat its work."""
    body = schedule.get(block).body
    if not isinstance(body, tvm.tirx.BufferStore):
        return True
    if isinstance(body.value, tvm.ir.TensorLoad):
        return False
    elements = product(all_extents(schedule, block))
    buffer = schedule.get(block).writes[0].source
    reads = 0
    for consumer in consumers:
        loads = [
            load for load in loads_of(schedule.get(consumer).body) if load.source.same_as(buffer)
        ]
        reads += len(loads) * product(all_extents(schedule, consumer))
    reducing = any(is_reduction(schedule, consumer) for consumer in consumers)
    return reads > elements and (reducing or is_costly(body.value))


def _split_initializations(schedule: Any) -> None:
    """Move the start of every sum in front of the loops that add to it."""
    for block in blocks_of(schedule):
        if not is_reduction(schedule, block) or schedule.get(block).init is None:
            continue
        loops = schedule.get_loops(block)
        steps = reduction_rank(schedule, block)
        if steps < len(loops):
            schedule.decompose_reduction(block, loops[len(loops) - steps])


def _flatten(schedule: Any) -> None:
    """One long loop for a lone step whose operands all have the shape of the result."""
    blocks = blocks_of(schedule)
    if len(blocks) != 1 or is_reduction(schedule, blocks[0]):
        return
    block = schedule.get(blocks[0])
    axes = [axis.var for axis in block.iter_vars]
    loads = loads_of(block.body)
    same = all(
        len(load.indices) == len(axes)
        and all(index.same_as(axis) for index, axis in zip(load.indices, axes, strict=True))
        for load in loads
    )
    loops = schedule.get_loops(blocks[0])
    if same and len(loops) > 1:
        schedule.fuse(*loops)


def _refuse() -> Any:
    """Leave the function to the next rule."""
    raise s_tir.ScheduleError("this rule does not apply")
