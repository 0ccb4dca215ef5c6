"""Float groups: every operator against onnxruntime, compiled by the host's C compiler."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from edgecomp.lowering.codegen import generate_c
from edgecomp.lowering.float_groups import group_float_nodes
from edgecomp.lowering.float_schedule import schedule_float
from edgecomp.lowering.relax import unsupported
from tests.compiled_floats import Arrays, Node, check, floats, integers, lower, make_model
from tests.float_cases import CASES, X


def _conv(seed: int) -> tuple[list[Node], Arrays, Arrays]:
    pick = np.random.default_rng(seed)
    group = int(pick.choice([1, 1, 2, 4]))
    channels, filters = group * int(pick.integers(1, 5)), group * int(pick.integers(1, 6))
    rank = int(pick.choice([1, 2, 2, 2]))
    kernel = pick.integers(1, 4, rank).tolist()
    attributes: dict[str, Any] = {
        "group": group,
        "strides": pick.integers(1, 3, rank).tolist(),
        "dilations": pick.integers(1, 3, rank).tolist(),
    }
    mode = pick.choice(["pads", "SAME_UPPER", "SAME_LOWER", "VALID"])
    if mode == "pads":
        attributes["pads"] = pick.integers(0, 3, 2 * rank).tolist()
    else:
        attributes["auto_pad"] = str(mode)
        if mode != "VALID":
            attributes["dilations"] = [1] * rank
    x = floats(1, channels, *pick.integers(6, 12, rank), seed=seed)
    weights = {"w": floats(filters, channels // group, *kernel, seed=seed + 1)}
    operands = ["x", "w"]
    if seed % 3:
        weights["b"] = floats(filters, seed=seed + 2)
        operands.append("b")
    return [("Conv", operands, attributes), ("Relu", ["y0"], {})], {"x": x}, weights


def _conv_transpose(seed: int) -> tuple[list[Node], Arrays, Arrays]:
    pick = np.random.default_rng(seed)
    group = int(pick.choice([1, 1, 2]))
    channels, filters = group * int(pick.integers(1, 4)), int(pick.integers(1, 4))
    kernel = pick.integers(2, 4, 2).tolist()
    attributes: dict[str, Any] = {"group": group, "strides": pick.integers(1, 3, 2).tolist()}
    if seed % 3 == 0:
        attributes["auto_pad"] = "SAME_UPPER"
    elif seed % 3 == 1:
        attributes["pads"] = pick.integers(0, 2, 4).tolist()
    x = floats(1, channels, 5, 6, seed=seed)
    weights = {"w": floats(channels, filters, *kernel), "b": floats(group * filters)}
    return [("ConvTranspose", ["x", "w", "b"], attributes)], {"x": x}, weights


def _pool(seed: int) -> tuple[list[Node], Arrays, Arrays]:
    pick = np.random.default_rng(seed)
    op_type = str(pick.choice(["AveragePool", "MaxPool"]))
    attributes: dict[str, Any] = {
        "kernel_shape": pick.integers(2, 4, 2).tolist(),
        "strides": pick.integers(1, 3, 2).tolist(),
    }
    if seed % 4 == 0:
        attributes["auto_pad"] = "SAME_UPPER"
    else:
        attributes["pads"] = pick.integers(0, 2, 4).tolist()
        attributes["ceil_mode"] = int(pick.integers(0, 2))
    if op_type == "AveragePool":
        attributes["count_include_pad"] = int(pick.integers(0, 2))
    return [(op_type, ["x"], attributes)], {"x": floats(1, 3, 9, 10, seed=seed)}, {}


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("make", [_conv, _conv_transpose, _pool])
def test_windows(make: Callable[..., Any], seed: int, tmp_path: Path) -> None:
    check(tmp_path, *make(seed))


@pytest.mark.parametrize("name", CASES)
def test_operator(name: str, tmp_path: Path) -> None:
    check(tmp_path, *CASES[name])


@pytest.mark.parametrize(
    ("node", "inputs"),
    [
        (("TopK", ["y0", "k"], {"outputs": ["v", "i"]}), X | {"k": integers(2)}),
        (("NonZero", ["y0"], {}), X),
    ],
)
def test_what_cannot_be_lowered_is_named(node: Node, inputs: Arrays) -> None:
    model = make_model([("Relu", ["x"], {}), node], inputs, {})
    graph = ir.serde.deserialize_model(model).graph
    reasons = unsupported(group_float_nodes(list(graph)))
    assert [reason.where for reason in reasons] == ["n1"]


def test_groups_follow_the_user_of_several_values() -> None:
    """x * sigmoid(x) after a convolution is one group; a value read elsewhere ends one."""
    constants = {"w": floats(4, 3, 1, 1)}
    nodes: list[Node] = [
        ("Conv", ["x", "w"], {}),
        ("Sigmoid", ["y0"], {}),
        ("Mul", ["y0", "y1"], {}),
        ("Relu", ["y2"], {}),
        ("Concat", ["y2", "y3"], {"axis": 1}),
    ]
    model = make_model(nodes, {"x": floats(1, 3, 5, 5)}, constants)
    groups = group_float_nodes(list(ir.serde.deserialize_model(model).graph))
    assert [group.op for group in groups] == ["Conv+Sigmoid+Mul", "Relu", "Concat"]
    assert [group.name for group in groups] == ["n0", "n3", "n4"]


def test_groups_of_the_same_structure_share_their_functions() -> None:
    constants = {"v": floats(3, 3, 3, 3), "w": floats(3, 3, 3, 3, seed=5)}
    nodes: list[Node] = [
        ("Conv", ["x", "v"], {"pads": [1, 1, 1, 1]}),
        ("Conv", ["y0", "w"], {"pads": [1, 1, 1, 1]}),
    ]
    first, second = lower(make_model(nodes, {"x": floats(1, 3, 6, 6)}, constants))
    assert first.calls[0].func is second.calls[0].func
    assert first.calls[0].inputs == ("x", "v")
    assert second.calls[0].inputs == ("y0", "w")


def test_scratch_memory_is_small() -> None:
    """A padded convolution keeps rows, not the whole image."""
    nodes: list[Node] = [("Conv", ["x", "w"], {"pads": [1, 1, 1, 1]}), ("Relu", ["y0"], {})]
    constants = {"w": floats(16, 16, 3, 3)}
    (group,) = lower(make_model(nodes, {"x": floats(1, 16, 64, 64)}, constants))
    source = generate_c(schedule_float(group.calls[0].func))
    assert sum(workspace.shape[0] * 4 for workspace in source.workspaces) < 12_000
