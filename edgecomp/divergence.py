"""Where a program leaves its model: the first call whose values are not what they should be.

A call is judged by itself wherever that can be done: the reference computes it from the values the
program itself gave it, so that an error is found where it is made, and not where it first shows
among the rounding of others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgecomp.graph.values import dtype_of, shape_of
from edgecomp.lowering.origins import in_model_order, origin
from edgecomp.model import Model
from edgecomp.reference import Executor
from edgecomp.tflite_reference import TfliteReference
from edgecomp.trace import Made
from edgecomp_runtime.data import from_program, to_program
from edgecomp_runtime.manifest import Manifest, TensorSpec

Array = npt.NDArray[Any]

RELATIVE = 1e-4
"""How far a float value may be off, as a share of the largest magnitude in its tensor."""
LEAST = 1e-3
"""The smallest magnitude that counts for that: 1e-7 is what float32 knows of numbers around 1, from
which those far smaller are often made (a sigmoid's, of an exponential and 1)."""


@dataclass(frozen=True)
class Divergence:
    """A value that is not what it should be.

    Attributes:
        name: the node, in the user's file.
        op: the operator and what is fused into it.
        value: the value of the model that holds the number.
        call: index of the call in the artifact's `ops`.
        sample: which of the compared samples, from 0.
        index: place of the number in the value, in the model's order of axes.
        ours: what the program made.
        reference: what it should be.
        steps: how many steps apart integers are; None for floats.
        relative_error: difference over the largest magnitude in the tensor; None for integers.
    """

    name: str
    op: str
    value: str
    call: int
    sample: int
    index: tuple[int, ...]
    ours: float | int | None
    reference: float | int | None
    steps: int | None
    relative_error: float | None

    def to_json(self) -> dict[str, Any]:
        """The same as plain values; numbers JSON has not, such as infinity, are null."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Value:
    """What a call made, as the model knows it.

    Attributes:
        call: index of the call.
        name: the value of the model.
        content: integers or floats as the program has them, in the model's order of axes.
        spec: what the integers stand for, where the model has real numbers; else None.
    """

    call: int
    name: str
    content: Array
    spec: TensorSpec | None


Expected = Callable[[Value], Array | None]
"""What a value should be, in its own element type; None where nobody knows."""


def values_of(made: Sequence[Made], manifest: Manifest, model: Model) -> list[Value]:
    """Those buffers of a traced run that are values of `model`, in the order they were made."""
    known = {str(v.name): v for node in model.graph.graph for v in node.outputs if v.name}
    outputs = {spec.name: spec for spec in manifest.outputs}
    found = []
    for each in made:
        name, turned = origin(each.buffer)
        value = known.get(name)
        if value is None:
            continue
        spec = outputs.get(each.buffer)
        quantized = spec if spec is not None and spec.scale is not None else None
        dtype = dtype_of(value) if spec is None else spec.dtype
        content = in_model_order(each.content, dtype, shape_of(value), turned)
        if content is not None:
            found.append(Value(each.call, name, content, quantized))
    return found


def first_divergence(
    values: Sequence[Value], expected: Expected, manifest: Manifest, sample: int, steps: int
) -> Divergence | None:
    """The first of `values` that is further off than it may be.

    Args:
        values: in the order they were made.
        expected: what each should be.
        manifest: whose operators are named.
        sample: which sample this is.
        steps: how many steps integers may be apart.
    """
    for value in values:
        wanted = expected(value)
        if wanted is None:
            continue
        place, apart = _farthest(value.content, wanted)
        integer = value.content.dtype.kind != "f"
        if apart <= (steps if integer else RELATIVE):
            continue
        op = manifest.ops[value.call]
        return Divergence(
            name=op.name,
            op=op.op,
            value=value.name,
            call=value.call,
            sample=sample,
            index=place,
            ours=_plain(value.content[place]),
            reference=_plain(wanted[place]),
            steps=int(apart) if integer else None,
            relative_error=apart if not integer and np.isfinite(apart) else None,
        )
    return None


def _farthest(ours: Array, wanted: Array) -> tuple[tuple[int, ...], float]:
    """Where two arrays differ most and by how much: in steps, or relative to the largest."""
    if not ours.size:
        return (), 0.0
    if ours.dtype.kind != "f":
        apart = np.abs(ours.astype(np.int64) - wanted.astype(np.int64)).astype(np.float64)
    else:
        apart = relative_errors(ours, wanted)
    worst = int(apart.argmax())
    place = tuple(int(axis) for axis in np.unravel_index(worst, apart.shape))
    return place, float(apart.flat[worst])


def relative_errors(ours: Array, wanted: Array) -> npt.NDArray[np.float64]:
    """The differences over the largest finite magnitude wanted; infinite where only one is finite.

    Equal infinities and two NaNs differ by 0.
    """
    a, b = ours.astype(np.float64), wanted.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    finite = np.isfinite(a) & np.isfinite(b)
    largest = np.abs(b, where=np.isfinite(b), out=np.zeros_like(b)).max(initial=LEAST)
    differences = np.abs(np.where(finite, a, 0) - np.where(finite, b, 0)) / largest
    return np.asarray(np.where(same, 0.0, np.where(finite, differences, np.inf)))


def _plain(number: Any) -> float | int | None:
    """A number as JSON has it."""
    plain = number.item()
    return plain if np.isfinite(plain) else None


class LocalReference:
    """onnxruntime computes every call from the values the program gave it.

    The graph is cut at each value the program is known to make: readers take the program's.
    """

    def __init__(self, model: Model, names: Sequence[str]) -> None:
        graph = model.graph.clone()
        made = {str(v.name): v for node in graph.graph for v in node.outputs if v.name}
        self._names = tuple(dict.fromkeys(names))
        for name in self._names:
            value = made[name]
            given = ir.Value(name=_given(name), shape=value.shape, type=value.type)
            graph.graph.inputs.append(given)
            for use in list(value.uses()):
                use.node.replace_input_with(use.idx, given)
        self._executor = Executor(graph, self._names)

    def expected(self, values: Sequence[Value], inputs: Mapping[str, Array]) -> Expected:
        """What each of `values`, made from `inputs` and from each other, should be."""
        feed = dict(inputs)
        for value in values:
            spec = value.spec
            real = value.content if spec is None else from_program(value.content, spec)
            feed[_given(value.name)] = np.ascontiguousarray(real)
        computed = self._executor.run(feed)

        def of(value: Value) -> Array:
            wanted = computed[value.name]
            return wanted if value.spec is None else to_program(wanted, value.spec)

        return of


def _given(name: str) -> str:
    return f"{name} as given"


def tflite_expected(reference: TfliteReference) -> Expected:
    """What tflite-runtime made of the sample it has just run."""
    found = reference.values()

    def of(value: Value) -> Array | None:
        array, spec = found.get(value.name, (None, None))
        if array is None or spec is None or array.shape != value.content.shape:
            return None
        if value.content.dtype.kind == "f":
            return from_program(array, spec)
        return array if array.dtype == value.content.dtype else None

    return of
