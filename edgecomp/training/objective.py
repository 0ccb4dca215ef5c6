"""What training brings down: a loss for each sample."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812

from edgecomp.errors import EdgecompError, Reason
from edgecomp.model import Model
from edgecomp.training.answers import Answer, answers_of, class_scores, common_features
from edgecomp.training.executor import Network, Tensors, batch_tensors
from edgecomp.training.settings import Loss, Measure
from edgecomp.training_data import Batch

_SMALL = 1e-12
"""Added to a variance before dividing by it."""


_KEPT_BYTES = 2**28
"""A teacher's answers that take more are computed again in every epoch."""

_ANSWERED_AT_ONCE = 128


@dataclass(frozen=True, eq=False)
class Blend:
    """What samples were blended with; see `mixup`.

    Attributes:
        labels: of the other samples, int64 [samples].
        shares: of the first samples in the blends, 0 to 1, float32 [samples].
    """

    labels: Any
    shares: Any


@dataclass(frozen=True, eq=False)
class Samples:
    """A batch in PyTorch.

    Attributes:
        inputs, answers: as those of `Batch`.
        labels: int64 [samples], or None.
        blend: None of samples that are as they were.
    """

    inputs: Tensors
    labels: Any
    answers: Tensors
    blend: Blend | None = None

    @classmethod
    def of(cls, batch: Batch) -> Samples:
        """The same numbers."""
        labels = None if batch.labels is None else torch.from_numpy(batch.labels)
        return cls(batch_tensors(batch.inputs), labels, batch_tensors(batch.answers))


@dataclass(frozen=True, eq=False)
class Labels:
    """The cross entropy of class scores and labels.

    Attributes:
        scores: where the model has them.
    """

    scores: Answer

    @property
    def wanted(self) -> tuple[str, ...]:
        """Values of the student's graph that the loss is made of."""
        return (self.scores.value,)

    def losses(self, values: Tensors, samples: Samples) -> Any:
        """The loss of each sample, [samples].

        Args:
            values: the `wanted` of the student, [samples, *shape].
            samples: what they were made of.
        """
        scores = values[self.scores.value].flatten(1)
        loss = F.cross_entropy(scores, samples.labels, reduction="none")
        if samples.blend is None:
            return loss
        other = F.cross_entropy(scores, samples.blend.labels, reduction="none")
        return samples.blend.shares * loss + (1 - samples.blend.shares) * other

    def correct(self, values: Tensors, samples: Samples) -> Any:
        """Whether the label of each sample has the highest score, [samples]."""
        return values[self.scores.value].flatten(1).argmax(1) == samples.labels


@dataclass(frozen=True, eq=False)
class Teacher:
    """The distance from what another network answers.

    Attributes:
        network: the teacher.
        answers: of the student and of the teacher, output by output.
        kl: whether outputs are compared by Kullback-Leibler divergence, for each.
        temperature: by which scores are divided then.
        features: names of values inside that are compared too.
        inside: how much their mean error counts beside the distance of the outputs.
    """

    network: Network
    answers: tuple[tuple[Answer, Answer], ...]
    kl: tuple[bool, ...]
    temperature: float
    features: tuple[str, ...]
    inside: float

    @property
    def wanted(self) -> tuple[str, ...]:
        """Values of the student's graph that the loss is made of."""
        return tuple(dict.fromkeys([*(own.value for own, _ in self.answers), *self.features]))

    @property
    def asked(self) -> tuple[str, ...]:
        """Values of the teacher's graph that it is compared with."""
        outputs = [theirs.value for _, theirs in self.answers]
        return tuple(dict.fromkeys([*outputs, *self.features]))

    def answered(self, batch: Batch) -> Batch:
        """`batch` with the teacher's answers, where they take no more than `_KEPT_BYTES`."""
        parts: list[Tensors] = []
        for part in batch.parts(_ANSWERED_AT_ONCE):
            with torch.no_grad():
                parts.append(self.network.run(batch_tensors(part.inputs), self.asked))
            bytes_each = sum(value.nbytes for value in parts[0].values()) / len(part)
            if len(parts) == 1 and bytes_each * len(batch) > _KEPT_BYTES:
                return batch
        answers = {n: torch.cat([part[n] for part in parts]).numpy() for n in self.asked}
        return replace(batch, answers=answers)

    def losses(self, values: Tensors, samples: Samples) -> Any:
        """The loss of each sample; see `Labels.losses`. Labels are not looked at."""
        right = samples.answers
        if not right:
            with torch.no_grad():
                right = self.network.run(samples.inputs, self.asked)
        total = torch.zeros(())
        for (own, theirs), kl in zip(self.answers, self.kl, strict=True):
            student, teacher = values[own.value], right[theirs.value]
            distance = (
                self._divergence(student, teacher, own.axis) if kl else _error(student, teacher)
            )
            total = total + distance
        for name in self.features:
            error = _error(values[name], right[name])
            total = total + self.inside * error / len(self.features)
        return total

    def _divergence(self, student: Any, teacher: Any, axis: int) -> Any:
        """Times the square of the temperature, so that gradients do not depend on it."""
        ours = F.log_softmax(student / self.temperature, dim=axis + 1)
        right = F.log_softmax(teacher / self.temperature, dim=axis + 1)
        terms = (right.exp() * (right - ours)).flatten(1).sum(1)
        return terms * self.temperature**2


@dataclass(frozen=True, eq=False)
class Directions:
    """The sum of all outputs, each with a random sign: its squared slope is on average that of
    the outputs (Hutchinson's estimator of a trace). It compares with nothing.

    Attributes:
        answers: of the model's outputs.
        random: draws the signs.
    """

    answers: tuple[Answer, ...]
    random: np.random.Generator

    @classmethod
    def of(cls, model: Model) -> Directions:
        """Those of all outputs that hold floats."""
        return cls(answers_of(model), np.random.default_rng(0))

    @property
    def wanted(self) -> tuple[str, ...]:
        """Values of the graph that the sum is made of."""
        return tuple(answer.value for answer in self.answers)

    def losses(self, values: Tensors, samples: Samples) -> Any:
        """The sum for each sample; see `Labels.losses`. Every call draws other signs."""
        total = torch.zeros(())
        for answer in self.answers:
            value = values[answer.value].flatten(1)
            signs = self.random.integers(0, 2, size=tuple(value.shape)) * 2 - 1
            total = total + (value * torch.from_numpy(signs).to(value.dtype)).sum(1)
        return total


Objective = Labels | Teacher | Directions


def _error(student: Any, teacher: Any) -> Any:
    """Mean squared error of each sample, as a share of the variance of the teacher's batch."""
    variance = teacher.var(correction=0) + _SMALL
    return (student - teacher).square().flatten(1).mean(1) / variance


def check_labels(labels: npt.NDArray[np.int64] | None, scores: Answer) -> None:
    """Make sure that `labels` are there and that the model scores their classes.

    Raises:
        EdgecompError: they cannot be used.
    """
    if labels is None:
        raise EdgecompError(
            Reason(
                "the training samples have no labels",
                fix="add an array `labels` of class indices to the file, or train with loss=logits",
            )
        )
    low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
    if low < 0 or high >= scores.classes:
        raise EdgecompError(
            Reason(
                f"the labels go from {low} to {high}, and {scores.value} scores {scores.classes} "
                f"classes, 0 to {scores.classes - 1}",
                fix="give the class index of each sample",
            )
        )


def make_objective(
    model: Model,
    teacher: Model | None,
    loss: Loss,
    measure: Measure = "auto",
    temperature: float = 4.0,
    labelled: bool = False,
    inside: float = 1.0,
) -> Objective:
    """The objective `loss` of a model that is to be trained.

    Args:
        model: the student.
        teacher: what it learns from; needed unless the loss is "labels".
        loss, measure, temperature, inside: as in `Settings`.
        labelled: whether the samples have labels, so that the first output scores classes.

    Raises:
        EdgecompError: the models do not suit the loss.
    """
    if loss == "labels":
        return Labels(class_scores(model))
    if teacher is None:
        raise EdgecompError(Reason(f"loss={loss} needs the model before compression"))
    own, theirs = answers_of(model), answers_of(teacher)
    if [answer.shape for answer in own] != [answer.shape for answer in theirs] or not own:
        raise EdgecompError(
            Reason("its outputs have not the shapes of the model it learns from", model.name)
        )
    features = common_features(model, teacher) if loss == "features" else ()
    if loss == "features" and not features:
        raise EdgecompError(
            Reason(
                "no value inside has name and shape in common with the model before compression",
                model.name,
                "use loss=logits",
            )
        )
    classes = [a.scores or (labelled and not i and a.classes > 0) for i, a in enumerate(own)]
    kl = tuple(known if measure == "auto" else measure == "kl" for known in classes)
    pairs = tuple(zip(own, theirs, strict=True))
    network = Network(teacher, keep_zeros="never")
    return Teacher(network, pairs, kl, temperature, features, inside)
