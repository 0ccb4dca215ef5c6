"""Several operators on images computed together, a band of rows at a time.

A run of calls is patched: its last call makes its output a few rows at a time, and each call before
it makes only the rows that are needed for that and not there yet. So the images between them are
never there as a whole. Rows that the next band needs too are kept, moved to the beginning of the
band's memory, and none is computed twice. Only the bands' order differs from patch-based inference
(J. Lin et al., "MCUNetV2", 2021), which computes the rows at the edges again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from edgecomp.lowering.overlaps import overlaps_of
from edgecomp.lowering.row_bands import (
    Rows,
    band_of,
    function_of,
    has_bands,
    image_operands,
    output_rows,
    rows_read,
)
from edgecomp.program import Call, Kernel, Overlap, Program, Tensor, View
from edgecomp_runtime.manifest import PatchRecord

MOVE = "move_rows"
"""The schedule name of the calls that keep rows."""


@dataclass(frozen=True)
class Patch:
    """Calls `first` to `last` of a program, made so that the last makes `rows` rows at a time."""

    first: int
    last: int
    rows: int


def can_patch(program: Program, first: int, last: int) -> bool:
    """Whether calls `first` to `last` work on images, others reading only what the last makes."""
    calls = program.calls[first : last + 1]
    made = {call.operands[-1] for call in calls}
    if len(made) < len(calls) or not all(_is_image_call(program, call) for call in calls):
        return False
    inside = made - {calls[-1].operands[-1]}
    others = (*program.calls[:first], *program.calls[last + 1 :])
    used = {name for call in others for name in call.operands}
    return not (inside & used or inside & {spec.name for spec in program.outputs})


def _is_image_call(program: Program, call: Call) -> bool:
    work = program.kernels[call.kernel].work
    if not has_bands(work):
        return False
    images = (*call.operands[: image_operands(work)], call.operands[-1])
    return all(name in program.tensors and name not in program.states for name in images)


def patched(program: Program, patches: Sequence[Patch]) -> Program:
    """`program` with every patch's calls replaced by calls for its bands.

    Args:
        program: without views.
        patches: disjoint, each one for which `can_patch` holds.

    Returns:
        The program; its new kernels have work but no function: see `with_functions`.
    """
    draft = _Draft(program)
    starts = {patch.first: patch for patch in patches}
    index = 0
    while index < len(program.calls):
        patch = starts.get(index)
        if patch is None:
            draft.calls.append(program.calls[index])
            index += 1
        else:
            _add_patch(draft, patch)
            index = patch.last + 1
    gone = program.tensors.keys() - {name for call in draft.calls for name in call.operands}
    held = {spec.name for spec in (*program.inputs, *program.outputs)} | set(program.states)
    bases = {view.tensor for view in draft.views.values()}
    tensors = {**program.tensors, **draft.tensors}
    used = {call.kernel for call in draft.calls}
    return replace(
        program,
        tensors={name: t for name, t in tensors.items() if name not in gone - held - bases},
        views=draft.views,
        kernels={n: k for n, k in {**program.kernels, **draft.kernels}.items() if n in used},
        calls=tuple(draft.calls),
        patches=tuple(draft.patches),
    )


def with_functions(program: Program) -> Program:
    """`program` with functions for the kernels `patched` made."""
    from edgecomp.lowering.kernels.movement import copy

    def made(kernel: Kernel) -> Any:
        if kernel.schedule_as == MOVE:
            return copy(*kernel.work)
        return function_of(kernel.work, kernel.schedule_as)

    kernels = {
        name: kernel if kernel.func is not None else replace(kernel, func=made(kernel))
        for name, kernel in program.kernels.items()
    }
    moves = {
        name: replace(kernel, schedule_as="movement", work=None)
        for name, kernel in kernels.items()
        if kernel.schedule_as == MOVE
    }
    return replace(program, kernels={**kernels, **moves})


@dataclass
class _Draft:
    """What is new in the program that is being made."""

    program: Program
    calls: list[Call] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)
    kernels: dict[str, Kernel] = field(default_factory=dict)
    known: dict[tuple[str, Any], str] = field(default_factory=dict)
    patches: list[PatchRecord] = field(default_factory=list)

    def kernel(self, base: str, schedule_as: str, work: Any, overlaps: tuple[Overlap, ...]) -> str:
        """The name of the kernel for `work`, which is made once."""
        key = (base, work)
        if key not in self.known:
            name = f"{base}_band_{sum(known == base for known, _ in self.known) + 1}"
            self.kernels[name] = Kernel(name, schedule_as, None, 1, work, overlaps)
            self.known[key] = name
        return self.known[key]

    def rows(self, tensor: str, base: int, rows: Rows, whole: Tensor) -> str:
        """The name of some rows of an image, the first row of whose memory is row `base`."""
        name = f"{tensor} rows {rows[0]} to {rows[1] - 1}"
        name += f" from {base}" if base else ""
        self.tensors[name] = Tensor(name, (1, rows[1] - rows[0], *whole.shape[2:]), whole.dtype)
        row_bytes = self.tensors[name].bytes // (rows[1] - rows[0])
        self.views[name] = View(tensor, (rows[0] - base) * row_bytes)
        return name


@dataclass
class _Image:
    """An image that a patch makes for itself, while its bands are made.

    Attributes:
        whole: as it would be.
        ends: for each band, how many of its rows are there when the band is done.
        kept: for each band, the first row that it or a later one reads.
        base: the row its memory begins with.
        names: the tensor of each band: one for all, where bands have rows in common.
    """

    whole: Tensor
    ends: list[int]
    kept: list[int]
    base: int = 0
    names: list[str] = field(default_factory=list)

    @property
    def is_kept(self) -> bool:
        """Whether a band needs rows that an earlier one made."""
        return any(kept < end for kept, end in zip(self.kept[1:], self.ends[:-1], strict=True))

    @property
    def height(self) -> int:
        """The most rows that are there at once."""
        return max(end - kept for kept, end in zip(self.kept, self.ends, strict=True))


def _add_patch(draft: _Draft, patch: Patch) -> None:
    start = len(draft.calls)
    calls = draft.program.calls[patch.first : patch.last + 1]
    works = [draft.program.kernels[call.kernel].work for call in calls]
    ends = _ends(calls, works, patch.rows)
    images = _images(draft, calls, works, ends)
    for band in range(len(ends[-1])):
        for call, work, end in zip(calls, works, ends, strict=True):
            rows = (end[band - 1] if band else 0, end[band])
            if rows[0] < rows[1]:
                _add_call(draft, call, work, rows, images, band)
    made = draft.calls[start:]
    moved = [call for call in made if draft.kernels[call.kernel].schedule_as == MOVE]
    draft.patches.append(
        PatchRecord(
            operators=tuple(call.name for call in calls),
            rows=patch.rows,
            bands=len(ends[-1]),
            moved_bytes=sum(draft.tensors[call.operands[0]].bytes for call in moved),
            extra_macs=sum(c.macs for c in made) - sum(c.macs for c in calls),
        )
    )


def _ends(calls: Sequence[Call], works: Sequence[Any], step: int) -> list[list[int]]:
    """For each call and band, how many rows of its output are needed by the end of the band."""
    height = output_rows(works[-1])
    bands = -(-height // step)
    ends = [[0] * bands for _ in calls]
    ends[-1] = [min((band + 1) * step, height) for band in range(bands)]
    makers = {call.operands[-1]: index for index, call in enumerate(calls)}
    for index in reversed(range(len(calls))):
        for name in calls[index].operands[: image_operands(works[index])]:
            maker = makers.get(name)
            if maker is None:
                continue
            for band, end in enumerate(ends[index]):
                needed = rows_read(works[index], (0, end))[1] if end else 0
                ends[maker][band] = max(ends[maker][band], needed)
    return ends


def _images(
    draft: _Draft, calls: Sequence[Call], works: Sequence[Any], ends: Sequence[list[int]]
) -> dict[str, _Image]:
    """The images between the calls of a patch, with their memory."""
    images = {}
    for call, end in list(zip(calls, ends, strict=True))[:-1]:
        name = call.operands[-1]
        readers = [i for i, reader in enumerate(calls) if name in reader.operands[:-1]]
        kept = list(end)
        for band in reversed(range(len(end))):
            kept[band] = min(kept[band], end[band - 1] if band else 0)
            for i in readers:
                rows = (ends[i][band - 1] if band else 0, ends[i][band])
                if rows[0] < rows[1]:
                    kept[band] = min(kept[band], rows_read(works[i], rows)[0])
            if band + 1 < len(end):
                kept[band] = min(kept[band], kept[band + 1])
        whole = draft.program.tensors[name]
        image = _Image(whole, end, kept)
        kept_name, count = f"{name} in bands", len(end)
        image.names = [
            kept_name if image.is_kept else f"{kept_name} {band}" for band in range(count)
        ]
        shape = (1, image.height, *whole.shape[2:])
        draft.tensors.update({each: Tensor(each, shape, whole.dtype) for each in image.names})
        images[name] = image
    return images


def _add_call(
    draft: _Draft,
    call: Call,
    work: Any,
    rows: Rows,
    images: Mapping[str, _Image],
    band: int,
) -> None:
    """Append the call that makes `rows` of its output."""
    operands = []
    read = rows_read(work, rows)
    for name in call.operands[: image_operands(work)]:
        operands.append(_rows_of(draft, name, read, images, band))
    operands += call.operands[image_operands(work) : -1]
    result = call.operands[-1]
    if result in images:
        _make_room(draft, call, images[result], rows, band)
    operands.append(_rows_of(draft, result, rows, images, band))
    part = band_of(work, rows)
    base = draft.program.kernels[call.kernel]
    # where the kernel of the whole goes in another order, so do those of its bands
    whole = draft.program.tensors[result].bytes
    in_order = any(overlap.distance < whole for overlap in base.overlaps)
    overlaps = overlaps_of(part) if in_order else ()
    kernel = draft.kernel(base.name, base.schedule_as, part, overlaps)
    macs = call.macs * (rows[1] - rows[0]) // output_rows(work)
    draft.calls.append(replace(call, kernel=kernel, operands=tuple(operands), macs=macs))


def _rows_of(draft: _Draft, name: str, rows: Rows, images: Mapping[str, _Image], band: int) -> str:
    if name in images:
        image = images[name]
        return draft.rows(image.names[band], image.base, rows, image.whole)
    return draft.rows(name, 0, rows, draft.program.tensors[name])


def _make_room(draft: _Draft, call: Call, image: _Image, rows: Rows, band: int) -> None:
    """Before `rows` of an image are made: move the rows that are kept, if there is no room."""
    if not image.is_kept:
        image.base = rows[0]
        return
    if rows[1] - image.base <= image.height:
        return
    kept = (image.kept[band], rows[0])
    if kept[0] < kept[1]:
        source = draft.rows(image.names[band], image.base, kept, image.whole)
        target = draft.rows(image.names[band], kept[0], kept, image.whole)
        moved = draft.tensors[source]
        kernel = draft.kernel(MOVE, MOVE, (moved.shape, moved.dtype), (Overlap(0, 0),))
        draft.calls.append(Call(kernel, (source, target), call.name, "Identity", "integer", 0))
    image.base = kept[0]
