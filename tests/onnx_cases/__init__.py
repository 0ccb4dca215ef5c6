"""A case for each operator of ONNX, in families."""

from __future__ import annotations

from collections.abc import Mapping

from tests.onnx_cases.draw import Case
from tests.onnx_cases.elementwise import ELEMENTWISE
from tests.onnx_cases.layers import LAYERS
from tests.onnx_cases.movement import MOVEMENT

FAMILIES: Mapping[str, Mapping[str, Case]] = {
    "elementwise": ELEMENTWISE,
    "layers": LAYERS,
    "movement": MOVEMENT,
}
"""By family and operator; a second case of an operator says after its name what differs."""
