"""Compile trained models for edge devices.

The whole line in five calls::

    import edgecomp

    model = edgecomp.load("model.onnx")
    quantize = edgecomp.parse_pass("quantize")
    data = edgecomp.CalibrationData(Path("calibration.npz"))
    device = edgecomp.load_device("raspberrypi_4b")
    edgecomp.compile_model(model, device, Path("model.edge"), passes=[quantize], data=data)

`edgecomp_runtime.session.Session` runs what comes out. Nothing below is imported before it is used.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgecomp.calibration import CalibrationData as CalibrationData
    from edgecomp.compress import save_model as save_model
    from edgecomp.device import Device as Device
    from edgecomp.device import load_device as load_device
    from edgecomp.errors import EdgecompError as EdgecompError
    from edgecomp.importers import load as load
    from edgecomp.importers.pytorch import from_torch as from_torch
    from edgecomp.model import Model as Model
    from edgecomp.passes import parse_pass as parse_pass
    from edgecomp.pipeline import Options as Options
    from edgecomp.pipeline import compile_model as compile_model

__version__ = "0.1.0"

_HOME: Mapping[str, str] = {
    "CalibrationData": "edgecomp.calibration",
    "Device": "edgecomp.device",
    "EdgecompError": "edgecomp.errors",
    "Model": "edgecomp.model",
    "Options": "edgecomp.pipeline",
    "compile_model": "edgecomp.pipeline",
    "from_torch": "edgecomp.importers.pytorch",
    "load": "edgecomp.importers",
    "load_device": "edgecomp.device",
    "parse_pass": "edgecomp.passes",
    "save_model": "edgecomp.compress",
}
"""The module each public name comes from."""

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
