"""Operators that work element by element, in whatever layout their operands have already."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from edgecomp.importers.tflite import raw_integers
from edgecomp.importers.tflite.context import Context
from edgecomp.importers.tflite.values import Layout


def layout_of(context: Context, places: range | None = None) -> Layout:
    """The layout in which to work: ONNX's where an operand that is no constant exists in it.

    Constants turn without cost; operands of another rank than 4 keep everything in the file's.
    """
    found = Layout.FILE
    for place in range(context.count) if places is None else places:
        if not context.has(place):
            continue
        if context.known(place) is not None and len(context.shape(place)) <= 4:
            continue
        index = context.tensor(place)
        if len(context.shape(place)) != 4:
            return Layout.FILE
        if context.values.has(index, Layout.IMAGE) and not context.values.has(index, Layout.FILE):
            found = Layout.IMAGE
    return found


def _operands(context: Context, layout: Layout) -> list[str]:
    return [context.read(place, layout) for place in range(context.count)]


def same(op_type: str) -> Callable[[Context], None]:
    """An operator that ONNX has as it is, with a fused activation where the options name one."""

    def convert(context: Context) -> None:
        layout = layout_of(context)
        value = context.main(op_type, *_operands(context, layout))
        context.give(context.activated(value), layout)

    return convert


def chained(*op_types: str) -> Callable[[Context], None]:
    """One operator after the other, each on the result of the one before; the last is the main."""

    def convert(context: Context) -> None:
        layout = layout_of(context)
        value = context.emit(op_types[0], *_operands(context, layout))
        for op_type in op_types[1:-1]:
            value = context.emit(op_type, value)
        context.give(context.main(op_types[-1], value), layout)

    return convert


def clipped(low: float, high: float) -> Callable[[Context], None]:
    """RELU6 and its like."""

    def convert(context: Context) -> None:
        layout = layout_of(context)
        value = context.read(0, layout)
        limits = (context.like(value, low), context.like(value, high))
        context.give(context.main("Clip", value, *limits), layout)

    return convert


def compare(op_type: str) -> Callable[[Context], None]:
    """EQUAL, LESS and their like."""

    def convert(context: Context) -> None:
        if raw_integers.compares_raw(context):
            raw_integers.compare(context, op_type)
        else:
            same(op_type)(context)

    return convert


def add(op_type: str) -> Callable[[Context], None]:
    """ADD and SUB."""

    def convert(context: Context) -> None:
        shifts = raw_integers.adds_powers_of_two(context)
        if shifts is None:
            same(op_type)(context)
        else:
            raw_integers.add_powers_of_two(context, shifts)

    return convert


def divide(context: Context) -> None:
    """DIV; integers are divided towards zero."""
    layout = layout_of(context)
    context.give(context.activated(context.main("Div", *_operands(context, layout))), layout)


def squared_difference(context: Context) -> None:
    """SQUARED_DIFFERENCE."""
    layout = layout_of(context)
    difference = context.emit("Sub", *_operands(context, layout))
    context.give(context.main("Mul", difference, difference), layout)


def square(context: Context) -> None:
    """SQUARE."""
    layout = layout_of(context)
    value = context.read(0, layout)
    context.give(context.main("Mul", value, value), layout)


def add_n(context: Context) -> None:
    """ADD_N."""
    layout = layout_of(context)
    context.give(context.main("Sum", *_operands(context, layout)), layout)


def leaky_relu(context: Context) -> None:
    """LEAKY_RELU."""
    layout = layout_of(context)
    value = context.read(0, layout)
    context.give(
        context.main("LeakyRelu", value, alpha=float(context.option("Alpha", 0.0))), layout
    )


def prelu(context: Context) -> None:
    """PRELU; the slopes broadcast."""
    layout = layout_of(context)
    context.give(context.main("PRelu", *_operands(context, layout)), layout)


def gelu(context: Context) -> None:
    """GELU."""
    layout = layout_of(context)
    form = "tanh" if context.option("Approximate", False) else "none"
    context.give(context.main("Gelu", context.read(0, layout), approximate=form), layout)


def floor_modulo(context: Context) -> None:
    """FLOOR_MOD: the remainder has the divisor's sign."""
    if raw_integers.all_quantized(context):
        raw_integers.floor_modulo(context)
        return
    layout = layout_of(context)
    left, right = _operands(context, layout)
    if np.issubdtype(context.values.builder.dtype(left), np.integer):
        right = raw_integers.divisor(context, right)
        context.give(context.main("Mod", left, right), layout)
        return
    whole = context.emit("Floor", context.emit("Div", left, right))
    context.give(context.main("Sub", left, context.emit("Mul", whole, right)), layout)


def floor_divide(context: Context) -> None:
    """FLOOR_DIV of floats; integers through their remainder."""
    if raw_integers.all_quantized(context):
        raw_integers.floor_divide(context)
        return
    layout = layout_of(context)
    left, right = _operands(context, layout)
    if np.issubdtype(context.values.builder.dtype(left), np.integer):
        right = raw_integers.divisor(context, right)
        rest = context.emit("Mod", left, right)
        context.give(context.main("Div", context.emit("Sub", left, rest), right), layout)
        return
    context.give(context.main("Floor", context.emit("Div", left, right)), layout)


def not_equal(context: Context) -> None:
    """NOT_EQUAL."""
    layout = layout_of(context)
    equal = context.emit("Equal", *_operands(context, layout))
    context.give(context.main("Not", equal), layout)


def quantize(context: Context) -> None:
    """QUANTIZE: the result's own scale makes the integers, from real numbers or other integers."""
    if raw_integers.quantizes_to_int32(context):
        raw_integers.quantize_to_int32(context)
        return
    layout = layout_of(context)
    context.give(context.read(0, layout), layout)


def dequantize(context: Context) -> None:
    """DEQUANTIZE: real numbers of integers, or float32 of float16."""
    content = context.known(0)
    if content is not None and context.quantized(0) is None:
        context.give(
            context.values.builder.constant(content.astype(np.float32), f"{context.name}/constant")
        )
        return
    layout = layout_of(context)
    value = context.read(0, layout)
    if context.values.builder.dtype(value) != np.float32:
        context.give(context.main("Cast", value, to=raw_integers.result_type(context)), layout)
        return
    context.give(context.main("Identity", value), layout)


def select(context: Context) -> None:
    """SELECT_V2 and SELECT, whose condition may be a vector over the first axis."""
    layout = layout_of(context)
    condition, left, right = _operands(context, layout)
    shape = context.of(condition)
    if context.operator.name == "SELECT" and len(shape) == 1 and len(context.of(left)) > 1:
        column = [shape[0], *[1] * (len(context.of(left)) - 1)]
        condition = context.emit("Reshape", condition, context.ints(column))
    context.give(context.main("Where", condition, left, right), layout)


def softmax(context: Context) -> None:
    """SOFTMAX over the last axis; `beta` scales the input."""
    beta = float(context.option("Beta", 1.0))
    source = context.read(0)
    if beta != 1.0:
        source = context.scaled(source, 0, beta)
    context.give(context.main("Softmax", source, axis=-1))


def log_softmax(context: Context) -> None:
    """LOG_SOFTMAX over the last axis."""
    context.give(context.main("LogSoftmax", context.read(0), axis=-1))


def l2_normalization(context: Context) -> None:
    """L2_NORMALIZATION over the last axis: x / sqrt(max(sum of squares, 1e-6))."""
    value = context.read(0)
    if context.quantized(0) is not None:
        context.give(context.activated(context.main("LpNormalization", value, axis=-1, p=2)))
        return
    total = context.emit(
        "ReduceSum", context.emit("Mul", value, value), context.ints([-1]), keepdims=1
    )
    norm = context.emit("Sqrt", context.emit("Max", total, context.like(value, 1e-6)))
    context.give(context.activated(context.main("Div", value, norm)))


UNARY: Mapping[str, str] = {
    "ABS": "Abs",
    "CEIL": "Ceil",
    "COS": "Cos",
    "ELU": "Elu",
    "EXP": "Exp",
    "FLOOR": "Floor",
    "HARD_SWISH": "HardSwish",
    "LOG": "Log",
    "LOGICAL_NOT": "Not",
    "LOGISTIC": "Sigmoid",
    "NEG": "Neg",
    "RELU": "Relu",
    "ROUND": "Round",
    "SIGN": "Sign",
    "SIN": "Sin",
    "SQRT": "Sqrt",
    "TANH": "Tanh",
}
"""Operators of one operand that ONNX has as they are."""

COMPARISONS: Mapping[str, str] = {
    "EQUAL": "Equal",
    "GREATER": "Greater",
    "GREATER_EQUAL": "GreaterOrEqual",
    "LESS": "Less",
    "LESS_EQUAL": "LessOrEqual",
}
"""Operators of two operands that say whether something holds."""

BINARY: Mapping[str, str] = {
    "LOGICAL_AND": "And",
    "LOGICAL_OR": "Or",
    "MAXIMUM": "Max",
    "MINIMUM": "Min",
    "MUL": "Mul",
    "POW": "Pow",
}
"""Operators of two operands that ONNX has as they are."""
