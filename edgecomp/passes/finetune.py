"""Train on, so that a model recovers from what other passes did to it.

Zeros of pruned tensors, palettes, low rank and quantization stay in force.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from edgecomp.passes.options import option
from edgecomp.passes.training import TrainingPass
from edgecomp.training.settings import Settings


@dataclass(frozen=True)
class Finetune(TrainingPass):
    """Train on labels, or on what the model answered before the first pass; see the module."""

    name: ClassVar[str] = "finetune"
    summary: ClassVar[str] = "train the weights on, on labels or on the first model's answers"

    loss: Literal["labels", "logits", "features"] = option(
        "labels", "labels, or the first model's outputs, or values inside too"
    )

    def settings(self) -> Settings:
        """See `TrainingPass.settings`."""
        return replace(self.shared_settings(), loss=self.loss)
