"""A program's constants as C arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.lowering.c_names import C_TYPES, unique_names
from edgecomp_runtime.c_text import in_lines, integer_text


class ConstantArrays:
    """Constants as C arrays: equal contents are stored once."""

    def __init__(self, constants: Mapping[str, npt.NDArray[Any]]) -> None:
        by_content: dict[tuple[str, int, bytes], str] = {}
        self._same = {
            name: by_content.setdefault(_identity(array), name) for name, array in constants.items()
        }
        self.contents = {name: constants[name] for name in by_content.values()}
        self._names = unique_names(list(self.contents))

    @property
    def bytes(self) -> int:
        """Size of all arrays."""
        return sum(array.nbytes for array in self.contents.values())

    def name(self, constant: str) -> str:
        """The C array, without the prefix, that holds `constant`."""
        return self._names[self._same[constant]]

    def declaration(self, symbol: str, constant: str) -> str:
        """Type, name and size of the array."""
        array = self.contents[self._same[constant]]
        size = max(array.size, 1)
        return f"{C_TYPES[array.dtype.name]} {symbol}_{self.name(constant)}[{size}]"


def _identity(array: npt.NDArray[Any]) -> tuple[str, int, bytes]:
    """Equal for equal contents, and small: constants may be hundreds of megabytes."""
    content = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return array.dtype.name, array.nbytes, hashlib.sha256(content.data).digest()


def weights_file(symbol: str, arrays: ConstantArrays) -> str:
    """The definitions of `arrays` in C."""
    definitions = [
        f"EC_WEIGHTS const {arrays.declaration(symbol, name)} = {{\n{array_elements(array)}\n}};"
        for name, array in arrays.contents.items()
    ]
    return '#include "edgecomp_kernel.h"\n\n' + "\n\n".join(definitions) + "\n"


def array_elements(array: npt.NDArray[Any]) -> str:
    """What stands between the braces of an array's definition."""
    flat = array.reshape(-1)
    if array.dtype.kind == "f":
        suffix = "" if array.dtype == np.float64 else "f"
        texts = [_float_text(value, suffix) for value in flat.tolist()]
    elif array.dtype == np.int64:
        # C has no literal for the least of them
        least = -(2**63)
        texts = ["INT64_MIN" if value == least else f"{value}LL" for value in flat.tolist()]
    elif array.dtype == np.uint64:
        texts = [f"{value}ULL" for value in flat.tolist()]
    else:
        return integer_text(flat.astype(np.int64))
    return in_lines(texts)


def _float_text(value: float, suffix: str) -> str:
    if value != value:
        return "EC_NAN"
    if value in (float("inf"), float("-inf")):
        return "EC_INFINITY" if value > 0 else "-EC_INFINITY"
    return f"{value.hex()}{suffix}"
