"""What each ONNX operator computes, in PyTorch: a function of one sample's tensors."""

from __future__ import annotations

from collections.abc import Mapping

from edgecomp.training.operators.arguments import Operator
from edgecomp.training.operators.convolution import CONVOLUTION
from edgecomp.training.operators.elementwise import ELEMENTWISE
from edgecomp.training.operators.indexing import INDEXING
from edgecomp.training.operators.movement import MOVEMENT
from edgecomp.training.operators.pooling import POOLING
from edgecomp.training.operators.quantization import QUANTIZATION
from edgecomp.training.operators.reduction import REDUCTION
from edgecomp.training.operators.resizing import RESIZING

OPERATORS: Mapping[str, Operator] = {
    **CONVOLUTION,
    **ELEMENTWISE,
    **INDEXING,
    **MOVEMENT,
    **POOLING,
    **QUANTIZATION,
    **REDUCTION,
    **RESIZING,
}
"""By the operator's name in the ONNX domain."""
