"""What the bench firmware of a Cortex-M reads and writes: a request and an answer, as bytes.

`bench.c` of the target has the same from the other side.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp_runtime.artifact import Artifact
from edgecomp_runtime.engines.signature import checked_inputs
from edgecomp_runtime.errors import ArtifactError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Answer:
    """What a board found.

    Attributes:
        outputs: of each sample, in the manifest's order, the state last.
        ticks: of the board's timer, for each sample.
        empty: ticks of a function that only returns.
        stack_bytes: the deepest the stack became.
        watched: ticks of an empty watched function, and of each function that was watched.
    """

    outputs: list[list[Array]]
    ticks: list[int]
    empty: int
    stack_bytes: int
    watched: tuple[int, ...] = ()


def make_request(
    artifact: Artifact, samples: Sequence[Sequence[Array]], watch: Sequence[int] = ()
) -> bytes:
    """Ask for a run of each of `samples`, and one more of the last with functions watched.

    Args:
        artifact: whose firmware is asked.
        samples: raw arrays for each input, the state last.
        watch: addresses of the functions to time, in the order they are called.

    Raises:
        InputError: an input has another shape or dtype than the manifest says.
    """
    specs = artifact.manifest.taken
    packed = [
        b"".join(array.tobytes() for array in checked_inputs(sample, specs)) for sample in samples
    ]
    header = struct.pack(f"<{2 + len(watch)}I", len(samples), len(watch), *watch)
    return b"".join([header, *packed, *(packed[-1:] if watch else [])])


def read_answer(artifact: Artifact, answer: bytes, samples: int, watched: int = 0) -> Answer:
    """The answer to a request for `samples` runs with `watched` functions.

    Raises:
        ArtifactError: it has another length; the firmware is another artifact's.
    """
    specs = artifact.manifest.given
    record = np.dtype(
        [("ticks", "<u4")] + [(f"{i}", s.dtype, s.shape) for i, s in enumerate(specs)]
    )
    tail = struct.Struct(f"<{2 + (1 + watched if watched else 0)}I")
    if len(answer) != record.itemsize * samples + tail.size:
        raise ArtifactError(
            f"{artifact.path}: the firmware wrote {len(answer)} bytes, not "
            f"{record.itemsize * samples + tail.size}; compile the model again"
        )
    records = np.frombuffer(answer, record, samples)
    outputs = [[np.array(row[f"{i}"]) for i in range(len(specs))] for row in records]
    empty, stack_bytes, *found = tail.unpack(answer[-tail.size :])
    return Answer(outputs, records["ticks"].tolist(), empty, stack_bytes, tuple(found))
