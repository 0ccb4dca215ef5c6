"""Constants too many to write as text: a binary file, and the assembly that places it.

A C compiler takes two seconds for the text of a million numbers; an assembler copies the file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.lowering.c_constants import ConstantArrays

TEXT_LIMIT = 2 << 20
"""Programs with more bytes of constants than this keep them in a binary file."""
ALIGNMENT = 16
"""Of each array in the file and in memory, as `EC_WEIGHTS` gives it to those of C."""

_HEAD = """\
/* The constants of {symbol}: {file}, placed for the linker. For every ELF target, with GNU as or
 * clang; the file's folder must be an include path (-I). */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "{file} is little-endian"
#endif
/* A firmware may name a section of its own. */
#ifndef EC_WEIGHTS_SECTION
#define EC_WEIGHTS_SECTION .rodata
#endif
"""

_ARRAY = """\
  .section EC_WEIGHTS_SECTION, "a", %progbits
  .balign {alignment}
  .globl {name}
  .hidden {name}
  .type {name}, %object
  .size {name}, {size}
{name}:
  .incbin "{file}", {offset}, {size}
"""

_TAIL = '  .section .note.GNU-stack, "", %progbits\n'


def binary_file(arrays: ConstantArrays) -> bytes:
    """The contents of `arrays` in order, little-endian, each at a multiple of `ALIGNMENT`."""
    return b"".join(_padded(array) for array in arrays.contents.values())


def assembly_file(symbol: str, arrays: ConstantArrays, file: str) -> str:
    """Assembly that defines each of `arrays` as a part of `file`, what `binary_file` gave."""
    parts, offset = [_HEAD.format(symbol=symbol, file=file)], 0
    for name, array in arrays.contents.items():
        label, size = f"{symbol}_{arrays.name(name)}", max(array.nbytes, array.itemsize)
        place = {"name": label, "size": size, "offset": offset, "file": file}
        parts.append(_ARRAY.format(alignment=ALIGNMENT, **place))
        offset += _aligned(size)
    return "\n".join([*parts, _TAIL])


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _padded(array: npt.NDArray[Any]) -> bytes:
    """An array that is empty takes an element, as C has no empty ones."""
    content = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    return content.ljust(_aligned(max(array.nbytes, array.itemsize)), b"\0")
