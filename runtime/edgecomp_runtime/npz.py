"""The .npz file: what is in it without loading it, its arrays a few rows at a time, and writing."""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from edgecomp_runtime.errors import InputError
from edgecomp_runtime.files import whole_file

Array = npt.NDArray[Any]
_EPOCH = (1980, 1, 1, 0, 0, 0)
_SUFFIX = ".npy"
_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True)
class ArrayHeader:
    """One array of an .npz file.

    Attributes:
        name: the array's name.
        shape: its shape.
        dtype: its element type, in the file's byte order.
        fortran_order: whether it is stored with its first axis fastest.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool

    def __str__(self) -> str:
        return f"{self.name} {list(self.shape)} {self.dtype}"


def read_headers(path: str | os.PathLike[str]) -> dict[str, ArrayHeader]:
    """Every array of the file by name; no array is loaded.

    Raises:
        InputError: the file is missing or no .npz file.
    """
    with _opened(path) as archive:
        headers = {}
        for member in archive.namelist():
            if member.endswith(_SUFFIX):
                name = member[: -len(_SUFFIX)]
                with archive.open(member) as stream:
                    headers[name] = _read_header(stream, name)
        return headers


def read_array(path: str | os.PathLike[str], header: ArrayHeader) -> Array:
    """One whole array, C-contiguous and in this machine's byte order.

    Raises:
        InputError: the file is damaged.
    """
    if header.shape and 0 not in header.shape:
        return next(read_rows(path, header, header.shape[0]))
    with _opened(path) as archive, archive.open(header.name + _SUFFIX) as stream:
        _read_header(stream, header.name)
        array = _read_exactly(stream, header, header.shape)
        _expect_end(stream, header)
        return array


def read_rows(path: str | os.PathLike[str], header: ArrayHeader, count: int) -> Iterator[Array]:
    """The array's rows along its first axis, `count` at a time, the last block maybe shorter.

    Only one block is held at a time, unless the array is stored in Fortran order.

    Raises:
        InputError: the file is damaged.
    """
    with _opened(path) as archive, archive.open(header.name + _SUFFIX) as stream:
        _read_header(stream, header.name)
        rows, *rest = header.shape
        if header.fortran_order:
            whole = _read_exactly(stream, header, header.shape)
            _expect_end(stream, header)
            yield from (whole[first : first + count] for first in range(0, rows, count))
            return
        for first in range(0, rows, count):
            block = _read_exactly(stream, header, (min(count, rows - first), *rest))
            if first + count >= rows:
                _expect_end(stream, header)
            yield block


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, Array]) -> None:
    """Write a compressed .npz file, whole or not at all; the same arrays give the same bytes.

    Raises:
        OSError: the file cannot be written.
    """
    with whole_file(path) as stream, zipfile.ZipFile(stream, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(name + _SUFFIX, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as member:
                contents = np.asarray(array)
                np.lib.format.write_array(member, contents, allow_pickle=False)  # type: ignore[no-untyped-call]


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[zipfile.ZipFile]:
    """The file as a zip; whatever goes wrong with it, here or in the block, is an InputError."""
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except InputError as error:
        raise InputError([f"{path}: {reason}" for reason in error.reasons]) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(
            f"{path}: this is not a whole .npz file ({error}); write it with numpy.savez"
        ) from error


def _read_header(stream: IO[bytes], name: str) -> ArrayHeader:
    try:
        version = np.lib.format.read_magic(stream)  # type: ignore[no-untyped-call]
        if version not in _HEADER_READERS:
            raise ValueError(f"unknown .npy version {version}")
        shape, fortran_order, dtype = _HEADER_READERS[version](stream)  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise InputError(f"array {name} is damaged ({error})") from error
    return ArrayHeader(name, shape, dtype, fortran_order)


def _read_exactly(stream: IO[bytes], header: ArrayHeader, shape: tuple[int, ...]) -> Array:
    if header.dtype.hasobject:
        raise InputError(f"array {header.name} holds Python objects, not numbers")
    wanted = math.prod(shape) * header.dtype.itemsize
    contents = stream.read(wanted)
    if len(contents) != wanted:
        raise InputError(f"array {header.name} is cut short")
    array = np.frombuffer(contents, header.dtype)
    array = array.reshape(shape[::-1]).T if header.fortran_order else array.reshape(shape)
    return np.ascontiguousarray(array, header.dtype.newbyteorder("="))


def _expect_end(stream: IO[bytes], header: ArrayHeader) -> None:
    """Reading past the end is also what makes the zip check the array's CRC."""
    if stream.read(1):
        raise InputError(f"array {header.name} is longer than its shape says")
