"""Train a model, as several passes do: samples, objective, loop, and the constants written back."""

from __future__ import annotations

from dataclasses import dataclass

from edgecomp.errors import EdgecompError, Reason
from edgecomp.model import Model
from edgecomp.passes.context import Context
from edgecomp.training.answers import class_scores
from edgecomp.training.augment import check_augmentation
from edgecomp.training.checkpoint import Checkpoints
from edgecomp.training.determinism import deterministic
from edgecomp.training.executor import Network
from edgecomp.training.loop import fit
from edgecomp.training.objective import Teacher, check_labels, make_objective
from edgecomp.training.settings import Settings
from edgecomp.training_data import Batch, split, unlabelled


@dataclass(frozen=True)
class Trained:
    """What a training made.

    Attributes:
        model: with new constants; names, shapes, types and history are those before.
        accuracy_before, accuracy: share of right answers on the validation samples; None where
            the loss does not look at labels.
        loss_before, loss: mean loss on them.
    """

    model: Model
    accuracy_before: float | None
    accuracy: float | None
    loss_before: float
    loss: float


def train(model: Model, settings: Settings, context: Context) -> Model:
    """`model` trained on the samples of `context`; see `train_and_report`."""
    return train_and_report(model, settings, context).model


def train_and_report(model: Model, settings: Settings, context: Context) -> Trained:
    """`model` with the learned constants of the best epoch, which may be the start.

    What is exactly zero, shared by a palette, a factor of low rank or quantized stays so; see
    `parameters.learned_constants` and `weights.Weights`.

    Args:
        model: an imported model; it is not changed.
        settings: how.
        context: `train` has the samples (for losses without labels `data` serves too), `original`
            is the teacher, `checkpoints` the folder to go on from.

    Raises:
        EdgecompError: an operator is unknown, or samples, settings and model do not go together.
    """
    check_augmentation(model.inputs, settings)
    samples = _samples(model, settings, context)
    if settings.loss == "labels":
        check_labels(samples.labels, class_scores(model))
    training, validation = split(samples, settings.validation, settings.seed)
    teacher = None if settings.loss == "labels" else context.original
    network = Network(model, settings.frozen, settings.keep_zeros, settings.learn_scales)
    if not network.parameters:
        raise EdgecompError(Reason("nothing in it is learned", model.name, "give fewer frozen"))
    objective = make_objective(
        model,
        teacher,
        settings.loss,
        settings.measure,
        settings.temperature,
        samples.labels is not None,
        settings.inside,
    )
    checkpoints = Checkpoints.of(
        context.checkpoints, (model, teacher), (training, validation), settings
    )
    with deterministic(settings.threads):
        if isinstance(objective, Teacher):
            validation = objective.answered(validation)
            if not settings.augments:
                training = objective.answered(training)
        before, after = fit(
            network, objective, training, validation, settings, checkpoints, context.progress
        )
        trained = model.with_graph(network.written_back())
    labelled = settings.loss == "labels"
    return Trained(
        trained,
        before[0] if labelled else None,
        after[0] if labelled else None,
        -before[1],
        -after[1],
    )


def _samples(model: Model, settings: Settings, context: Context) -> Batch:
    if settings.loss == "labels" or context.train is not None:
        return context.need_train(f"loss={settings.loss}").load(model.inputs)
    return unlabelled(context.need_data(f"loss={settings.loss}"), model.inputs)
