"""qat: a quantized model gets better and stays one that the integer path takes whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecomp.compress import compress
from edgecomp.errors import EdgecompError
from edgecomp.graph.qdq import is_dequantize, quantization_of, quantized_constant
from edgecomp.lowering.lower import lower
from edgecomp.model import Model
from edgecomp.passes import parse_pass
from edgecomp.passes.context import Context
from edgecomp.training.parameters import write_constants
from edgecomp.training.train import train_and_report
from edgecomp.training_data import Batch

Array = npt.NDArray[Any]
SHORT = "qat:epochs=6,lr=0.002,batch=16,threads=1"


@pytest.fixture
def spoiled(
    small_cnn: Model,
    rng: np.random.Generator,
    coloured: Callable[[int], Batch],
    make_data: Callable[..., Any],
) -> tuple[Model, Context]:
    """`small_cnn` in int8, its weights a few steps off, and what training needs."""
    data = make_data(x=coloured(200).inputs["x"][:, 0])
    quantized = compress(small_cnn, [parse_pass("quantize")], data)
    changed = {}
    for name, value in quantized.graph.graph.initializers.items():
        content = value.const_value.numpy()
        if content.dtype == np.int8 and content.ndim > 1:
            moved = content.astype(int) + rng.integers(-25, 26, size=content.shape)
            changed[name] = np.clip(moved, -127, 127).astype(np.int8)
    model = quantized.with_graph(write_constants(quantized.graph, changed))
    return model, Context(data=data, original=small_cnn)


def check_biases(model: Model) -> int:
    """Make sure that each bias has the scale of the data times that of the weights; how many."""
    checked = 0
    for node in model.graph.graph:
        if node.op_type not in ("Conv", "Gemm"):
            continue
        source = node.inputs[0].producer()
        data = quantization_of(source)
        weights, bias = quantized_constant(node.inputs[1]), quantized_constant(node.inputs[2])
        assert data is not None
        assert weights is not None
        assert bias is not None
        np.testing.assert_array_equal(bias[1].scale, data.scale * weights[1].scale)
        assert weights[0].min() >= -127
        checked += 1
    return checked


@pytest.mark.parametrize("options", ["", ",scales=true"])
def test_a_quantized_model_gets_better_and_stays_quantized(
    spoiled: tuple[Model, Context], options: str
) -> None:
    model, context = spoiled
    trained = train_and_report(model, parse_pass(SHORT + options).settings(), context)
    assert trained.loss < 0.5 * trained.loss_before
    assert check_biases(trained.model) == 3
    before, after = model.graph.graph, trained.model.graph.graph
    assert [node.name for node in after] == [node.name for node in before]
    kinds = [{n: v.dtype for n, v in g.initializers.items()} for g in (before, after)]
    assert kinds[0] == kinds[1]
    integer, still = (lower(each, integer_io=True) for each in (model, trained.model))
    assert [call.kernel for call in still.calls] == [call.kernel for call in integer.calls]


def test_scales_stay_unless_they_are_learned(spoiled: tuple[Model, Context]) -> None:
    model, context = spoiled

    def scales(each: Model) -> list[Array]:
        found = [quantization_of(n) for n in each.graph.graph if is_dequantize(n)]
        return [quantization.scale for quantization in found if quantization is not None]

    settings = parse_pass("qat:epochs=1,batch=16").settings()
    fixed = train_and_report(model, settings, context).model
    learned = train_and_report(model, replace(settings, learn_scales=True), context).model
    for was, now in zip(scales(model), scales(fixed), strict=True):
        np.testing.assert_array_equal(now, was)
    moved = zip(scales(model), scales(learned), strict=True)
    assert any(not np.array_equal(now, was) for was, now in moved)


def test_a_float_model_is_refused(small_cnn: Model) -> None:
    with pytest.raises(EdgecompError, match="qat: the model is not quantized; put -p quantize bef"):
        compress(small_cnn, [parse_pass("qat")])
