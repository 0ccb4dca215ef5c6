"""The options that all passes that train have in common."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from edgecomp.errors import EdgecompError, Reason
from edgecomp.model import Model
from edgecomp.passes.base import Pass
from edgecomp.passes.context import Context
from edgecomp.passes.options import option
from edgecomp.training.settings import Settings


@dataclass(frozen=True)
class TrainingPass(Pass):
    """A pass that trains the learned constants of the graph; see `training.settings.Settings`."""

    epochs: int = option(10, "passes over the training samples at most", 1)
    lr: float = option(1e-3, "learning rate; it falls to 0 along half a cosine", 1e-9, 10.0)
    batch: int = option(64, "samples a step", 1)
    optimizer: Literal["adam", "sgd"] = option("adam", "how steps are made of gradients")
    warmup: float = option(0.05, "share of the steps in which the learning rate grows", 0.0, 1.0)
    validation: float = option(0.1, "share of the samples that tells the best epoch", 0.001, 0.9)
    patience: int = option(0, "epochs without a new best that end it; 0: none do", 0)
    flip: bool = option(False, "mirror half of the images left to right")
    shift: int = option(0, "move images by up to so many pixels each way", 0)
    mixup: float = option(
        0.0, "blend samples two by two, by shares of the beta distribution; 1: uniform", 0.0, 10.0
    )
    freeze: tuple[str, ...] = option((), "name patterns (* ? [...]) of nodes that stay as they are")
    zeros: Literal["auto", "always", "never"] = option(
        "auto", "which weights of 0 stay 0; auto: those of pruned tensors"
    )
    seed: int = option(0, "decides order, split and augmentation", 0)
    threads: int = option(2, "processor threads; another number gives other last bits", 1)

    @abstractmethod
    def settings(self) -> Settings:
        """What these options mean to the trainer."""

    def apply(self, model: Model, context: Context) -> Model:
        """The model with the constants of the best epoch; see `Pass.apply`."""
        return model.with_graph(
            trained(model, self.settings(), context, self.name).graph, str(self)
        )

    def shared_settings(self) -> Settings:
        """The settings of the options above, the others at their defaults."""
        return Settings(
            epochs=self.epochs,
            lr=self.lr,
            batch=self.batch,
            optimizer=self.optimizer,
            warmup=self.warmup,
            validation=self.validation,
            patience=self.patience,
            flip=self.flip,
            shift=self.shift,
            mixup=self.mixup,
            frozen=self.freeze,
            keep_zeros=self.zeros,
            seed=self.seed,
            threads=self.threads,
        )


def trained(model: Model, settings: Settings, context: Context, name: str) -> Model:
    """`model` trained, for the pass called `name`; see `training.train.train`.

    Raises:
        EdgecompError: PyTorch is not installed, or what `train` raises.
    """
    need_torch(name)  # an extra, and so imported here
    from edgecomp.training.train import train

    return train(model, settings, context)


def need_torch(name: str) -> None:
    """Make sure that PyTorch is installed, which the pass called `name` needs.

    Raises:
        EdgecompError: it is not.
    """
    if find_spec("torch") is None:
        raise EdgecompError(
            Reason(
                "training needs PyTorch, which is not installed",
                name,
                "install it with pip install 'edgecomp[train]'",
            )
        )
