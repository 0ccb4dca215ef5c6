"""Channel pruning of whole architectures: the networks that come with the onnx package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgecomp.compress import compress, statistics
from edgecomp.graph.evaluate import fold_constant_nodes
from edgecomp.importers import load
from edgecomp.passes.prune import Prune
from edgecomp.reference import Executor

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"

# fire modules of concatenations; channel shuffles of grouped convolutions; inception modules
NETWORKS = ("squeezenet", "shufflenet", "inception_v1")


@pytest.mark.parametrize("name", NETWORKS)
def test_half_of_the_parameters_go_and_it_runs(name: str) -> None:
    model = load(LIGHT / f"light_{name}.onnx")
    small = compress(model, [Prune(params=0.5, criterion="random", scope="layer")])
    folded = model.graph.clone()
    fold_constant_nodes(folded.graph)  # the weights of these files are computed by nodes
    before, after = statistics(model.with_graph(folded)), statistics(small)
    assert 0.3 * before.params < after.params <= 0.5 * before.params
    assert after.macs < 0.75 * before.macs
    onnx.checker.check_model(ir.to_proto(small.graph))
    feed = {spec.name: np.full(spec.shape, 0.5, np.float32) for spec in model.inputs}
    output = model.outputs[0]
    got = Executor(small.graph, [output.name]).run(feed)[output.name]
    assert got.shape == tuple(output.shape)
    assert np.isfinite(got).all()
