"""The training loop: mini-batches in a seeded order, the best epoch kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from edgecomp.progress import Progress, Step
from edgecomp.training.augment import augmented
from edgecomp.training.checkpoint import Checkpoints
from edgecomp.training.executor import Network
from edgecomp.training.mixup import mixed
from edgecomp.training.objective import Labels, Objective, Samples
from edgecomp.training.settings import Settings
from edgecomp.training_data import Batch

_VALIDATED_AT_ONCE = 128

Score = tuple[float, float]
"""How good a network is on the validation samples, compared from the left: the share of right
answers (0 where there are no labels to compare with), and the mean loss with its sign changed."""


@dataclass
class _Run:
    """Where a training is.

    Attributes:
        network, objective, training, validation, settings: what is trained, and how.
        optimizer: of PyTorch.
        epoch: epochs done.
        score: of the best epoch; `epoch` 0 is the start.
        best: the parameters then.
        stale: epochs since.
    """

    network: Network
    objective: Objective
    training: Batch
    validation: Batch
    settings: Settings
    optimizer: Any = None
    epoch: int = 0
    score: Score = (0.0, -math.inf)
    best: dict[str, Any] = field(default_factory=dict)
    stale: int = 0

    def __post_init__(self) -> None:
        parameters = list(self.network.parameters.values())
        self.optimizer = _OPTIMIZERS[self.settings.optimizer](parameters)

    @property
    def steps(self) -> int:
        """Mini-batches in an epoch; a remainder too small for one is left out."""
        return max(len(self.training) // self.settings.batch, 1)

    @property
    def over(self) -> bool:
        """Whether there is nothing more to do."""
        tired = 0 < self.settings.patience <= self.stale
        return self.epoch >= self.settings.epochs or tired

    def judge(self) -> None:
        """Keep the parameters if they are the best so far."""
        score = validate(self.network, self.objective, self.validation)
        if score > self.score or not self.best:
            self.score, self.stale = score, 0
            self.best = {n: p.detach().clone() for n, p in self.network.parameters.items()}
        else:
            self.stale += 1

    def state(self) -> dict[str, Any]:
        """All that `restore` needs."""
        return {
            "parameters": {n: p.detach() for n, p in self.network.parameters.items()},
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "score": list(self.score),
            "best": self.best,
            "stale": self.stale,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Be where `state` was made."""
        with torch.no_grad():
            for name, parameter in self.network.parameters.items():
                parameter.copy_(state["parameters"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.best, self.stale = state["epoch"], state["best"], state["stale"]
        self.score = (state["score"][0], state["score"][1])


_OPTIMIZERS: dict[str, Callable[[list[Any]], Any]] = {
    "adam": lambda parameters: torch.optim.Adam(parameters),
    "sgd": lambda parameters: torch.optim.SGD(parameters, momentum=0.9),
}


def fit(
    network: Network,
    objective: Objective,
    training: Batch,
    validation: Batch,
    settings: Settings,
    checkpoints: Checkpoints,
    progress: Progress,
) -> tuple[Score, Score]:
    """Train `network`, whose parameters are those of the best epoch afterwards, the start included.

    Args:
        network: what is trained.
        objective: what is brought down.
        training, validation: samples to train on, and to find the best epoch with.
        settings: how.
        checkpoints: where the state is kept after every epoch, and found again.
        progress: who is told of every mini-batch.

    Returns:
        The scores of the start and of the best epoch.
    """
    run = _Run(network, objective, training, validation, settings)
    run.judge()
    before = run.score
    saved = checkpoints.load()
    if saved is not None:
        run.restore(saved)
    with progress.task("train", total=settings.epochs * run.steps) as step:
        for _ in range(run.epoch * run.steps):
            step()
        while not run.over:
            _epoch(run, step)
            run.epoch += 1
            run.judge()
            checkpoints.save(run.state())
    with torch.no_grad():
        for name, parameter in network.parameters.items():
            parameter.copy_(run.best[name])
    return before, run.score


def _epoch(run: _Run, step: Step) -> None:
    for index, samples in enumerate(_mini_batches(run)):
        done = run.epoch * run.steps + index
        for group in run.optimizer.param_groups:
            group["lr"] = learning_rate(run.settings, done, run.settings.epochs * run.steps)
        values = run.network.run(samples.inputs, run.objective.wanted)
        run.optimizer.zero_grad()
        run.objective.losses(values, samples).mean().backward()
        run.optimizer.step()
        with torch.no_grad():
            for name, mask in run.network.masks.items():
                run.network.parameters[name].mul_(mask)
        step()


def _mini_batches(run: _Run) -> Iterator[Samples]:
    """The training samples, in an order and with changes that seed and epoch decide."""
    random = np.random.default_rng([run.settings.seed, run.epoch])
    order = random.permutation(len(run.training))
    for index in range(run.steps):
        rows = order[index * run.settings.batch : (index + 1) * run.settings.batch]
        samples = Samples.of(augmented(run.training.take(rows), run.settings, random))
        mixup = run.settings.mixup
        yield mixed(samples, mixup, random) if mixup else samples


def learning_rate(settings: Settings, step: int, steps: int) -> float:
    """The learning rate of `step` of `steps`: a line up to `lr`, then half a cosine down to 0.

    Source: Loshchilov and Hutter 2017, SGDR, equation 5, without restarts.
    """
    warm = round(settings.warmup * steps)
    if step < warm:
        return settings.lr * (step + 1) / warm
    return settings.lr * (1 + math.cos(math.pi * (step - warm) / max(steps - warm, 1))) / 2


def validate(network: Network, objective: Objective, batch: Batch) -> Score:
    """How good `network` is on `batch`; losses that are no numbers count as infinite."""
    total, right = 0.0, 0
    with torch.no_grad():
        for part in batch.parts(_VALIDATED_AT_ONCE):
            samples = Samples.of(part)
            values = network.run(samples.inputs, objective.wanted)
            total += float(objective.losses(values, samples).sum(dtype=torch.float64))
            if isinstance(objective, Labels):
                right += int(objective.correct(values, samples).sum())
    loss = total / len(batch)
    return right / len(batch), -loss if math.isfinite(loss) else -math.inf
