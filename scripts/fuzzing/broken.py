"""Importers that break one rule each: what the judge is tested with."""

from __future__ import annotations

import ctypes
from pathlib import Path


def read_outside(path: Path) -> None:
    """Reads a file beside the model's folder."""
    (path.parents[1] / "secret.bin").read_bytes()


def allocate(path: Path) -> None:
    """Takes more memory than there is."""
    bytearray(3 * 2**30)


def loop(path: Path) -> None:
    """Does not come to an end."""
    while True:
        pass


def crash(path: Path) -> None:
    """Ends the process as native code does that reads a wrong address."""
    ctypes.string_at(0)
