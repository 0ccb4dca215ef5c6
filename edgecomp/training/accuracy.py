"""The share of right answers of a model."""

from __future__ import annotations

import numpy as np

from edgecomp.errors import EdgecompError, Reason
from edgecomp.model import Model
from edgecomp.reference import stream_reference
from edgecomp.training_data import Batch


def accuracy(model: Model, batch: Batch) -> float:
    """The share of samples whose label has the highest score in the first output, 0 to 1.

    As onnxruntime computes it, one sample at a time.

    Raises:
        EdgecompError: the samples have no labels or do not fit the model.
    """
    if batch.labels is None:
        raise EdgecompError(Reason("accuracy needs labels, and the samples have none"))
    samples = [batch.inputs[spec.name] for spec in model.inputs]
    rows = stream_reference(model, samples)
    right = [int(np.argmax(row[0])) == label for row, label in zip(rows, batch.labels, strict=True)]
    return float(np.mean(right))
