"""Low rank: convolutions and matrix products replaced by several smaller ones, where that pays.

Matrices and 1 x 1 convolutions are split in two by a singular value decomposition; k x k
convolutions by their outputs' subspace, by rows and columns, or by Tucker-2. With calibration
samples the decompositions are weighted by the second moments of what a layer reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import ClassVar, Literal

import onnx_ir as ir
import onnx_ir.passes.common as common

from edgecomp.errors import EdgecompError, Reason
from edgecomp.graph.cost import CORES, CoreCost
from edgecomp.graph.shapes import infer_shapes
from edgecomp.graph.summary import summarize
from edgecomp.model import Model
from edgecomp.passes.base import Pass
from edgecomp.passes.context import Context
from edgecomp.passes.lowrank_factors import Array
from edgecomp.passes.lowrank_layers import Layer, layers_of, replace_layer
from edgecomp.passes.lowrank_plan import (
    ENERGIES,
    MACS_ALONE,
    Plan,
    Unfolded,
    factors,
    plan,
    plan_size,
    unfold_layer,
)
from edgecomp.passes.moments import channel_moments
from edgecomp.passes.options import option

METHODS = ("svd", "spatial", "tucker")


@dataclass(frozen=True)
class LowRank(Pass):
    """Decompose weights; see the module."""

    name: ClassVar[str] = "lowrank"
    summary: ClassVar[str] = (
        "matrix products and convolutions as several smaller ones (SVD, Tucker)"
    )

    method: Literal["auto", "svd", "spatial", "tucker"] = option(
        "auto", "the decomposition; auto takes the cheapest for each layer"
    )
    rank: Literal["energy", "vbmf"] = option(
        "energy", "how ranks are found where no budget is given: by energy, or variational Bayes"
    )
    energy: float = option(0.99, "share of the squared outputs that each layer keeps", 0.0, 1.0)
    params: float = option(1.0, "share of the model's parameters to keep at most", 0.0, 1.0)
    macs: float = option(1.0, "share of the model's multiply-accumulates to keep at most", 0.0, 1.0)
    samples: int = option(128, "calibration samples used at most", 1)
    exclude: tuple[str, ...] = option((), "name patterns (* ? [...]) of nodes to leave alone")

    def conflicts(self) -> Iterator[Reason]:
        """A budget decides the ranks by itself."""
        if self.rank == "vbmf" and (self.params < 1.0 or self.macs < 1.0):
            yield Reason("rank=vbmf goes with no budget", self.name, "drop params and macs")

    def apply(self, model: Model, context: Context) -> Model:
        """The model with factors in place of weights; see `Pass.apply`."""
        layers = self._layers(model.graph.graph)
        core = MACS_ALONE if context.device is None else CORES[context.device.core]
        methods = METHODS if self.method == "auto" else (self.method,)
        moments = self._moments(model, layers, context)
        unfolded = []
        with context.progress.task("decompose", total=len(layers)) as step:
            for layer in layers:
                found = moments.get(str(layer.source.name))
                unfolded.append(unfold_layer(layer, found, methods))
                step()
        chosen = self._plan(model, unfolded, methods, core)
        return model.with_graph(_rewritten(model, unfolded, chosen), str(self))

    def _layers(self, graph: ir.Graph) -> list[Layer]:
        found = [
            layer
            for layer in layers_of(graph)
            if not any(fnmatchcase(layer.name, pattern) for pattern in self.exclude)
        ]
        if not found:
            reason = "no node has float weights to decompose"
            raise EdgecompError(Reason(reason, self.name, "apply it before quantize"))
        return found

    def _moments(self, model: Model, layers: Sequence[Layer], context: Context) -> dict[str, Array]:
        """Of what each layer reads; none without samples, or where noise has to look alike."""
        if self.rank == "vbmf" or (context.data is None and context.train is None):
            return {}
        axes = {str(layer.source.name): 1 if layer.is_conv else -1 for layer in layers}
        data = context.need_data(self.name)
        return channel_moments(model, axes, data, self.samples, context.progress)

    def _plan(
        self, model: Model, layers: Sequence[Unfolded], methods: Sequence[str], core: CoreCost
    ) -> Plan:
        if self.params == 1.0 and self.macs == 1.0:
            return plan(layers, None if self.rank == "vbmf" else self.energy, methods, core)
        summary = summarize(model)
        before = (summary.params, summary.macs)
        least = before
        for energy in ENERGIES:
            chosen = plan(layers, energy, methods, core)
            size = plan_size(layers, chosen, before)
            if size[0] <= self.params * before[0] and size[1] <= self.macs * before[1]:
                return chosen
            least = (min(least[0], size[0]), min(least[1], size[1]))
        raise EdgecompError(
            Reason(
                f"the budget cannot be met: {least[0] / before[0]:.1%} of the parameters and "
                f"{least[1] / before[1]:.1%} of the multiply-accumulates are the least",
                self.name,
                "ask for less, or prune first",
            )
        )


def _rewritten(model: Model, layers: Sequence[Unfolded], chosen: Plan) -> ir.Model:
    graph = model.graph.clone()
    nodes = {str(node.name): node for node in graph.graph}
    for each in layers:
        choice = chosen.get(each.layer.name)
        if choice is not None:
            weights = factors(each, choice.method, choice.ranks)
            layer = Layer(nodes[each.layer.name], each.layer.weight)
            replace_layer(graph.graph, layer, choice.method, weights)
    common.RemoveUnusedNodesPass()(graph)
    infer_shapes(graph)
    return graph
