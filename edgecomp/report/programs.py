"""Reports of `inspect`, `compress` and `compile`: models and the programs made of them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from edgecomp.commands.compile import Compiled
from edgecomp.commands.compress import Compressed, Step
from edgecomp.commands.inspect import PLACES, ArtifactInspection, Estimate, ModelInspection
from edgecomp.report.tables import Lines, Pairs, facts, table
from edgecomp.report.units import bytes_text, count_text, shape_text
from edgecomp_runtime.manifest import BufferRecord, Manifest, PatchRecord, TensorSpec

MAP_WIDTH = 40
"""Characters of the longest bar of a memory map."""


def inspection_lines(result: ModelInspection | ArtifactInspection) -> Lines:
    """A model or an artifact: its signature, its sizes, and a row for each operator."""
    return _model(result) if isinstance(result, ModelInspection) else _artifact(result)


def compressed_lines(result: Compressed) -> Lines:
    """What passes did to a model."""
    header = ["", "parameters#", "MACs#", "constants#"]
    if result.device is not None:
        header.append("instructions, modelled#")
    if result.steps[0].accuracy is not None:
        header.append("accuracy#")
    yield table("", tuple(header), [_step_row(step) for step in result.steps])
    left = [("left", f"{', '.join(names)}: {why}") for why, names in result.left_by_reason.items()]
    yield facts([*left, ("written", str(result.output))])


def _step_row(step: Step) -> tuple[str, ...]:
    found = step.statistics
    sizes = (count_text(found.params), count_text(found.macs), bytes_text(found.bytes))
    cost = () if found.instructions is None else (count_text(found.instructions),)
    share = () if step.accuracy is None else (f"{step.accuracy:.2%}",)
    return (step.brief or "as it came", *sizes, *cost, *share)


def compiled_lines(result: Compiled) -> Lines:
    """What was compiled, and what it needs."""
    manifest = result.manifest
    yield Text(f"{manifest.name} for {manifest.device}", style="bold")
    operators = f"{result.ops('integer')} integer, {result.ops('float')} float"
    yield facts(
        [
            *_signature(manifest.inputs, manifest.outputs),
            *_sizes(manifest),
            ("operators", operators),
            ("written", f"{result.output} ({bytes_text(result.file_bytes)})"),
            ("time", f"{result.seconds:.1f} s"),
        ]
    )


def _model(result: ModelInspection) -> Lines:
    summary = result.summary
    yield Text(summary.name, style="bold")
    taken = summary if result.dry.program is None else result.dry.program
    pairs = [
        *_signature(taken.inputs, taken.outputs),
        *_state(result),
        ("parameters", count_text(summary.params)),
        ("constants", bytes_text(summary.bytes)),
        ("MACs", count_text(summary.macs)),
        ("passes", ", ".join(result.passes) or "none"),
    ]
    pairs.append(("runs in", _places(result)))
    yield facts([*pairs, *_estimate(result.estimate)])
    shown = [op for op in summary.nodes if result.dry.where[op.name] != "folded"]
    last = "why" if result.quantized else "once quantized"
    yield table(
        "",
        ("node", "operator", "output", "MACs#", "parameters#", "runs in", last),
        [
            (
                op.name,
                op.op,
                shape_text(op.shape),
                count_text(op.macs),
                count_text(op.params),
                result.dry.where[op.name],
                _reason(result, op.name),
            )
            for op in shown
        ],
    )


def _state(result: ModelInspection) -> Pairs:
    """What a streaming model keeps from one inference for the next."""
    states = [] if result.dry.program is None else list(result.dry.program.states.values())
    if not states:
        return []
    size = sum(state.nbytes for state in states)
    return [("state", f"{len(states)} tensors, {count_text(size)} bytes, kept between inferences")]


def _places(result: ModelInspection) -> str:
    """`12 integer, 3 float`, and how many nodes are none of their own."""
    counts = [(result.count(place), place) for place in PLACES if place != "folded"]
    places = ", ".join(f"{count} {place}" for count, place in counts if count)
    folded = result.count("folded")
    if not folded:
        return places
    return f"{places}; {folded} more are computed with these or at compile time"


def _reason(result: ModelInspection, name: str) -> str:
    """Why a node runs where it does; of a float model, what would become of it."""
    why = result.dry.why.get(name)
    if why is not None or result.quantized:
        return why or ""
    why = result.why_not_chosen.get(name)
    return "integer" if why is None else f"float: {why}"


def _estimate(estimate: Estimate | None) -> Pairs:
    """What the program takes of a device."""
    if estimate is None:
        return []
    device, memory = estimate.device.name, estimate.device.memory
    flash = f"{count_text(estimate.weights_bytes)} bytes, and code"
    arena = f"{count_text(estimate.arena_bytes)} bytes, and stack"
    return [
        ("flash", f"weights {flash}, of {bytes_text(memory.flash_bytes.value)} ({device})"),
        ("RAM", f"arena {arena}, of {bytes_text(memory.ram_bytes.value)} ({device})"),
        *(("does not run", reason) for reason in estimate.reasons),
    ]


def _artifact(result: ArtifactInspection) -> Lines:
    manifest = result.manifest
    yield Text(f"{manifest.name} for {manifest.device}", style="bold")
    signature = _signature(manifest.inputs, manifest.outputs)
    size = f"{count_text(result.file_bytes)} bytes"
    if result.file_bytes != result.plain_bytes:
        size += f", {count_text(result.plain_bytes)} without Huffman codes"
    yield facts([*signature, *_sizes(manifest), ("file", size)])
    yield _op_table(manifest)
    yield _memory_map(manifest)


def _signature(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Pairs:
    tensors = [("input", spec) for spec in inputs] + [("output", spec) for spec in outputs]
    return [(kind, _tensor_text(spec)) for kind, spec in tensors]


def _tensor_text(spec: TensorSpec) -> str:
    layout = f" {spec.layout}" if spec.layout else ""
    text = f"{spec.name}: {spec.dtype} {shape_text(spec.shape)}{layout}"
    if spec.scale is None:
        return text
    return f"{text}, scale {spec.scale:.6g}, zero point {spec.zero_point}"


def _sizes(manifest: Manifest) -> Pairs:
    flash, memory = manifest.flash, manifest.memory
    sizes = [
        (
            "flash",
            f"{count_text(flash.flash_bytes)} bytes: weights {count_text(flash.weights_bytes)}, "
            f"code {count_text(flash.code_bytes)}",
        ),
        (
            "RAM",
            f"{count_text(memory.ram_bytes)} bytes: arena {count_text(memory.arena_bytes)}, "
            f"stack {count_text(memory.stack_bytes)}, state {count_text(memory.state_bytes)}",
        ),
        *(("in bands", _patch_text(patch)) for patch in manifest.patches),
        ("MACs", count_text(manifest.macs)),
        ("processor", f"{manifest.machine.cpu} ({manifest.machine.isa})"),
        ("passes", ", ".join(manifest.passes) or "none"),
    ]
    if manifest.preprocess:
        sizes.append(("preprocess", manifest.preprocess))
    return sizes


def _patch_text(patch: PatchRecord) -> str:
    first, last = patch.operators[0], patch.operators[-1]
    which = (
        first
        if len(patch.operators) == 1
        else f"{len(patch.operators)} operators, {first} to {last}"
    )
    return (
        f"{which}: {patch.bands} bands of {patch.rows} rows, "
        f"{count_text(patch.moved_bytes)} bytes moved, {count_text(patch.extra_macs)} extra MACs"
    )


def _op_table(manifest: Manifest) -> Table:
    stored = any(op.weights for op in manifest.ops)
    rows = [
        (
            op.name,
            op.op,
            op.where,
            count_text(op.macs),
            count_text(op.weights_bytes),
            *([op.weights] if stored else []),
            op.kernel,
        )
        for op in manifest.ops
    ]
    column = ["stored as"] if stored else []
    header = ("node", "operator", "runs in", "MACs#", "weights#", *column, "kernel")
    return table("", header, rows)


def _memory_map(manifest: Manifest) -> Table:
    """The arena: each buffer where it lies, over the calls it lives through."""
    calls = max(len(manifest.ops), 1)
    return table(
        "arena",
        ("buffer", "offset#", "bytes#", "alive from call to call"),
        [
            (b.name, count_text(b.offset), count_text(b.bytes), _life(b, calls))
            for b in sorted(manifest.memory.buffers, key=lambda b: (b.first, b.offset))
        ],
    )


def _life(buffer: BufferRecord, calls: int) -> str:
    """A bar over the calls, each of them a character where they are few."""
    width = min(calls, MAP_WIDTH)
    first = buffer.first * width // calls
    last = min(buffer.last * width // calls, width - 1)
    bar = "".join("█" if first <= place <= last else "·" for place in range(width))
    return f"{bar} {buffer.first}-{buffer.last}"
