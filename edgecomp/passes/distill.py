"""Learn from the model as it was before the first pass; labels are not needed.

Source: Hinton et al. 2015, Distilling the Knowledge in a Neural Network, arXiv 1503.02531; values
inside: Romero et al. 2015, FitNets, arXiv 1412.6550, here between values of one name and shape.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from edgecomp.passes.options import option
from edgecomp.passes.training import TrainingPass
from edgecomp.training.settings import Settings


@dataclass(frozen=True)
class Distill(TrainingPass):
    """Bring the outputs close to those of the first model; see the module."""

    name: ClassVar[str] = "distill"
    summary: ClassVar[str] = "train the weights on the first model's answers, without labels"

    loss: Literal["logits", "features"] = option("logits", "outputs, or values inside too")
    measure: Literal["auto", "kl", "mse"] = option(
        "auto", "distance of outputs; auto: kl before a Softmax or given labels, else mse"
    )
    inside: float = option(1.0, "how much values inside count beside outputs", 0.0, 1000.0)
    temperature: float = option(4.0, "by which scores are divided before kl", 0.1, 100.0)

    def settings(self) -> Settings:
        """See `TrainingPass.settings`."""
        return replace(
            self.shared_settings(),
            loss=self.loss,
            measure=self.measure,
            temperature=self.temperature,
            inside=self.inside,
        )
