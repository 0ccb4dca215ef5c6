"""TVM without PyTorch.

Where PyTorch is installed, tvm_ffi imports it with itself. That takes seconds and hundreds of
megabytes, and nothing in this package hands tensors from one to the other.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

_MODULES: dict[str, Any] = sys.modules


def import_tvm_alone() -> None:
    """Import TVM, and let it find no PyTorch meanwhile; nothing is done when either is there."""
    if "torch" in _MODULES or "tvm_ffi" in _MODULES:
        return
    _MODULES["torch"] = None  # makes an import of it raise ModuleNotFoundError
    try:
        importlib.import_module("tvm")
    finally:
        del _MODULES["torch"]
