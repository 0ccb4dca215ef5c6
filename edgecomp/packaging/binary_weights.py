"""The constants of an artifact as C, also where the artifact keeps them in a binary file."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from edgecomp.lowering.c_constants import array_elements
from edgecomp.lowering.c_names import C_TYPES

_DTYPES = {c_type: dtype for dtype, c_type in C_TYPES.items()}
_PLACE = re.compile(r'^(\w+):\n\s*\.incbin "[^"]+", (\d+), (\d+)', re.M)
_DECLARATION = re.compile(r"^extern const (\w+) (\w+)\[(\d+)\];", re.M)


def weights_text(symbol: str, files: Mapping[str, bytes]) -> str:
    """Definitions of all constants of the program `symbol`.

    Args:
        symbol: prefix of the program's C names.
        files: the C of its artifact, by file name: SYMBOL_weights.c, or SYMBOL_weights.S that
            places parts of SYMBOL_weights.bin (see `edgecomp.lowering.binary_constants`).
    """
    text = f"{symbol}_weights.c"
    if text in files:
        return files[text].decode()
    assembly, binary = files[f"{symbol}_weights.S"].decode(), files[f"{symbol}_weights.bin"]
    places = {name: (int(start), int(size)) for name, start, size in _PLACE.findall(assembly)}
    definitions = []
    for c_type, name, count in _DECLARATION.findall(files[f"{symbol}.c"].decode()):
        start, size = places[name]
        array = np.frombuffer(binary[start : start + size], np.dtype(_DTYPES[c_type]))
        elements = array_elements(array)
        definitions.append(f"EC_WEIGHTS const {c_type} {name}[{count}] = {{\n{elements}\n}};")
    return "\n\n".join(definitions) + "\n"
