"""How a model is trained. No PyTorch here: passes read this to know their options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgecomp.training.parameters import KeepZeros

Loss = Literal["labels", "logits", "features"]
Measure = Literal["auto", "kl", "mse"]


@dataclass(frozen=True)
class Settings:
    """What decides the result of a training, beside model, teacher and samples.

    Attributes:
        loss: what is brought down. "labels": the cross entropy of the first output and the labels;
            "logits": the distance of the outputs from the teacher's; "features": that, and the
            distance of what layers inside read, where both graphs have it by name and shape.
        measure: the distance of outputs. "kl": Kullback-Leibler divergence of class scores;
            "mse": mean squared error as a share of the teacher's variance; "auto": kl where a
            Softmax or labels with the samples tell that an output scores classes, else mse.
        temperature: by which scores are divided before kl (Hinton et al. 2015, arXiv 1503.02531).
        inside: how much the distance of values inside counts beside that of the outputs.
        epochs: passes over the training samples at most.
        lr: learning rate after the warm-up; it falls to 0 along half a cosine.
        warmup: share of all steps during which the learning rate grows to `lr`.
        batch: samples a step.
        optimizer: "adam", or "sgd" with momentum 0.9.
        validation: share of the samples held back to tell which epoch is best.
        patience: epochs without a new best after which training ends; 0: never before `epochs`.
        flip: mirror half of the images left to right; for inputs [1, channels, height, width].
        shift: move images by up to so many pixels each way, zeros following.
        mixup: blend samples two by two, shares being drawn from the beta distribution of twice this
            parameter (1: uniformly); 0 leaves them as they are.
        frozen: name patterns (* ? [...]) of nodes whose constants stay as they are.
        keep_zeros: which zeros stay zero; see `parameters.learned_constants`.
        learn_scales: whether scales of quantized values are learned.
        seed: decides split, order and augmentation.
        threads: processor threads; another number gives other last bits.
    """

    loss: Loss = "labels"
    measure: Measure = "auto"
    temperature: float = 4.0
    inside: float = 1.0
    epochs: int = 10
    lr: float = 1e-3
    warmup: float = 0.05
    batch: int = 64
    optimizer: Literal["adam", "sgd"] = "adam"
    validation: float = 0.1
    patience: int = 0
    flip: bool = False
    shift: int = 0
    mixup: float = 0.0
    frozen: tuple[str, ...] = ()
    keep_zeros: KeepZeros = "auto"
    learn_scales: bool = False
    seed: int = 0
    threads: int = 2

    @property
    def augments(self) -> bool:
        """Whether no two epochs see the same samples."""
        return self.flip or self.shift > 0 or self.mixup > 0
