"""Which layers to decompose, how and to which rank."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgecomp.graph.cost import CoreCost
from edgecomp.passes.lowrank_cp import Components, cp_factors, decompositions
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

ENERGIES = tuple(1 - np.geomspace(1e-5, 0.999, 120))
"""Shares tried when a budget or an accuracy decides, from the most that is kept to the least."""
PRICES = tuple(np.geomspace(1e-7, 1e3, 240))
"""Prices of size tried then, in errors, where these are compared over layers."""
PAIRS = ENERGIES[::3]
"""Shares of which every pair is tried for the two ranks of a Tucker decomposition."""


@dataclass(frozen=True, eq=False)
class Unfolded:
    """A layer with the decompositions of its matrix forms, which every rank then cuts.

    Attributes:
        layer: the layer.
        weighted: its weight and the roots of second moments.
        output, input, spatial: the unfoldings; None where no method needs them.
        cp: CP decompositions of growing rank; none where the method is not asked for.
    """

    layer: Layer
    weighted: Weighted
    output: Unfolding
    input: Unfolding | None
    spatial: Unfolding | None
    cp: Sequence[Components]

    def lost(self, method: str, ranks: Sequence[int]) -> float:
        """The squared error of the weighted weight, as a share of its squares."""
        if method == "tucker":
            assert self.input is not None, "unfolded for this method"
            return self.input.lost(ranks[0]) + self.output.lost(ranks[1])
        if method == "cp":
            return next(found.lost for found in self.cp if found.rank == ranks[0])
        unfolding = self.spatial if method == "spatial" else self.output
        assert unfolding is not None, "unfolded for this method"
        return unfolding.lost(ranks[0])


@dataclass(frozen=True)
class Choice:
    """How one layer is decomposed.

    Attributes:
        method: "svd", "tucker", "spatial" or "cp".
        ranks: one, or input and output rank of "tucker".
        cost: modelled cost of the factors.
        params: elements of the factors.
        error: expected squared error, of the model's outputs where gradients weigh.
    """

    method: str
    ranks: tuple[int, ...]
    cost: float
    params: int
    error: float


def unfold_layer(
    layer: Layer, methods: Sequence[str], moments: Array | None, gradients: Array | None = None
) -> Unfolded:
    """`layer` with what `methods` cut; the moments as in `lowrank_factors.weighted`."""
    form = weighted(layer.weight, moments, gradients)
    allowed = [method for method in layer.methods() if method in methods]
    return Unfolded(
        layer,
        form,
        output_unfolding(form),
        input_unfolding(form) if "tucker" in allowed else None,
        spatial_unfolding(form) if "spatial" in allowed else None,
        decompositions(form) if "cp" in allowed else (),
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
    found = []
    for method in unfolded.layer.methods():
        ranks = _ranks(unfolded, method, energy) if method in methods else None
        if ranks is not None:
            found.append(_choice(unfolded, method, ranks, core))
    best = min(found, key=lambda choice: (choice.cost, choice.params), default=None)
    return best if best is not None and _pays(best, unfolded.layer, core) else None


def _pays(choice: Choice, layer: Layer, core: CoreCost) -> bool:
    return choice.cost < original_cost(layer, core) and choice.params < layer.weight.size


def _choice(unfolded: Unfolded, method: str, ranks: tuple[int, ...], core: CoreCost) -> Choice:
    sizes = unfolded.layer.sizes(method, ranks)
    total = float(np.square(unfolded.output.values).sum())
    return Choice(
        method,
        ranks,
        sum(size.cost(core) for size in sizes),
        sum(size.params for size in sizes),
        unfolded.lost(method, ranks) * total,
    )


def _ranks(unfolded: Unfolded, method: str, energy: float | None) -> tuple[int, ...] | None:
    """The ranks that keep `energy`; None where no CP decomposition does, or Bayes has no say."""

    def rank(unfolding: Unfolding, kept: float) -> int:
        if energy is None:
            rows, columns = len(unfolding.left), unfolding.right.shape[1]
            return vbmf_rank(unfolding.values, rows, columns)
        return unfolding.rank_for(kept)

    whole = 1.0 if energy is None else energy
    if method == "cp":
        enough = (found.rank for found in unfolded.cp if 1 - found.lost >= whole - 1e-12)
        least = None if energy is None else next(enough, None)
        return None if least is None else (least,)
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
    if method == "cp":
        found = next(found for found in unfolded.cp if found.rank == ranks[0])
        return cp_factors(unfolded.weighted, found)
    return svd_factors(unfolded.weighted, unfolded.output, ranks[0])


Plan = Mapping[str, Choice]
"""Of each layer that is decomposed, by its name: how."""


def plan(
    layers: Sequence[Unfolded], energy: float | None, methods: Sequence[str], core: CoreCost
) -> dict[str, Choice]:
    """Every layer that gets cheaper at `energy`."""
    chosen = ((each.layer.name, choose(each, energy, methods, core)) for each in layers)
    return {name: choice for name, choice in chosen if choice is not None}


def energy_ladder(layers: Sequence[Unfolded], methods: Sequence[str], core: CoreCost) -> list[Plan]:
    """Plans from the most that is kept to the least, every layer keeping the same share."""
    return [plan(layers, energy, methods, core) for energy in ENERGIES]


def error_ladder(
    layers: Sequence[Unfolded], methods: Sequence[str], core: CoreCost, count_params: bool
) -> list[Plan]:
    """Plans from the most that is kept to the least, shared out to the smallest sum of errors.

    Args:
        layers: with gradients, so that their errors compare.
        methods: those to try.
        core: what things cost.
        count_params: whether parameters are to be few, and not the cost low.
    """

    def worth(choice: Choice) -> float:
        return choice.params if count_params else choice.cost

    options = []
    for each in layers:
        whole = each.layer.weight.size if count_params else original_cost(each.layer, core)
        options.append((each, whole, list(_options(each, methods, core))))
    unit = sum(float(np.square(each.output.values).sum()) for each in layers)
    unit /= max(sum(whole for _, whole, _ in options), 1.0)
    ladder: list[Plan] = []
    for price in PRICES:
        chosen = {}
        for each, whole, found in options:
            best = min(found, key=lambda c: c.error + price * unit * worth(c), default=None)
            if best is not None and best.error < price * unit * (whole - worth(best)):
                chosen[each.layer.name] = best
        ladder.append(chosen)
    return ladder


def _options(unfolded: Unfolded, methods: Sequence[str], core: CoreCost) -> Iterator[Choice]:
    """Every choice that pays."""
    seen = set()
    for method in unfolded.layer.methods():
        if method not in methods:
            continue
        for ranks in _all_ranks(unfolded, method):
            if (method, ranks) not in seen:
                seen.add((method, ranks))
                choice = _choice(unfolded, method, ranks, core)
                if _pays(choice, unfolded.layer, core):
                    yield choice


def _all_ranks(unfolded: Unfolded, method: str) -> Iterator[tuple[int, ...]]:
    if method == "tucker":
        assert unfolded.input is not None, "unfolded for this method"
        for first, last in itertools.product(PAIRS, PAIRS):
            yield unfolded.input.rank_for(first), unfolded.output.rank_for(last)
        return
    for energy in ENERGIES:
        ranks = _ranks(unfolded, method, energy)
        if ranks is not None:
            yield ranks


def plan_size(layers: Sequence[Unfolded], chosen: Plan, before: tuple[int, int]) -> tuple[int, int]:
    """(parameters, multiply-accumulates) of the whole model, which had `before`."""
    params, macs = before
    for each in layers:
        choice = chosen.get(each.layer.name)
        if choice is not None:
            layer = each.layer
            params += choice.params - layer.weight.size
            sizes = layer.sizes(choice.method, choice.ranks)
            macs += sum(size.macs for size in sizes) - layer.places * layer.weight.size
    return params, macs
