"""Which layers to decompose, how and to which rank."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgecomp.graph.cost import CoreCost
from edgecomp.passes.lowrank_factors import (
    Array,
    Unfolding,
    Weighted,
    input_unfolding,
    output_unfolding,
    spatial_factors,
    spatial_unfolding,
    svd_factors,
    tucker_factors,
    weighted,
)
from edgecomp.passes.lowrank_layers import Layer
from edgecomp.passes.vbmf import vbmf_rank

MACS_ALONE = CoreCost(product=1.0, depthwise=1.0, output=0.0, element=0.0, lanes=1)
"""What is saved where no device was named."""


@dataclass(frozen=True, eq=False)
class Unfolded:
    """A layer with the decompositions of its matrix forms, which every rank then cuts.

    Attributes:
        layer: the layer.
        weighted: its weight and the root of its input's second moments.
        output, input, spatial: the unfoldings; None where no method needs them.
    """

    layer: Layer
    weighted: Weighted
    output: Unfolding
    input: Unfolding | None
    spatial: Unfolding | None


@dataclass(frozen=True)
class Choice:
    """How one layer is decomposed.

    Attributes:
        method: "svd", "tucker" or "spatial".
        ranks: one, or input and output rank of "tucker".
        cost: modelled cost of the factors.
        params: elements of the factors.
    """

    method: str
    ranks: tuple[int, ...]
    cost: float
    params: int


def unfold_layer(layer: Layer, moments: Array | None, methods: Sequence[str]) -> Unfolded:
    """`layer` with what `methods` cut."""
    form = weighted(layer.weight, moments)
    allowed = [method for method in layer.methods() if method in methods]
    return Unfolded(
        layer,
        form,
        output_unfolding(form),
        input_unfolding(form) if "tucker" in allowed else None,
        spatial_unfolding(form) if "spatial" in allowed else None,
    )


def original_cost(layer: Layer, core: CoreCost) -> float:
    """Modelled cost of the layer as it is."""
    places, outputs = layer.places, layer.weight.shape[0]
    return core.product * places * layer.weight.size + core.output * places * outputs


def choose(
    unfolded: Unfolded, energy: float | None, methods: Sequence[str], core: CoreCost
) -> Choice | None:
    """The cheapest decomposition that keeps `energy`; None where none is cheaper than the layer.

    Args:
        unfolded: the layer.
        energy: share of the squared (weighted) output to keep; None lets variational Bayes say.
        methods: those to try.
        core: what things cost.
    """
    found = list(_choices(unfolded, energy, methods, core))
    best = min(found, key=lambda choice: (choice.cost, choice.params), default=None)
    if best is None or best.cost >= original_cost(unfolded.layer, core):
        return None
    return best if best.params < unfolded.layer.weight.size else None


def _choices(
    unfolded: Unfolded, energy: float | None, methods: Sequence[str], core: CoreCost
) -> Iterator[Choice]:
    layer = unfolded.layer
    for method in layer.methods():
        if method in methods:
            ranks = _ranks(unfolded, method, energy)
            sizes = layer.sizes(method, ranks)
            cost = sum(core.product * macs + core.output * outputs for macs, outputs in sizes)
            params = sum(factor.size for factor in factors(unfolded, method, ranks))
            yield Choice(method, ranks, cost, params)


def _ranks(unfolded: Unfolded, method: str, energy: float | None) -> tuple[int, ...]:
    def rank(unfolding: Unfolding, kept: float) -> int:
        if energy is None:
            rows, columns = len(unfolding.left), unfolding.right.shape[1]
            return vbmf_rank(unfolding.values, rows, columns)
        return unfolding.rank_for(kept)

    whole = 1.0 if energy is None else energy
    if method == "tucker":
        assert unfolded.input is not None, "unfolded for this method"
        half = 1 - (1 - whole) / 2  # two cuts, each of which may lose half
        return rank(unfolded.input, half), rank(unfolded.output, half)
    if method == "spatial":
        assert unfolded.spatial is not None, "unfolded for this method"
        return (rank(unfolded.spatial, whole),)
    return (rank(unfolded.output, whole),)


def factors(unfolded: Unfolded, method: str, ranks: Sequence[int]) -> tuple[Array, ...]:
    """The weight tensors of the nodes that replace the layer, first to last."""
    if method == "tucker":
        assert unfolded.input is not None, "unfolded for this method"
        pair = (ranks[0], ranks[1])
        return tucker_factors(unfolded.weighted, unfolded.output, unfolded.input, pair)
    if method == "spatial":
        assert unfolded.spatial is not None, "unfolded for this method"
        return spatial_factors(unfolded.weighted, unfolded.spatial, ranks[0])
    return svd_factors(unfolded.weighted, unfolded.output, ranks[0])


Plan = Mapping[str, Choice]
"""Of each layer that is decomposed, by its name: how."""


def plan(
    layers: Sequence[Unfolded], energy: float | None, methods: Sequence[str], core: CoreCost
) -> dict[str, Choice]:
    """Every layer that gets cheaper at `energy`."""
    chosen = ((each.layer.name, choose(each, energy, methods, core)) for each in layers)
    return {name: choice for name, choice in chosen if choice is not None}


def plan_size(layers: Sequence[Unfolded], chosen: Plan, before: tuple[int, int]) -> tuple[int, int]:
    """(parameters, multiply-accumulates) of the whole model, which had `before`."""
    params, macs = before
    for each in layers:
        choice = chosen.get(each.layer.name)
        if choice is not None:
            layer = each.layer
            params += choice.params - layer.weight.size
            sizes = layer.sizes(choice.method, choice.ranks)
            macs += sum(size[0] for size in sizes) - layer.places * layer.weight.size
    return params, macs


ENERGIES = tuple(1 - np.geomspace(1e-5, 0.999, 120))
"""Shares tried when a budget or an accuracy decides, from the most that is kept to the least."""
