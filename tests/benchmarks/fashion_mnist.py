"""Fashion-MNIST as the Debian package dataset-fashion-mnist installs it.

Source: Xiao et al. 2017, arXiv 1708.07747; the files are in the IDX format of MNIST.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp.errors import EdgecompError, Reason, raise_if_any

INSTALLED = Path("/usr/share/datasets/fashion-mnist")
"""Where the package puts its files."""

UNSIGNED_BYTES = 0x08
"""The element type in the third byte of an IDX file."""

PREFIXES: Mapping[str, str] = {"train": "train", "test": "t10k"}


@dataclass(frozen=True, eq=False)
class Images:
    """Samples.

    Attributes:
        pixels: uint8 [samples, 28, 28].
        labels: uint8 [samples], 0 to 9.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]

    def take(self, rows: npt.NDArray[Any]) -> Images:
        """The samples at `rows`, in that order."""
        return Images(self.pixels[rows], self.labels[rows])

    @property
    def inputs(self) -> npt.NDArray[np.float32]:
        """What a network reads: float32 [samples, 1, 28, 28], 0 to 1."""
        return self.pixels[:, None].astype(np.float32) / 255


def read_images(part: str, folder: Path = INSTALLED) -> Images:
    """The samples of `part`: "train" (60,000) or "test" (10,000).

    Raises:
        EdgecompError: files are absent or are none of these.
    """
    paths = [folder / f"{PREFIXES[part]}-{kind}-ubyte.gz" for kind in _KINDS]
    install = "install them: apt-get install dataset-fashion-mnist, or name another folder"
    absent = [path for path in paths if not path.is_file()]
    raise_if_any([Reason("the file is absent", str(path), install) for path in absent])
    pixels, labels = (_read(path, rank) for path, rank in zip(paths, _KINDS.values(), strict=True))
    if len(pixels) != len(labels):
        reason = f"{len(pixels)} images stand beside {len(labels)} labels"
        raise EdgecompError(Reason(reason, str(folder), install))
    return Images(pixels, labels)


_KINDS: Mapping[str, int] = {"images-idx3": 3, "labels-idx1": 1}
"""Number of dimensions of the array in a file, by the middle of the file's name."""


def _read(path: Path, rank: int) -> npt.NDArray[np.uint8]:
    """The array in a compressed IDX file: two zeros, type, rank, sizes (big endian), elements."""
    try:
        content = gzip.decompress(path.read_bytes())
        zero, kind, found, *shape = struct.unpack_from(f">HBB{rank}I", content)
        elements = np.frombuffer(content, np.uint8, offset=4 + 4 * rank)
        if (zero, kind, found) != (0, UNSIGNED_BYTES, rank):
            raise ValueError(f"it starts with {content[:4].hex()}")
        return elements.reshape(shape)
    except (OSError, EOFError, ValueError, struct.error) as error:
        reason = f"this is no IDX file of bytes in {rank} dimensions ({error})"
        raise EdgecompError(Reason(reason, str(path), "install the package again")) from error
