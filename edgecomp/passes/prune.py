"""Pruning: channels taken out of the graph, or single weights set to zero.

Removing channels makes every layer that reads them smaller, so file, memory and time shrink on any
device. Zeros shrink the artifact, and the time where a device runs sparse kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from edgecomp.errors import Reason
from edgecomp.graph.cost import CORES
from edgecomp.graph.evaluate import fold_constant_nodes
from edgecomp.graph.summary import ModelSummary, summarize
from edgecomp.graph.values import constant_of
from edgecomp.model import Model
from edgecomp.passes.base import Pass
from edgecomp.passes.context import Context
from edgecomp.passes.options import option
from edgecomp.passes.prune_channels import Goal, refuse_quantized, remove_channels
from edgecomp.passes.prune_scores import Asked
from edgecomp.passes.prune_weights import (
    apply_masks,
    check_any,
    masks,
    parse_pattern,
    prunable,
)
from edgecomp.passes.training import trained
from edgecomp.training.settings import Settings


@dataclass(frozen=True)
class Prune(Pass):
    """Remove what matters least; see the module."""

    name: ClassVar[str] = "prune"
    summary: ClassVar[str] = "channels removed from the graph, or weights set to zero"

    granularity: Literal["channel", "weight"] = option("channel", "what goes")
    sparsity: float = option(0.5, "share of the channels or weights that go", 0.0, 0.999)
    params: float = option(1.0, "instead: share of the model's parameters to keep", 0.001, 1.0)
    macs: float = option(1.0, "instead: share of the multiply-accumulates to keep", 0.001, 1.0)
    criterion: Literal[
        "l1",
        "l2",
        "median",
        "bn_scale",
        "mean",
        "variance",
        "share",
        "taylor",
        "fisher",
        "random",
    ] = option("l2", "what tells how much a channel matters; single weights go by magnitude")
    per_mac: bool = option(
        False, "compare by what a channel matters for each multiply-accumulate that it takes"
    )
    scope: Literal["global", "layer"] = option(
        "global", "compare over the whole model, or take the same share of every layer"
    )
    multiple: int = option(
        0, "channels a layer keeps are a multiple of it; 0: as many as the device takes at once", 0
    )
    pattern: str = option(
        "unstructured", "weights that go together: unstructured, N:M as in 2:4, blocks as in 1x4"
    )
    protect: tuple[str, ...] = option((), "name patterns (* ? [...]) of nodes that keep all")
    samples: int = option(256, "samples looked at, at most", 1)
    steps: int = option(1, "prune in so many steps, cubically more each time", 1, 1000)
    epochs: int = option(0, "training after each step", 0)
    lr: float = option(1e-3, "learning rate of that training", 1e-7, 1.0)
    loss: Literal["labels", "logits"] = option("logits", "what that training brings down")
    regrow: bool = option(False, "let weights that went grow again between steps")
    seed: int = option(0, "of criterion=random and of training", 0)

    def conflicts(self) -> Iterator[Reason]:
        """Options of one granularity do not serve the other."""
        weight = self.granularity == "weight"
        if weight and (self.macs < 1.0 or self.params < 1.0):
            yield Reason(
                "params and macs count channels; zeros stay in the graph",
                self.name,
                "give sparsity, or granularity=channel",
            )
        if parse_pattern(self.pattern) is None:
            yield Reason(
                f"pattern cannot be {self.pattern!r}",
                self.name,
                "give unstructured, N:M with N < M as in 2:4, or a block as in 1x4",
            )
        elif not weight and self.pattern != "unstructured":
            yield Reason("pattern is of granularity=weight", self.name, "drop one of them")
        if self.per_mac and (weight or self.criterion not in ("taylor", "fisher")):
            fix = "give criterion=taylor or criterion=fisher"
            yield Reason("per_mac needs a criterion that measures the loss", self.name, fix)
        if self.regrow and not (weight and self.epochs):
            fix = "give granularity=weight and epochs"
            yield Reason("regrow needs training between steps", self.name, fix)
        if self.steps > 1 and not self.epochs:
            yield Reason("steps without training in between are one", self.name, "give epochs")

    def apply(self, model: Model, context: Context) -> Model:
        """The pruned model; see `Pass.apply`."""
        refuse_quantized(model)
        # Zhu and Gupta 2017, "To prune, or not to prune", equation 1
        shares = [1 - (1 - step / self.steps) ** 3 for step in range(1, self.steps + 1)]
        folded = model.graph.clone()
        fold_constant_nodes(folded.graph)  # weights that nodes compute
        start = current = model.with_graph(folded)
        for earlier, share in zip([0.0, *shares], shares, strict=False):
            if self.granularity == "weight":
                current = self._with_zeros(current, share)
            else:
                goal = self._goal(summarize(start), summarize(current), earlier, share, context)
                asked = Asked(context, self.samples, self.seed)
                current = current.with_graph(remove_channels(current, goal, asked))
            if self.epochs:
                current = self._trained(current, context, last=share == shares[-1])
        return model.with_graph(current.graph, str(self))

    def _goal(
        self,
        original: ModelSummary,
        current: ModelSummary,
        earlier: float,
        share: float,
        context: Context,
    ) -> Goal:
        """What to remove from `current` so that a `share` of all that should go is gone."""

        def budget(target: float, had: int, has: int) -> float:
            return min(1.0, (1 - (1 - target) * share) * had / max(has, 1)) if target < 1 else 1.0

        lanes = 1 if context.device is None else CORES[context.device.core].lanes
        return Goal(
            sparsity=1 - (1 - self.sparsity * share) / (1 - self.sparsity * earlier),
            params=budget(self.params, original.params, current.params),
            macs=budget(self.macs, original.macs, current.macs),
            scope=self.scope,
            multiple=self.multiple or lanes,
            criterion=self.criterion,
            protect=self.protect,
            per_mac=self.per_mac,
        )

    def _with_zeros(self, model: Model, share: float) -> Model:
        """A `share` of the zeros that there shall be."""
        pattern = parse_pattern(self.pattern)
        assert pattern is not None, "checked when the options were read"
        found = prunable(model.graph.graph, self.protect)
        check_any(found, self.name)
        contents = ((str(value.name), constant_of(value), axis) for value, axis in found)
        weights = {name: (w, axis) for name, w, axis in contents if w is not None}
        if pattern.of:  # begins as 1 of M that goes, and ends as N that stay
            stay = pattern.of - round((pattern.of - pattern.kept) * share)
            pattern = replace(pattern, kept=stay)
        kept = masks(weights, self.sparsity * share, pattern, self.scope == "global")
        return model.with_graph(apply_masks(model, kept))

    def _trained(self, model: Model, context: Context, last: bool) -> Model:
        grows = self.regrow and not last
        settings = Settings(
            loss=self.loss,
            epochs=self.epochs,
            lr=self.lr,
            keep_zeros="never" if grows or self.granularity == "channel" else "always",
            seed=self.seed,
        )
        return trained(model, settings, context, self.name)
