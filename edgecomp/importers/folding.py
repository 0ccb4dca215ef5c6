"""Compute at import what does not depend on the inputs, unless it would make the model larger."""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx_ir as ir
import onnxscript.optimizer
from onnx_ir.passes import common

from edgecomp.errors import EdgecompError
from edgecomp.graph.values import bytes_of
from edgecomp.importers.inference import broken

SMALL_BYTES = 64 * 1024
"""A folded constant may have this many bytes, or as many as the constants it was made of."""

GROWTH_BYTES = 16 * 1024 * 1024
"""What all folded constants together may add to the model."""

KEPT = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
"""Operators that say how a tensor is quantized; folding them would lose it."""


@dataclass
class _Budget:
    """Decides node by node what is folded; remembers what that added."""

    grown: int = 0
    refused: set[str] = field(default_factory=set)
    last: str = ""

    def __call__(self, node: ir.Node) -> bool:
        """Whether `node`, whose inputs are all constant, is to be computed now."""
        self.last = str(node.outputs[0].name)
        if node.op_type in KEPT or self.last in self.refused:
            return False
        try:
            made = sum(bytes_of(output) for output in node.outputs)
            used = sum(bytes_of(value) for value in node.inputs if value is not None)
        except (ValueError, TypeError):
            # a result of unknown size (NonZero, say) or type: it stays a node
            return False
        if made > max(SMALL_BYTES, used) or self.grown + made - used > GROWTH_BYTES:
            return False
        self.grown += max(0, made - used)
        return True


def fold_constants(model: ir.Model) -> None:
    """Fold in place: constant nodes, shapes, `If` with a known condition, Identity, Dropout.

    Quantized constants keep their DequantizeLinear. A node whose computation fails stays.
    """
    budget = _Budget()
    before = -1
    while before != len(budget.refused):
        before = len(budget.refused)
        try:
            onnxscript.optimizer.fold_constants_ir(
                model,
                onnx_shape_inference=True,
                input_size_limit=2**31,
                output_size_limit=2**31,
                should_fold=budget,
            )
        except Exception:  # whatever the operator's own implementation raises
            budget.refused.add(budget.last)
    _clean(model)


def _clean(model: ir.Model) -> None:
    """Lift constants out of nodes and subgraphs; remove Identity and what nobody reads."""
    try:
        for each in (
            common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
            common.LiftSubgraphInitializersToMainGraphPass(),
            common.IdentityEliminationPass(),
            common.RemoveUnusedNodesPass(),
        ):
            each(model)
    except ValueError as error:  # shapes on both sides of an Identity differ
        raise EdgecompError(broken(error)) from error
