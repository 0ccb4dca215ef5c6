"""A case for each operator of TFLite, in families."""

from __future__ import annotations

from collections.abc import Mapping

from tests.tflite_cases import elementwise, images, movement, reductions
from tests.tflite_cases.draw import Case

FAMILIES: Mapping[str, Mapping[str, tuple[Case, float | None]]] = {
    "elementwise": elementwise.CASES,
    "images": images.CASES,
    "movement": movement.CASES,
    "reductions": reductions.CASES,
}
"""By family and operator: a case, and by how many steps int8 may differ where onnxruntime computes
it; None where TFLite has no int8 kernel to ask."""
