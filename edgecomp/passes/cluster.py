"""Clustering: weights that take a few values only, stored as indices into a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.palette import add_palette, palette_bytes
from edgecomp.graph.values import constant_of
from edgecomp.model import Model
from edgecomp.passes.base import Pass
from edgecomp.passes.context import Context
from edgecomp.passes.kmeans import kmeans, places
from edgecomp.passes.options import option
from edgecomp.passes.prune_channels import refuse_quantized
from edgecomp.passes.prune_weights import check_any, prunable
from edgecomp.passes.training import trained
from edgecomp.training.settings import Settings

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cluster(Pass):
    """Palettes of weights; see the module."""

    name: ClassVar[str] = "cluster"
    summary: ClassVar[str] = "weights as indices into tables of a few values (k-means)"

    bits: int = option(4, "of an index: tables of 2 to the power of it", 2, 8)
    per: Literal["tensor", "channel"] = option(
        "tensor", "one table for all weights of a node, or one for each of its outputs"
    )
    keep_zeros: bool = option(True, "weights that are exactly 0 stay so, in an entry of their own")
    protect: tuple[str, ...] = option((), "name patterns (* ? [...]) of nodes to leave alone")
    epochs: int = option(0, "training of the tables afterwards", 0)
    lr: float = option(1e-4, "learning rate of that training", 1e-7, 1.0)
    loss: Literal["labels", "logits"] = option("logits", "what that training brings down")
    seed: int = option(0, "of that training", 0)

    def apply(self, model: Model, context: Context) -> Model:
        """The model with palettes where they are smaller than the weights; see `Pass.apply`."""
        refuse_quantized(model)
        clone = model.graph.clone()
        found = prunable(clone.graph, self.protect)
        check_any(found, self.name)
        with context.progress.task("cluster", total=len(found)) as step:
            for value, axis in found:
                self._cluster(clone, value, axis)
                step()
        clustered = model.with_graph(clone)
        if self.epochs:
            settings = Settings(loss=self.loss, epochs=self.epochs, lr=self.lr, seed=self.seed)
            clustered = trained(clustered, settings, context, self.name)
        return model.with_graph(clustered.graph, str(self))

    def _cluster(self, model: ir.Model, value: ir.Value, axis: int) -> None:
        content = constant_of(value)
        assert content is not None, "an initializer"
        weights = content.astype(np.float64)
        if self.per == "channel" and axis == 0:
            rows = [self._table(row) for row in weights.reshape(len(weights), -1)]
            width = max(map(len, rows))
            table = np.stack([np.pad(row, (0, width - len(row)), mode="edge") for row in rows])
            pairs = zip(weights.reshape(len(weights), -1), rows, strict=True)
            indices = np.stack([places(row, centres) for row, centres in pairs])
            indices = indices.reshape(weights.shape)
        else:
            table = self._table(weights.ravel())
            indices = places(weights, table)
        entries = table.astype(np.float32)
        if palette_bytes(indices, entries) >= content.nbytes:
            return
        name = str(value.name)
        users = list(value.uses())
        del model.graph.initializers[name]
        value.name = f"{name}/dense"
        made = add_palette(model, name, indices, entries)
        for use in users:
            use.node.replace_input_with(use.idx, made)

    def _table(self, weights: Array) -> Array:
        """The values, ascending; 0 is one of them where zeros have to stay."""
        count = 2**self.bits
        if self.keep_zeros and (weights == 0.0).any():
            return _with_zero(weights, count)
        return kmeans(weights, count)


def _with_zero(weights: Array, count: int) -> Array:
    """Centres of the weights that are not 0, and 0.

    Nothing else may be nearest to 0: a centre between 0 and the smallest weights is what they get.
    """
    others = weights[weights != 0.0]
    if others.size == 0:
        return np.zeros(1)
    return np.asarray(np.unique(np.append(kmeans(others, count - 1), 0.0)))
