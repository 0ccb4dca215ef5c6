"""Runs an artifact: checks what is given, converts at the edges, calls an engine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from edgecomp_runtime.artifact import Artifact, open_artifact
from edgecomp_runtime.data import from_program, is_raw, to_program
from edgecomp_runtime.engines import BatchEngine, Engine, choose_engine
from edgecomp_runtime.errors import InputError, raise_if_any
from edgecomp_runtime.manifest import STATE_NAME, TensorSpec
from edgecomp_runtime.preprocess import Preprocess

Array = npt.NDArray[Any]

BATCH = 32
"""Samples given at a time to an engine that takes several."""


class Session:
    """A program ready to run.

    Args:
        artifact: an opened artifact, or the path of one.
        engine: what runs it; by default the one that fits. The session closes it.
        carry: keep the state of a streaming model from one run for the next; else every run
            begins anew.

    Attributes:
        artifact: the artifact.
        engine: the engine.
        carry: as given.

    Raises:
        ArtifactError: the artifact is damaged or does not fit the engine.
        InputError: what the engine needs is not installed.
    """

    def __init__(
        self,
        artifact: Artifact | str | os.PathLike[str],
        engine: Engine | None = None,
        carry: bool = False,
    ) -> None:
        self.artifact = artifact if isinstance(artifact, Artifact) else open_artifact(artifact)
        spec = self.artifact.manifest.preprocess
        self._preprocess = None if spec is None else Preprocess.parse(spec)
        self.carry = carry
        self._state: list[Array] = []
        self.reset()
        self.engine = engine if engine is not None else choose_engine(self.artifact)

    def run(self, inputs: Mapping[str, Array] | Sequence[Array]) -> dict[str, Array]:
        """One inference.

        An array whose dtype is the program's is taken raw; other real values are converted by
        `data.to_program`. When every input was raw, outputs are raw too, else real values.
        Recordings (uint8) are preprocessed where the artifact says how.

        Args:
            inputs: one array for each input, by name or in the model's order, of the input's
                shape, with or without its leading batch of 1.

        Returns:
            The outputs by name, in the model's order, of the manifest's shapes.

        Raises:
            InputError: all that is wrong with the inputs.
        """
        return next(self.run_samples([inputs]))

    def run_samples(
        self, samples: Iterable[Mapping[str, Array] | Sequence[Array]]
    ) -> Iterator[dict[str, Array]]:
        """`run` on one sample after another, as they are asked for; see `run_raw`."""
        specs = self.artifact.manifest.outputs
        return (
            {
                spec.name: array if all_raw else from_program(array, spec)
                for spec, array in zip(specs, outputs)
            }
            for outputs, all_raw in self.run_raw(samples)
        )

    def run_raw(
        self, samples: Iterable[Mapping[str, Array] | Sequence[Array]]
    ) -> Iterator[tuple[list[Array], bool]]:
        """The program's own outputs for one sample after another, as they are asked for.

        An engine that does so runs `BATCH` samples at a time, unless state is carried on.

        Returns:
            For each sample the outputs in the model's order, and whether every input was raw.

        Raises:
            InputError: all that is wrong with a sample.
        """
        one_by_one = self.carry or not isinstance(self.engine, BatchEngine)
        rest = iter(samples)
        while batch := list(islice(rest, 1 if one_by_one else BATCH)):
            if not self.carry:
                self.reset()
            prepared = [self.prepare(sample) for sample in batch]
            inputs = [raw for raw, _ in prepared]
            for outputs, (_, all_raw) in zip(self._run_batch(inputs), prepared):
                if self._state:
                    self._state = [outputs.pop()]
                yield outputs, all_raw

    def _run_batch(self, samples: list[list[Array]]) -> list[list[Array]]:
        if len(samples) > 1 and isinstance(self.engine, BatchEngine):
            return self.engine.run_batch(samples)
        return [self.engine.run(sample) for sample in samples]

    def prepare(self, inputs: Mapping[str, Array] | Sequence[Array]) -> tuple[list[Array], bool]:
        """The program's own values of `inputs`, and whether all of them were raw.

        The state of a streaming model comes last among the values.

        Raises:
            InputError: all that is wrong with the inputs.
        """
        specs = self.artifact.manifest.inputs
        raw: list[Array] = []
        all_raw = True
        reasons: list[str] = []
        for array, spec in zip(_ordered(inputs, specs), specs):
            try:
                array = self._recorded(array, spec)
                all_raw = all_raw and is_raw(array, spec)
                raw.append(to_program(_shaped(array, spec), spec))
            except InputError as error:
                reasons += error.reasons
        raise_if_any(InputError, reasons)
        return raw + self._state, all_raw

    def reset(self) -> None:
        """Let a streaming model begin anew."""
        if self.artifact.manifest.memory.state_bytes:
            self._state = [np.frombuffer(self.artifact.read(STATE_NAME), np.uint8)]

    def close(self) -> None:
        """Close the engine. May be called twice."""
        self.engine.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _recorded(self, array: Array, spec: TensorSpec) -> Array:
        """`array`, preprocessed when it is a recording and the artifact says how."""
        if self._preprocess is None or array.dtype != np.uint8:
            return array
        recorded = self._preprocess.recorded_shape(spec.shape)
        return self._preprocess.apply(_shaped(array, spec, recorded))


def _ordered(
    inputs: Mapping[str, Array] | Sequence[Array], specs: Sequence[TensorSpec]
) -> list[Array]:
    """One array for each input, in the model's order."""
    names = [spec.name for spec in specs]
    if isinstance(inputs, Mapping):
        missing = [name for name in names if name not in inputs]
        reasons = [f"there is no array for the input {name!r}" for name in missing]
        reasons += [
            f"the program has no input {name!r}; its inputs are {', '.join(names)}"
            for name in inputs
            if name not in names
        ]
        raise_if_any(InputError, reasons)
        return [_as_array(inputs[name], name) for name in names]
    if isinstance(inputs, np.ndarray) or len(inputs) != len(specs):
        given = "one array" if isinstance(inputs, np.ndarray) else str(len(inputs))
        raise InputError(
            f"the program takes {len(specs)} inputs ({', '.join(names)}), {given} given; "
            "give a list or a mapping with an array for each"
        )
    return [_as_array(array, name) for array, name in zip(inputs, names)]


def _as_array(values: object, name: str) -> Array:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise InputError(f"{name}: the values make no array ({error})") from error


def _shaped(array: Array, spec: TensorSpec, shape: tuple[int, ...] | None = None) -> Array:
    """`array` in the input's shape; only a leading batch of 1 may be missing."""
    shape = spec.shape if shape is None else shape
    if array.shape != shape and (shape[:1] != (1,) or array.shape != shape[1:]):
        raise InputError(
            f"{spec.name}: the array has shape {list(array.shape)}, the input {list(shape)}"
        )
    return array.reshape(shape)
