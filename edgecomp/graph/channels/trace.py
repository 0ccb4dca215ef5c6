"""The channel numbers of every value and constant of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np
import onnx_ir as ir

from edgecomp.graph.channels.labels import (
    FROZEN,
    Labels,
    Numbers,
    along,
    compact,
    frozen,
    rectangles,
    varies,
)
from edgecomp.graph.values import is_constant, shape_of


@dataclass(frozen=True, eq=False)
class Use:
    """A constant that gets smaller with the channels.

    Attributes:
        node, index: the input of a node that it is.
        labels: of the constant's rank.
        makes: whether these are the channels that the node makes, not those it reads.
    """

    node: ir.Node
    index: int
    labels: Labels
    makes: bool = False


@dataclass(eq=False)
class Trace:
    """What was found; a rule adds to it.

    Attributes:
        numbers: the numbers and their sets.
        labels: of each value, by name.
        uses: constants with channels.
        protected: name patterns of nodes whose outputs stay whole.
    """

    protected: Sequence[str] = ()
    numbers: Numbers = field(default_factory=Numbers)
    labels: dict[str, Labels] = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)

    def of(self, value: ir.Value | None) -> Labels:
        """Labels of an activation."""
        assert value is not None, "the operator demands this input"
        return self.labels[str(value.name)]

    def give(self, value: ir.Value, labels: Labels) -> None:
        """Labels of what a node makes."""
        self.labels[str(value.name)] = labels

    def makes(self, node: ir.Node, count: int) -> Labels:
        """New numbers for `count` channels that the weights of `node` make."""
        if count == 1 or any(fnmatchcase(str(node.name), name) for name in self.protected):
            return np.full(count, FROZEN)
        return self.numbers.fresh(count)

    def use(
        self, node: ir.Node, index: int, vector: Labels, axis: int, makes: bool = False
    ) -> None:
        """Constant input `index` of `node` has the channels `vector` along `axis`."""
        value = node.inputs[index]
        assert value is not None, "a constant"
        if vector.size > 1:
            labels = along(vector, axis, len(shape_of(value)))
            self.uses.append(Use(node, index, labels, makes))

    def freeze(self, node: ir.Node, why: str) -> None:
        """Everything `node` reads has to stay, and what it makes."""
        for value in node.inputs:
            if value is not None and not is_constant(value):
                self.numbers.freeze(self.of(value), str(node.name), why)
        for value in node.outputs:
            if value.name:
                self.give(value, frozen(len(shape_of(value))))

    def vector(self, value: ir.Value | None, axis: int, node: ir.Node) -> Labels | None:
        """Numbers along `axis`, where they vary along no other; None (and frozen) where they do."""
        labels = self.of(value)
        axis %= labels.ndim
        if varies(labels) - {axis}:
            self.numbers.freeze(labels, str(node.name), "it mixes channels of several axes")
            return None
        return labels.reshape(-1)


def trace_channels(graph: ir.Graph, protected: Sequence[str] = ()) -> Trace:
    """The channels of `graph`: shapes static, no QuantizeLinear.

    Args:
        graph: what the importers leave.
        protected: name patterns (* ? [...]) of nodes whose outputs stay whole.
    """
    from edgecomp.graph.channels.rules import rule_of

    trace = Trace(protected)
    for value in graph.inputs:
        trace.give(value, frozen(len(shape_of(value))))
    for node in graph:
        if all(value is None or is_constant(value) for value in node.inputs):
            trace.freeze(node, "")
            continue
        rule_of(node)(trace, node)
    for value in graph.outputs:
        if not is_constant(value):
            trace.numbers.unite(trace.of(value), np.array(FROZEN))
    _tie(trace)
    rectangles(trace.numbers, [*trace.labels.values(), *(use.labels for use in trace.uses)])
    for name, labels in trace.labels.items():
        trace.labels[name] = compact(trace.numbers.roots(labels))
    roots = trace.numbers.roots
    trace.uses = [Use(u.node, u.index, roots(u.labels), u.makes) for u in trace.uses]
    return trace


def _tie(trace: Trace) -> None:
    """A constant that several nodes read loses the same for all of them, or nothing."""
    shared: dict[ir.Value, list[Use]] = {}
    for use in trace.uses:
        value = use.node.inputs[use.index]
        if value is not None and len(list(value.uses())) > 1:
            shared.setdefault(value, []).append(use)
    for value, uses in shared.items():
        for axis in set().union(*(varies(use.labels) for use in uses)):
            tied = [use for use in uses if axis in varies(use.labels)]
            for use in tied:
                trace.numbers.unite(tied[0].labels, use.labels)
            if len(tied) < len(list(value.uses())):
                trace.numbers.freeze(
                    tied[0].labels, str(tied[0].node.name), "its weights are shared"
                )
