"""Which layers lose channels together."""

from __future__ import annotations

import onnx_ir as ir

from edgecomp.graph.channels.labels import FROZEN
from edgecomp.graph.channels.trace import trace_channels


def coupled_layers(graph: ir.Graph) -> list[tuple[str, ...]]:
    """Names of the nodes with weights whose channels go together, a tuple for each such group.

    Groups and their members are in execution order; nodes that keep all channels are in none.

    Args:
        graph: shapes static, no QuantizeLinear.
    """
    groups: list[tuple[set[int], list[str]]] = []
    for use in trace_channels(graph).uses:
        numbers = set(use.labels.ravel().tolist()) - {FROZEN}
        if not use.makes or use.index != 1 or not numbers:
            continue
        names = [str(use.node.name)]
        apart = []
        for group in groups:
            if group[0] & numbers:
                numbers |= group[0]
                names = group[1] + names
            else:
                apart.append(group)
        groups = [*apart, (numbers, names)]
    order = {str(node.name): place for place, node in enumerate(graph)}
    sorted_groups = [tuple(sorted(set(names), key=order.__getitem__)) for _, names in groups]
    return sorted(sorted_groups, key=lambda names: order[names[0]])
