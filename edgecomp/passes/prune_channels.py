"""Remove whole channels from a graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.errors import EdgecompError, Reason
from edgecomp.graph.channels.cut import cut_channels, kept_places
from edgecomp.graph.channels.trace import Trace, trace_channels
from edgecomp.graph.edit import add_constant
from edgecomp.graph.qdq import is_dequantize, is_quantize
from edgecomp.graph.summary import summarize
from edgecomp.graph.values import constant_input, input_at, shape_of
from edgecomp.model import Model
from edgecomp.passes.prune_scores import Asked, layers_of, scores_of, scores_per_mac
from edgecomp.passes.prune_select import select
from edgecomp.passes.quantize_observe import channel_mean
from edgecomp.reference import Executor

Array = npt.NDArray[np.float64]

HALVINGS = 12
"""Of the interval of shares when a budget decides."""


@dataclass(frozen=True)
class Goal:
    """What to remove.

    Attributes:
        sparsity: share of the channels, where no budget is given.
        params, macs: shares of the model to keep at most; 1 where that does not matter.
        scope: what competes: all channels, or those of layers that go together.
        multiple: what a layer keeps is brought up to a multiple of it.
        criterion: one of `prune_scores.CRITERIA`.
        protect: name patterns of nodes that keep their channels.
        per_mac: whether a channel's score is divided by the multiply-accumulates that go with it.
    """

    sparsity: float
    params: float
    macs: float
    scope: Literal["global", "layer"]
    multiple: int
    criterion: str
    protect: tuple[str, ...]
    per_mac: bool


def remove_channels(model: Model, goal: Goal, asked: Asked) -> ir.Model:
    """The graph of `model` without its least important channels.

    What a removed channel was on average, over the samples, is added to the biases that read it.

    Raises:
        EdgecompError: no channel can go, the budget cannot be met, or samples are missing.
    """
    refuse_quantized(model)
    clone = model.graph.clone()
    sees = asked.context.data is not None or asked.context.train is not None
    if sees:
        _give_biases(clone.graph)
    trace = trace_channels(clone.graph, goal.protect)
    layers = layers_of(trace)
    if not layers:
        raise EdgecompError(_held(trace))
    numbers = [layer.numbers for layer in layers]
    traced = model.with_graph(clone)
    if goal.per_mac:
        scores = scores_per_mac(traced, layers, goal.criterion, asked, trace)
    else:
        scores = scores_of(traced, layers, goal.criterion, asked)
    before = summarize(model)

    def pruned(share: float) -> set[int]:
        return select(scores, numbers, share, goal.scope, goal.multiple)

    def shares_left(gone: set[int]) -> tuple[float, float]:
        after = summarize(model.with_graph(cut_channels(clone, trace, gone)))
        return after.params / max(before.params, 1), after.macs / max(before.macs, 1)

    if goal.params == 1.0 and goal.macs == 1.0:
        gone = pruned(goal.sparsity)
    else:
        low, high = 0.0, 1.0
        least = shares_left(pruned(high))
        if least[0] > goal.params or least[1] > goal.macs:
            raise EdgecompError(_out_of_reach(least, trace))
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            params, macs = shares_left(pruned(middle))
            fits = params <= goal.params and macs <= goal.macs
            low, high = (low, middle) if fits else (middle, high)
        gone = pruned(high)
    if sees:
        _compensate(model.with_graph(clone), trace, gone, asked)
    return cut_channels(clone, trace, gone)


def refuse_quantized(model: Model) -> None:
    """Raise where the model is quantized already: integers cannot be pruned and trained on."""
    for node in model.graph.graph:
        if is_quantize(node) or is_dequantize(node):
            raise EdgecompError(
                Reason("the model is quantized already", str(node.name), "prune before quantize")
            )


def _held(trace: Trace) -> list[Reason]:
    """Why nothing can go."""
    reasons = [Reason(why, node) for node, why in trace.numbers.reasons.items()]
    fix = "prune weights instead (granularity=weight)"
    return [*reasons, Reason("no channel can be removed", "prune", fix)]


def _out_of_reach(least: tuple[float, float], trace: Trace) -> list[Reason]:
    """What is left at least, and the nodes that hold it."""
    holders = [Reason(why, node) for node, why in trace.numbers.reasons.items() if why]
    reason = Reason(
        f"the budget cannot be met: {least[0]:.1%} of the parameters and {least[1]:.1%} of the "
        "multiply-accumulates are the least that removing channels leaves",
        "prune",
        "ask for less",
    )
    return [reason, *holders]


def _give_biases(graph: ir.Graph) -> None:
    """Every convolution and Gemm gets a bias, to take what removed channels were on average."""
    for node in graph:
        if node.op_type in ("Conv", "Gemm") and input_at(node, 2) is None:
            weights = node.inputs[1]
            assert weights is not None, "the operator demands weights"
            transposed = node.op_type == "Gemm" and not node.attributes.get_int("transB", 0)
            count = shape_of(weights)[1 if transposed else 0]
            node.resize_inputs(3)
            zeros = np.zeros(count, np.float32)
            node.replace_input_with(2, add_constant(graph, f"{node.name}/bias", zeros))


def _compensate(model: Model, trace: Trace, gone: set[int], asked: Asked) -> None:
    """Add to each bias, in place, what the channels that go contributed on average."""
    readers = _readers(trace, gone)
    if not readers:
        return
    data = asked.context.need_data("prune")
    names = {node: str(node.inputs[0].name) for node, _ in readers if node.inputs[0] is not None}
    means: dict[str, Array] = {}
    executor = Executor(model.graph, list(dict.fromkeys(names.values())))
    total = min(asked.samples, data.count(model.inputs))
    with asked.context.progress.task("means", total=total) as step:
        for feed in data.samples(model.inputs, asked.samples):
            values = executor.run(feed)
            for node, name in names.items():
                axis = 1 if node.op_type == "Conv" else -1
                means[name] = means.get(name, 0.0) + channel_mean(values[name], axis) / total
            step()
    for node, removed in readers:
        weights, bias = constant_input(node, 1), constant_input(node, 2)
        assert weights is not None
        assert bias is not None
        mean = np.where(removed, means[names[node]], 0.0)
        if node.op_type == "Conv":
            shift = weights.reshape(*weights.shape[:2], -1).sum(axis=2, dtype=np.float64) @ mean
        else:
            matrix = weights if node.attributes.get_int("transB", 0) else weights.T
            shift = node.attributes.get_float("alpha", 1.0) * (matrix.astype(np.float64) @ mean)
            shift = shift / node.attributes.get_float("beta", 1.0)
        value = add_constant(model.graph.graph, f"{node.name}/bias", (bias + shift).astype("f4"))
        node.replace_input_with(2, value)


def _readers(trace: Trace, gone: set[int]) -> Sequence[tuple[ir.Node, npt.NDArray[np.bool_]]]:
    """Convolutions without groups and Gemms that read channels that go, and which these are."""
    numbers = np.array(sorted(gone), np.int64)
    found = []
    for use in trace.uses:
        plain = use.node.op_type == "Gemm" or (
            use.node.op_type == "Conv" and use.node.attributes.get_int("group", 1) == 1
        )
        if plain and use.index == 1 and not use.makes:
            kept = kept_places(use.labels, numbers)
            found += [(use.node, ~places) for places in kept.values()]
    return found
