"""Which weights are stored in four bits: two in a byte, unpacked as they are multiplied.

Any int8 weights may be, if they lie in [-8, 7], however the model came by them; those of depthwise
convolutions are so few that they stay as they are, and so do all on Cortex-M0+ and M3. What it
costs, in instructions of a call: on Helium up to a twentieth, as only rescaling has more to do; on
cores with the DSP extension, where unpacking takes one instruction more in twelve, about that for
dense layers, and for convolutions the more the fewer filters share the sum of a patch.

By `optimize`, then: "size" packs all that fit; "balanced" does where a call has at most about a
tenth more instructions; "speed" does not. In any case a program must save so much that code for
both kinds of weights is paid for (`pays`). `arrange.py` has the tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy.typing as npt

NAME = "int4"
"""As in `Call.weights`."""
LOW, HIGH = -8, 7
LEAST_SAVED = 4096
"""Bytes of flash a program saves at least: about the code of a second kind of kernels."""
MANY_FILTERS = 48
"""Those of a convolution that is packed on a core with the DSP extension when balanced."""

Array = npt.NDArray[Any]


def fits(weights: Array, low: int = LOW) -> bool:
    """Whether int8 `weights` lie in [`low`, 7]."""
    return bool(weights.min() >= low and weights.max() <= HIGH)


def pays(layers: Iterable[Array]) -> bool:
    """Whether a program that packs the weights `layers` saves enough flash."""
    return sum(weights.size // 2 for weights in layers) >= LEAST_SAVED
