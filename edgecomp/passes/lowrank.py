"""Low rank: convolutions and matrix products replaced by several smaller ones, where that pays.

Matrices and 1 x 1 convolutions are split in two by a singular value decomposition; k x k
convolutions by their outputs' subspace, by rows and columns, by Tucker-2, or by CP. With
calibration samples the decompositions are weighted by the second moments of what a layer reads,
and the factors are fitted to what the layer made before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import ClassVar, Literal

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common

from edgecomp.errors import EdgecompError, Reason
from edgecomp.graph.cost import CORES, CoreCost
from edgecomp.graph.notes import note
from edgecomp.graph.shapes import infer_shapes
from edgecomp.graph.summary import summarize
from edgecomp.model import Model
from edgecomp.passes.base import Pass
from edgecomp.passes.context import Context
from edgecomp.passes.held_out import halves
from edgecomp.passes.judge import Judge
from edgecomp.passes.lowrank_factors import Array
from edgecomp.passes.lowrank_layers import Layer, layers_of, replace_layer
from edgecomp.passes.lowrank_plan import (
    MACS_ALONE,
    Plan,
    Unfolded,
    energy_ladder,
    error_ladder,
    factors,
    plan,
    plan_size,
    unfold_layer,
)
from edgecomp.passes.lowrank_refit import Samples, refit
from edgecomp.passes.moments import channel_moments
from edgecomp.passes.options import option
from edgecomp.passes.training import need_torch
from edgecomp.training_data import Batch

METHODS = ("svd", "spatial", "tucker")
"""What `auto` tries; CP has to be asked for, since it takes much longer and rarely wins."""


@dataclass(frozen=True)
class LowRank(Pass):
    """Decompose weights; see the module."""

    name: ClassVar[str] = "lowrank"
    summary: ClassVar[str] = (
        "matrix products and convolutions as several smaller ones (SVD, Tucker, CP)"
    )

    method: Literal["auto", "svd", "spatial", "tucker", "cp"] = option(
        "auto", "the decomposition; auto takes the cheapest for each layer, but for cp"
    )
    rank: Literal["energy", "vbmf"] = option(
        "energy", "how ranks are found where no budget is given: by energy, or variational Bayes"
    )
    energy: float = option(0.99, "share of the squared outputs that each layer keeps", 0.0, 1.0)
    params: float = option(1.0, "share of the model's parameters to keep at most", 0.0, 1.0)
    macs: float = option(1.0, "share of the model's multiply-accumulates to keep at most", 0.0, 1.0)
    max_drop: float = option(
        1.0,
        "instead: the most that may be lost of the accuracy on the training samples (or, without "
        "labels, of the agreement with the model), as a share; half of the samples are "
        "held out to tell it",
        0.0,
        1.0,
    )
    weigh: Literal["inputs", "outputs"] = option(
        "inputs",
        "what errors of a layer count by: what it reads, or also what the model makes of its "
        "outputs, which ranks are then shared out by (gradients; extra train)",
    )
    refit: bool = option(True, "fit factors to what the layer made before, if there are samples")
    samples: int = option(128, "samples used at most: of those to train on, where there are any", 1)
    exclude: tuple[str, ...] = option((), "name patterns (* ? [...]) of nodes to leave alone")

    def conflicts(self) -> Iterator[Reason]:
        """A budget decides the ranks by itself."""
        budget = self.params < 1.0 or self.macs < 1.0
        if self.rank == "vbmf" and (budget or self.max_drop < 1.0):
            fix = "drop params, macs and max_drop"
            yield Reason("rank=vbmf goes with no budget", self.name, fix)
        if budget and self.max_drop < 1.0:
            reason = "a budget and max_drop both say how small it shall be"
            yield Reason(reason, self.name, "give one of them")
        if self.rank == "vbmf" and (self.weigh == "outputs" or self.method == "cp"):
            yield Reason("rank=vbmf goes with weigh=inputs and not with cp", self.name, "drop it")

    def apply(self, model: Model, context: Context) -> Model:
        """The model with factors in place of weights; see `Pass.apply`."""
        core = MACS_ALONE if context.device is None else CORES[context.device.core]
        if context.train is not None:  # there are mostly more of them
            context = replace(context, data=context.train.samples)
        judge = None
        if self.max_drop < 1.0:
            context, judge = halves(model, context, self.name)
        layers = self._unfolded(model, context)
        work = _Work(model, context, layers, self._fitted_on(context))
        if judge is None:
            graph = work.made(self._plan(work, core))
        else:
            graph = self._within_drop(work, core, judge)
        for layer in layers_of(graph.graph):
            if self._excluded(layer):
                note(layer.node, self.name, "excluded")
        return model.with_graph(graph, str(self))

    def _excluded(self, layer: Layer) -> bool:
        return any(fnmatchcase(layer.name, pattern) for pattern in self.exclude)

    @property
    def _methods(self) -> Sequence[str]:
        return METHODS if self.method == "auto" else (self.method,)

    def _unfolded(self, model: Model, context: Context) -> list[Unfolded]:
        layers = self._layers(model.graph.graph)
        moments = self._moments(model, layers, context)
        gradients = self._gradients(model, layers, context)
        unfolded = []
        with context.progress.task("decompose", total=len(layers)) as step:
            for layer in layers:
                read, made = str(layer.source.name), str(layer.node.outputs[0].name)
                found = unfold_layer(layer, self._methods, moments.get(read), gradients.get(made))
                unfolded.append(found)
                step()
        return unfolded

    def _layers(self, graph: ir.Graph) -> list[Layer]:
        found = [layer for layer in layers_of(graph) if not self._excluded(layer)]
        if not found:
            reason = "no node has float weights to decompose"
            raise EdgecompError(Reason(reason, self.name, "apply it before quantize"))
        return found

    def _sees(self, context: Context) -> bool:
        """Whether samples are used; with variational Bayes noise has to look alike."""
        return self.rank != "vbmf" and (context.data is not None or context.train is not None)

    def _moments(self, model: Model, layers: Sequence[Layer], context: Context) -> dict[str, Array]:
        """Of what each layer reads."""
        if not self._sees(context):
            return {}
        axes = {str(layer.source.name): 1 if layer.is_conv else -1 for layer in layers}
        data = context.need_data(self.name)
        return channel_moments(model, axes, data, self.samples, context.progress)

    def _gradients(
        self, model: Model, layers: Sequence[Layer], context: Context
    ) -> dict[str, Array]:
        """Of the model's outputs by what each layer makes."""
        if self.weigh == "inputs":
            return {}
        need_torch(self.name)  # an extra, and so imported here
        from edgecomp.training.output_moments import output_moments

        rows = list(context.need_data(self.name).samples(model.inputs, self.samples))
        inputs = {s.name: np.stack([row[s.name] for row in rows]) for s in model.inputs}
        axes = {str(layer.node.outputs[0].name): 1 if layer.is_conv else -1 for layer in layers}
        return output_moments(model, Batch(inputs, None), axes)

    def _fitted_on(self, context: Context) -> Samples | None:
        if not self.refit or not self._sees(context):
            return None
        return Samples(context.need_data(self.name), self.samples)

    def _ladder(self, work: _Work, core: CoreCost) -> list[Plan]:
        if self.weigh == "inputs":
            return energy_ladder(work.layers, self._methods, core)
        return error_ladder(work.layers, self._methods, core, count_params=self.params < 1.0)

    def _plan(self, work: _Work, core: CoreCost) -> Plan:
        if self.params == 1.0 and self.macs == 1.0:
            energy = None if self.rank == "vbmf" else self.energy
            return plan(work.layers, energy, self._methods, core)
        summary = summarize(work.model)
        before = (summary.params, summary.macs)
        least = before
        for chosen in self._ladder(work, core):
            size = plan_size(work.layers, chosen, before)
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

    def _within_drop(self, work: _Work, core: CoreCost, judge: Judge) -> ir.Model:
        """The smallest model that is as good as asked: the ladder is halved in."""
        ladder = [chosen for chosen in self._ladder(work, core) if chosen]
        before = judge.quality(work.model)
        low, high, best, drop = 0, len(ladder), None, 1.0
        while low < high:
            middle = (low + high) // 2
            graph = work.made(ladder[middle])
            lost = before - judge.quality(work.model.with_graph(graph))
            if lost <= self.max_drop + 1e-12:
                low, best = middle + 1, graph
            else:
                high, drop = middle, min(drop, lost)
        if best is None:
            why = f"{drop:.2%} at least" if ladder else "no layer gets cheaper"
            reason = f"nothing can be decomposed within max_drop={self.max_drop:g}: {why}"
            raise EdgecompError(Reason(reason, self.name, "allow more, or leave the pass out"))
        return best


@dataclass(frozen=True, eq=False)
class _Work:
    """A model about to be decomposed.

    Attributes:
        model: as it is.
        context: what the pass may use.
        layers: what can be decomposed.
        fitted_on: samples that factors are fitted on; None for none.
    """

    model: Model
    context: Context
    layers: Sequence[Unfolded]
    fitted_on: Samples | None

    def made(self, chosen: Plan) -> ir.Model:
        """The graph decomposed as `chosen`."""
        device = self.context.device
        where = "" if device is None else f" on {device.core}"
        why = f"nothing cheaper{where} keeps enough of it"
        graph = _rewritten(self.model, self.layers, chosen, why)
        if self.fitted_on is not None:
            small = self.model.with_graph(graph)
            progress = self.context.progress
            graph = refit(self.model, small, self.layers, chosen, self.fitted_on, progress)
            common.RemoveUnusedNodesPass()(graph)
        return graph


def _rewritten(model: Model, layers: Sequence[Unfolded], chosen: Plan, why: str) -> ir.Model:
    """The graph of `model` decomposed as `chosen`; `why` is said of layers left whole."""
    graph = model.graph.clone()
    nodes = {str(node.name): node for node in graph.graph}
    for each in layers:
        choice = chosen.get(each.layer.name)
        if choice is None:
            note(nodes[each.layer.name], LowRank.name, why)
            continue
        weights = factors(each, choice.method, choice.ranks)
        layer = Layer(nodes[each.layer.name], each.layer.weight)
        replace_layer(graph.graph, layer, choice.method, weights)
    common.RemoveUnusedNodesPass()(graph)
    infer_shapes(graph)
    return graph
