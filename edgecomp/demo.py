"""The demo's model and data: a small convolutional net and scikit-learn's handwritten digits.

The data are the 1,797 images of 8x8 pixels of the UCI "Optical Recognition of Handwritten Digits"
test set, which scikit-learn carries. The split into training and test images is defined here alone;
`scripts/train_digits.py` trained the committed model on the training images.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.errors import EdgecompError, Reason

INPUT_NAME = "image"
SPLIT_SEED = 2024
TEST_FRACTION = 0.25
PIXEL_MAXIMUM = 16.0

Arrays = dict[str, npt.NDArray[Any]]
"""Arrays by name in the form of a data file: `image` float32 [n, 1, 8, 8] in 0..1, `labels` [n]."""


def model_path() -> Path:
    """The trained model: ONNX, input `image` [batch, 1, 8, 8], output `scores` [batch, 10]."""
    return Path(__file__).parent / "demo_data" / "digits.onnx"


def load_split() -> tuple[Arrays, Arrays]:
    """The training and the test digits: 1,347 and 450 images, every class in proportion.

    Raises:
        EdgecompError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise EdgecompError(
            Reason(
                "the demo's digits come with scikit-learn, which is not installed",
                fix="install it with: pip install 'edgecomp[demo]'",
            )
        ) from error
    digits = load_digits()
    images = (digits.images / PIXEL_MAXIMUM).astype(np.float32)[:, np.newaxis]
    labels = digits.target.astype(np.int64)
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, labels, test_size=TEST_FRACTION, random_state=SPLIT_SEED, stratify=labels
    )
    return (
        {INPUT_NAME: train_images, "labels": train_labels},
        {INPUT_NAME: test_images, "labels": test_labels},
    )
