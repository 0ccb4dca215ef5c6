"""Keep what libraries say of a model to themselves: the importer says it in its own words."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = ("onnx_ir", "onnxscript", "torch", "torch.onnx", "torch.export")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the loggers of onnx_ir, onnxscript and torch, and Python warnings, within a block."""
    levels = [(logger := logging.getLogger(name), logger.level) for name in _LOGGERS]
    for logger, _ in levels:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in levels:
            logger.setLevel(level)
