"""The model a program was made of, run as its own kind of file is: the word that counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgecomp.divergence import Expected, LocalReference, Value, tflite_expected
from edgecomp.graph.qdq import is_quantize
from edgecomp.model import Model
from edgecomp.reference import Executor
from edgecomp.tflite_reference import TfliteReference, TfliteRefusalError

Array = npt.NDArray[Any]


class Original(Protocol):
    """Runs a model.

    Attributes:
        name: what computes.
        steps: how many steps an integer of the program may be off.
        local: whether a value is judged by the values it was made from, or by those of the model.
        note: what the user should know about the choice, or "".
    """

    name: str
    steps: int
    local: bool
    note: str

    def run(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """The real outputs for one sample, of the model's shapes and element types."""
        ...

    def reset(self) -> None:
        """Let the state of a streaming model begin anew."""
        ...

    def expected(self, values: Sequence[Value], inputs: Sequence[Array]) -> Expected:
        """What the program's `values`, made from `inputs`, should be."""
        ...


@dataclass
class OnnxOriginal:
    """onnxruntime on the imported graph, whose integers may be a step off: it rounds otherwise."""

    model: Model
    carry: bool = False
    note: str = ""
    name: str = "onnxruntime"
    steps: int = 1
    local: bool = True

    def __post_init__(self) -> None:
        self._executor = Executor(self.model.graph)
        self._cut: tuple[tuple[str, ...], LocalReference] | None = None
        self.reset()

    def run(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """See `Original.run`."""
        computed = self._executor.run(self._feed(inputs))
        if self.carry:
            self._state = {state.input: computed[state.output] for state in self.model.states}
        return tuple(computed[spec.name] for spec in self.model.outputs)

    def reset(self) -> None:
        """See `Original.reset`."""
        self._state = {state.input: state.initial for state in self.model.states}

    def expected(self, values: Sequence[Value], inputs: Sequence[Array]) -> Expected:
        """See `Original.expected`."""
        names = tuple(value.name for value in values)
        if self._cut is None or self._cut[0] != names:
            self._cut = (names, LocalReference(self.model, names))
        feed = self._feed(inputs)
        if self.carry:
            self.run(inputs)
        return self._cut[1].expected(values, feed)

    def _feed(self, inputs: Sequence[Array]) -> Mapping[str, Array]:
        named = zip(self.model.inputs, inputs, strict=True)
        feed = {spec.name: np.ascontiguousarray(array, spec.dtype) for spec, array in named}
        return {**feed, **self._state}


@dataclass
class TfliteOriginal:
    """tflite-runtime on the user's file, whose integers the program gives to the bit."""

    reference: TfliteReference
    note: str = ""
    name: str = "tflite-runtime"
    steps: int = 0
    local: bool = False

    def run(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """See `Original.run`."""
        return self.reference.run(inputs)

    def reset(self) -> None:
        """See `Original.reset`."""
        self.reference.reset()

    def expected(self, values: Sequence[Value], inputs: Sequence[Array]) -> Expected:
        """See `Original.expected`."""
        self.reference.run(inputs)
        return tflite_expected(self.reference)


def original_of(model: Model, carry: bool) -> Original:
    """What tells how `model` computes: its own file's runtime, if that takes it.

    Args:
        model: the model.
        carry: keep the state of a streaming model from one sample for the next.

    Raises:
        EdgecompError: a TFLite file is asked about and tflite-runtime is not installed.
    """
    if model.source is None or model.source.suffix.lower() != ".tflite":
        return OnnxOriginal(model, carry)
    try:
        reference = TfliteReference(model.source, expose=True, carry=carry)
    except TfliteRefusalError as refusal:
        return OnnxOriginal(
            model, carry, f"{refusal.reasons[0].what}: compared with its imported form"
        )
    if len(reference.inputs) != len(model.inputs):
        return OnnxOriginal(model, carry, "inputs are bound: compared with its imported form")
    return TfliteOriginal(reference)


def is_quantized(model: Model) -> bool:
    """Whether integers stand for real numbers anywhere in `model`."""
    return any(is_quantize(node) for node in model.graph.graph)
