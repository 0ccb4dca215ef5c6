"""Quantization-aware training: train a quantized model through its rounding.

Source: Jacob et al. 2018, Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference, section 3; learned scales: Esser et al. 2020, arXiv 1902.08153.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from edgecomp.errors import EdgecompError, Reason
from edgecomp.graph.qdq import is_dequantize
from edgecomp.model import Model
from edgecomp.passes.context import Context
from edgecomp.passes.options import option
from edgecomp.passes.training import TrainingPass
from edgecomp.training.settings import Settings


@dataclass(frozen=True)
class Qat(TrainingPass):
    """Train integer weights and biases of a quantized model; see the module."""

    name: ClassVar[str] = "qat"
    summary: ClassVar[str] = "train a quantized model through its rounding"

    lr: float = option(1e-4, "learning rate; it falls to 0 along half a cosine", 1e-9, 10.0)
    loss: Literal["labels", "logits", "features"] = option(
        "logits", "the first model's outputs, or values inside too, or labels"
    )
    scales: bool = option(False, "learn the scales too")

    def settings(self) -> Settings:
        """See `TrainingPass.settings`."""
        return replace(self.shared_settings(), loss=self.loss, learn_scales=self.scales)

    def apply(self, model: Model, context: Context) -> Model:
        """The model with the constants of the best epoch, quantized as before."""
        if not any(is_dequantize(node) for node in model.graph.graph):
            raise EdgecompError(
                Reason("the model is not quantized", self.name, "put -p quantize before it")
            )
        return super().apply(model, context)
