"""Constants once in an artifact, Huffman-coded, though several of its files hold them.

A program's weights are in its image, in its library and, as text, in its C. Here they are cut out
of all of them, and put back when the artifact is opened, before the digests are checked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp_runtime.c_text import integer_text
from edgecomp_runtime.huffman import decode, encode

CODES, PLACES = "constants.huffman", "constants.json"
"""The members that hold the constants, and where they belong."""
LEAST = 64
"""Bytes of a constant that is cut out."""
DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32")

Array = npt.NDArray[Any]
Piece = tuple[int, int, str]
"""A constant of a file: where it begins in the whole file, which one it is, and its form."""


def cut(files: Mapping[str, bytes], constants: Sequence[Array]) -> dict[str, bytes]:
    """`files` without what they hold of `constants`, and the two members that have it."""
    kept = _distinct(constants)
    members: dict[str, bytes] = {}
    places: dict[str, list[Piece]] = {}
    forms = [(i, form, _form(array, form)) for i, array in enumerate(kept) for form in FORMS]
    for name, content in files.items():
        found = _occurrences(content, forms)
        members[name] = _without(content, found)
        if found:
            places[name] = [(at, constant, form) for at, _, constant, form in found]
    index = {"dtypes": [array.dtype.name for array in kept], "places": places}
    members[PLACES] = (json.dumps(index, sort_keys=True) + "\n").encode()
    members[CODES] = b"".join(encode(_form(array, "bytes")) for array in kept)
    return members


def restored(members: Mapping[str, bytes]) -> dict[str, bytes]:
    """What `cut` was given, from what it gave.

    Raises:
        ValueError, KeyError, IndexError, TypeError: the members do not fit each other.
    """
    index = json.loads(members[PLACES])
    coded, constants = members[CODES], []
    for dtype in index["dtypes"]:
        if dtype not in DTYPES:
            raise ValueError(f"constants have no type {dtype!r}")
        content, taken = decode(coded)
        coded = coded[taken:]
        constants.append(np.frombuffer(content, np.dtype(dtype).newbyteorder("<")))
    files = {name: content for name, content in members.items() if name not in (CODES, PLACES)}
    for name, pieces in index["places"].items():
        files[name] = _with(files[name], pieces, constants)
    return files


FORMS = ("bytes", "text")


def _form(array: Array, form: str) -> bytes:
    """`array` as an image holds it, or as C spells it."""
    if form == "text":
        return integer_text(array).encode()
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


def _distinct(constants: Sequence[Array]) -> list[Array]:
    """Those worth cutting out, the largest first; of equal ones the first."""
    found: dict[tuple[str, bytes], Array] = {}
    for array in constants:
        if array.nbytes >= LEAST and array.dtype.name in DTYPES:
            found.setdefault((array.dtype.name, array.tobytes()), array)
    return sorted(found.values(), key=lambda array: -array.nbytes)


def _occurrences(
    content: bytes, forms: Sequence[tuple[int, str, bytes]]
) -> list[tuple[int, int, int, str]]:
    """Begin, end, constant and form of all that is found, in order; none lies over another."""
    found: list[tuple[int, int, int, str]] = []
    for constant, form, wanted in forms:
        at = content.find(wanted)
        while at >= 0:
            end = at + len(wanted)
            if all(end <= begin or at >= until for begin, until, _, _ in found):
                found.append((at, end, constant, form))
            at = content.find(wanted, end)
    return sorted(found)


def _without(content: bytes, found: Sequence[tuple[int, int, int, str]]) -> bytes:
    ends = [0, *(end for _, end, _, _ in found)]
    begins = [*(begin for begin, _, _, _ in found), len(content)]
    return b"".join(content[end:begin] for end, begin in zip(ends, begins))


def _with(content: bytes, pieces: Sequence[Piece], constants: Sequence[Array]) -> bytes:
    """`content` with its constants again; places count the bytes of the whole file."""
    parts: list[bytes] = []
    length = taken = 0
    for at, constant, form in pieces:
        if form not in FORMS or at < length or at - length > len(content) - taken:
            raise ValueError("a constant is put back where nothing is")
        parts += [content[taken : taken + at - length], _form(constants[constant], form)]
        taken += at - length
        length = at + len(parts[-1])
    return b"".join([*parts, content[taken:]])
