"""Costs of nodes on a device."""

from __future__ import annotations

import onnx.parser
import pytest

from edgecomp.graph.cost import CORES, CoreCost, model_cost
from edgecomp.importers.onnx import normalise
from edgecomp.target import load_target, target_names


def test_every_core_has_its_costs() -> None:
    known = {core for name in target_names() for core in load_target(name).cores()}
    assert set(CORES) == known


def test_a_model_costs_what_its_nodes_cost() -> None:
    proto = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 21]> net (float[1,4,6,6] x) => (float[1,8,1,1] y) '
        "<float[8,4,3,3] w, float[8,1,3,3] d> {"
        "[conv] a = Conv (x, w) [relu] b = Relu (a) [depth] c = Conv <group = 8> (b, d)"
        "[sig] e = Sigmoid (c) [mean] y = GlobalAveragePool (e) }"
    )
    for name, shape in (("w", (8, 4, 3, 3)), ("d", (8, 1, 3, 3))):
        proto.graph.initializer.append(
            onnx.helper.make_tensor(name, 1, shape, [0.5] * (shape[0] * shape[1] * 9))
        )
    model = normalise(proto, {}, {}, "net")
    cost = CoreCost(product=1.0, depthwise=10.0, output=100.0, element=1000.0, lanes=1)
    conv, depth = 8 * 16 * 36 + 100 * 8 * 16, 10 * 8 * 4 * 9 + 100 * 8 * 4
    assert model_cost(model, cost) == pytest.approx(conv + depth + 1000 * 2 * 8 * 4)
