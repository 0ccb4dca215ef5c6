"""Random changes of images that do not change what they show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from edgecomp.errors import Reason, raise_if_any
from edgecomp.training.settings import Settings
from edgecomp.training_data import Array, Batch
from edgecomp_runtime.manifest import TensorSpec


def check_augmentation(specs: Sequence[TensorSpec], settings: Settings) -> None:
    """Make sure that the inputs are images where images are to be changed, and floats to blend.

    Raises:
        EdgecompError: with a reason for each input that is none.
    """
    reasons = []
    for spec in specs:
        if (settings.flip or settings.shift) and len(spec.shape) != 4:
            what = f"the input has the shape {list(spec.shape)}, and flip and shift need images "
            fix = "leave the options out"
            reasons.append(Reason(f"{what}[1, channels, height, width]", spec.name, fix))
        if settings.mixup and not spec.dtype.startswith("float"):
            what = f"the input holds {spec.dtype}, and mixup blends floats"
            reasons.append(Reason(what, spec.name, "leave the option out"))
    raise_if_any(reasons)


def augmented(batch: Batch, settings: Settings, random: np.random.Generator) -> Batch:
    """`batch` with some images mirrored and all moved, as `settings` asks; every input alike.

    Args:
        batch: images, [samples, 1, channels, height, width]; answers to them are left out.
        settings: how.
        random: decides which and where to.
    """
    if not settings.flip and not settings.shift:
        return batch
    count = len(batch)
    mirrored = random.random(count) < 0.5 if settings.flip else np.zeros(count, bool)
    moves = random.integers(-settings.shift, settings.shift + 1, size=(count, 2))
    changed: Mapping[str, Array] = {
        name: _moved(_mirrored(images, mirrored), moves) for name, images in batch.inputs.items()
    }
    return Batch(changed, batch.labels)


def _mirrored(images: Array, which: npt.NDArray[np.bool_]) -> Array:
    return np.where(which.reshape(-1, 1, 1, 1, 1), images[..., ::-1], images)


def _moved(images: Array, moves: npt.NDArray[np.int64]) -> Array:
    """Each image moved down and to the right by its row of `moves`, zeros following."""
    moved = np.zeros_like(images)
    height, width = images.shape[-2:]
    for index, (down, right) in enumerate(moves):
        rows, columns = (
            slice(max(down, 0), height + min(down, 0)),
            slice(max(right, 0), width + min(right, 0)),
        )
        from_rows = slice(max(-down, 0), height + min(-down, 0))
        from_columns = slice(max(-right, 0), width + min(-right, 0))
        moved[index, ..., rows, columns] = images[index, ..., from_rows, from_columns]
    return moved
