"""BatchNormalization and padding go into the layers beside them, and the meaning stays."""

from __future__ import annotations

import numpy as np
import pytest

from edgecomp.importers import load
from edgecomp.reference import run_reference

RANDOM = np.random.default_rng(1)


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def statistics(channels):
    """Scale, bias, mean and variance of a BatchNormalization."""
    return {
        "s": normal(channels),
        "b": normal(channels),
        "m": normal(channels),
        "v": np.abs(normal(channels)) + 0.1,
    }


def ops(model):
    return [node.op_type for node in model.graph.graph]


def assert_same_meaning(model, path, original):
    sample = normal(*model.inputs[0].shape)
    (expected,) = original(path, {model.inputs[0].name: sample})
    (found,) = run_reference(model, [sample[None]])
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "shape", "constants", "channels"),
    [
        ("Conv(x, w)", (1, 3, 6, 6), {"w": normal(4, 3, 3, 3)}, 4),
        ("Conv(x, w, c)", (1, 3, 6, 6), {"w": normal(4, 3, 3, 3), "c": normal(4)}, 4),
        ("Conv<group=4>(x, w)", (1, 4, 6, 6), {"w": normal(8, 1, 3, 3)}, 8),
        ("ConvTranspose(x, w)", (1, 3, 4, 4), {"w": normal(3, 5, 2, 2)}, 5),
        ("ConvTranspose<group=2>(x, w)", (1, 4, 4, 4), {"w": normal(4, 3, 2, 2)}, 6),
        ("Gemm(x, w)", (2, 3), {"w": normal(3, 5)}, 5),
        ("Gemm<transB=1, alpha=0.5, beta=2.0>(x, w, c)", (2, 3),
         {"w": normal(5, 3), "c": normal(5)}, 5),
        ("Gemm<beta=2.0>(x, w, c)", (2, 3), {"w": normal(3, 5), "c": normal(1)}, 5),
    ],
)  # fmt: skip
def test_batch_norm_folds_into_the_layer(save, original, layer, shape, constants, channels):
    sizes = ",".join(map(str, shape))
    rank = ",".join("abcd"[: len(shape)])
    path = save(
        f"g (float[{sizes}] x) => (float[{rank}] y)"
        f"{{ [layer] h = {layer} y = BatchNormalization(h, s, b, m, v) }}",
        **constants,
        **statistics(channels),
    )
    model = load(path)
    assert ops(model) == [layer.partition("(")[0].partition("<")[0]]
    assert [node.name for node in model.graph.graph] == ["layer"]
    assert_same_meaning(model, path, original)


@pytest.mark.parametrize(
    "body",
    [
        "y = BatchNormalization(x, s, b, m, v)",
        "h = Conv(x, w) n = BatchNormalization(h, s, b, m, v) y = Add(n, h)",
        "r = Relu(x) y = BatchNormalization<epsilon=0.1>(r, s, b, m, v)",
    ],
)
def test_other_batch_norms_become_mul_and_add(save, original, body):
    path = save(
        f"g (float[1,4,5,5] x) => (float[a,b,c,d] y) {{ {body} }}",
        w=normal(4, 4, 1, 1),
        **statistics(4),
    )
    model = load(path)
    assert "BatchNormalization" not in ops(model)
    assert {"Mul", "Add"} <= set(ops(model))
    assert_same_meaning(model, path, original)


def test_gemm_bias_that_differs_by_row_is_left_alone(save, original):
    path = save(
        "g (float[2,3] x) => (float[a,b] y)"
        "{ h = Gemm(x, w, c) y = BatchNormalization(h, s, b, m, v) }",
        w=normal(3, 5),
        c=normal(2, 5),
        **statistics(5),
    )
    model = load(path)
    assert ops(model) == ["Gemm", "Mul", "Add"]
    assert_same_meaning(model, path, original)


@pytest.mark.parametrize("operator", ["Conv", "MaxPool", "AveragePool"])
@pytest.mark.parametrize("kind", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_automatic_padding_becomes_explicit(save, original, operator, kind, stride):
    arguments = "(x, w)" if operator == "Conv" else "(x)"
    # onnxruntime refuses dilations with SAME
    dilations = "dilations=[2,1]," if (operator, kind) == ("Conv", "VALID") else ""
    path = save(
        "g (float[1,2,7,8] x) => (float[a,b,c,d] y) { y = "
        f'{operator}<auto_pad="{kind}", {dilations} kernel_shape=[3,2], '
        f"strides=[{stride},{stride}]>{arguments} }}",
        w=normal(3, 2, 3, 2),
    )
    model = load(path)
    (node,) = model.graph.graph
    assert "auto_pad" not in node.attributes
    assert_same_meaning(model, path, original)


def test_zero_padding_moves_into_the_convolution(save, original):
    path = save(
        "g (float[1,2,5,5] x) => (float[a,b,c,d] y)"
        "{ h = Pad(x, p) y = Conv<pads=[0,1,0,1]>(h, w) }",
        w=normal(3, 2, 3, 3),
        p=np.array([0, 0, 1, 0, 0, 0, 2, 1]),
    )
    model = load(path)
    assert ops(model) == ["Conv"]
    assert list(model.graph.graph[0].attributes.get_ints("pads")) == [1, 1, 2, 2]
    assert_same_meaning(model, path, original)


@pytest.mark.parametrize(
    "pad",
    [
        "Pad(x, p, one)",
        'Pad<mode="reflect">(x, p)',
        "Pad(x, channels)",
        "Pad(x, crop)",
    ],
)
def test_other_padding_stays(save, original, pad):
    path = save(
        f"g (float[1,2,5,5] x) => (float[a,b,c,d] y) {{ h = {pad} y = Conv(h, w) }}",
        w=normal(3, 3 if "channels" in pad else 2, 3, 3),
        p=np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        one=np.float32(1),
        channels=np.array([0, 0, 0, 0, 0, 1, 0, 0]),
        crop=np.array([0, 0, -1, 0, 0, 0, 0, 0]),
    )
    model = load(path)
    assert ops(model) == ["Pad", "Conv"]
    assert_same_meaning(model, path, original)


def test_padding_that_others_read_stays_for_them(save, original):
    path = save(
        "g (float[1,2,5,5] x) => (float[a,b,c,d] y)"
        "{ h = Pad(x, p) c = Conv<pads=[0,0,0,0]>(h, w) y = Add(c, h) }",
        w=normal(2, 2, 1, 1),
        p=np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    )
    assert_same_meaning(load(path), path, original)
