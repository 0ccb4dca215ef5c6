"""`edgecomp evaluate`: the accuracy of a model or an artifact on labelled data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.commands.model_file import ModelFile
from edgecomp.errors import EdgecompError, Reason
from edgecomp.model import Model
from edgecomp.progress import Progress
from edgecomp.reference import stream_reference
from edgecomp_runtime.artifact import Artifact, open_artifact
from edgecomp_runtime.data import Samples, read_samples
from edgecomp_runtime.manifest import TensorSpec
from edgecomp_runtime.preprocess import Preprocess
from edgecomp_runtime.session import Session

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Evaluated:
    """How good it is.

    Attributes:
        accuracy: share of the samples whose highest score is that of their label, 0 to 1.
        correct: how many samples that is.
        samples: how many were tried.
        output: the output that holds the scores.
    """

    accuracy: float
    correct: int
    samples: int
    output: str

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)


def evaluate_file(file: ModelFile, data: Path, limit: int | None, progress: Progress) -> Evaluated:
    """Accuracy of a model (as onnxruntime computes it) or an artifact (as its engine does).

    Args:
        file: the model or artifact.
        data: samples with `labels`.
        limit: try at most so many, evenly spread over the file.
        progress: who is told how far it is.

    Raises:
        EdgecompError, ArtifactError, InputError: all that keeps it from being evaluated.
    """
    if not file.is_artifact:
        preprocess = file.parsed_preprocess()
        model = file.load()
        samples = _labelled(data, model.inputs, model.outputs, preprocess, limit)
        return _accuracy(model.outputs[0], _model_scores(model, samples), samples, progress)
    file.check_plain()
    artifact = open_artifact(file.path)
    manifest = artifact.manifest
    recorded = None if manifest.preprocess is None else Preprocess.parse(manifest.preprocess)
    samples = _labelled(data, manifest.inputs, manifest.outputs, recorded, limit)
    return _accuracy(manifest.outputs[0], _artifact_scores(artifact, samples), samples, progress)


def spread(samples: Samples, limit: int | None) -> Samples:
    """At most `limit` of the samples, evenly spread over them; all when it is None.

    Raises:
        EdgecompError: the limit is not positive.
    """
    if limit is None or limit >= samples.count:
        return samples
    if limit < 1:
        raise EdgecompError(Reason("at least one sample is needed", f"--samples {limit}"))
    chosen = np.arange(limit) * samples.count // limit
    labels = None if samples.labels is None else samples.labels[chosen]
    return Samples(tuple(array[chosen] for array in samples.arrays), labels, limit)


def _labelled(
    data: Path,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    preprocess: Preprocess | None,
    limit: int | None,
) -> Samples:
    """The samples of `data`, after making sure that the first output can score their labels."""
    scores = outputs[0]
    classes = math.prod(scores.shape)
    if max(scores.shape, default=1) != classes or classes < 2:
        raise EdgecompError(
            Reason(
                f"it has the shape {list(scores.shape)}, and accuracy needs one score a class",
                f"output {scores.name}",
                "compare such a model with `edgecomp verify`",
            )
        )
    samples = spread(read_samples(data, inputs, preprocess, need_labels=True), limit)
    assert samples.labels is not None, "need_labels"
    low, high = int(samples.labels.min()), int(samples.labels.max())
    if low < 0 or high >= classes:
        raise EdgecompError(
            Reason(
                f"the labels go from {low} to {high}, and the output {scores.name} scores "
                f"{classes} classes, 0 to {classes - 1}",
                str(data),
                "give the class index of each sample",
            )
        )
    return samples


def _artifact_scores(artifact: Artifact, samples: Samples) -> Iterator[Array]:
    name = artifact.manifest.outputs[0].name
    with Session(artifact) as session:
        for outputs in session.run_samples(samples):
            yield outputs[name]


def _model_scores(model: Model, samples: Samples) -> Iterator[Array]:
    return (outputs[0] for outputs in stream_reference(model, samples.arrays))


def _accuracy(
    output: TensorSpec, scores: Iterator[Array], samples: Samples, progress: Progress
) -> Evaluated:
    assert samples.labels is not None, "labelled samples only"
    correct = 0
    with progress.task("evaluate", samples.count) as step:
        for label, score in zip(samples.labels, scores, strict=True):
            correct += int(np.argmax(score) == label)
            step()
    return Evaluated(correct / samples.count, correct, samples.count, output.name)
