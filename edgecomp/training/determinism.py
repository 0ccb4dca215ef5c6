"""The same bits from PyTorch on every run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def deterministic(threads: int) -> Iterator[None]:
    """Within, PyTorch uses deterministic algorithms and `threads` threads; afterwards as before."""
    were, flag = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(were)
        torch.use_deterministic_algorithms(flag)
