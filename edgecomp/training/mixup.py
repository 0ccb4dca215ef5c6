"""Blends of two samples, as further samples.

Source: Zhang et al. 2018, mixup: Beyond Empirical Risk Minimization, arXiv 1710.09412. A teacher
that sees the same blends makes them worth more than labels do: Beyer et al. 2022, Knowledge
distillation: A good teacher is patient and consistent, arXiv 2106.05237.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from edgecomp.training.objective import Blend, Samples


def mixed(samples: Samples, mixup: float, random: np.random.Generator) -> Samples:
    """Each sample blended with another of the batch; answers to them are left out.

    Args:
        samples: with inputs of floats, [samples, *shape].
        mixup: both parameters of the beta distribution that the first one's share is drawn from.
        random: decides pairs and shares.
    """
    count = len(next(iter(samples.inputs.values())))
    others = torch.from_numpy(random.permutation(count))
    shares = torch.from_numpy(random.beta(mixup, mixup, size=count).astype(np.float32))
    inputs = {}
    for name, array in samples.inputs.items():
        along = shares.to(array.dtype).reshape(-1, *[1] * (array.ndim - 1))
        inputs[name] = along * array + (1 - along) * array[others]
    blend = None if samples.labels is None else Blend(samples.labels[others], shares)
    return replace(samples, inputs=inputs, answers={}, blend=blend)
