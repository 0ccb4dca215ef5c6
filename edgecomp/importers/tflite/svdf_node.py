"""One node of a function of our own for an SVDF with int8 weights over features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from edgecomp.importers.tflite.builder import Array
from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.own_function import OwnFunction, described, inner_context
from edgecomp.importers.tflite.svdf_operands import BIAS, STATE, SvdfSizes


def svdf_function(name: str, constants: Sequence[str]) -> OwnFunction:
    """The function called `name` with such constants."""
    return OwnFunction(name, ("source", "state"), tuple(constants), ("result", "next_state"))


def call_svdf(
    context: Context,
    function: OwnFunction,
    sizes: SvdfSizes,
    constants: Mapping[str, Array],
    dtypes: tuple[str, str],
    operands: Sequence[str],
    body: Callable[[Context], Sequence[str]],
) -> None:
    """Call `function` and give its results as those of the operator.

    Args:
        function: of `svdf_function`.
        constants: all but the bias, by name.
        dtypes: element types of input and result, and of the state.
        operands: input and state.
        body: makes the result and the next state in ONNX's operators, in the function.
    """
    given = dict(constants)
    if context.has(BIAS):
        given["bias"] = context.constant(BIAS)
    results = {
        "result": ((sizes.batch, sizes.units), dtypes[0]),
        "next_state": ((sizes.batch, sizes.filters * sizes.memory), dtypes[1]),
    }
    known = {"source": (context.shape(0), dtypes[0]), "state": (context.shape(STATE), dtypes[1])}
    inner = inner_context(context, {**known, **described(given)})
    for name, value in zip(function.outputs, body(inner), strict=True):
        inner.values.builder.node("Identity", [value], name, [name], {})
    nodes = inner.values.builder.function_nodes()
    made = function.call(context, operands, given, results, nodes)
    for place, value in enumerate(made):
        context.values.write_integers(context.output(place), value)
