"""Every operator gives what the ONNX project's own node tests expect, alone and in a batch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from edgecomp.errors import EdgecompError
from edgecomp.importers.onnx import normalise
from edgecomp.reference import run_reference
from edgecomp.training.executor import Network, torch_tensor
from edgecomp.training.operators import OPERATORS

EVERY = 24
"""One test of so many is in the sample, besides the first of every operator."""

NOT_COMPUTED = {
    "averagepool_2d_ceil_last_window_starts_on_pad": "its static shape is not that of the standard",
    "averagepool_2d_dilations": "dilations",
    "averagepool_3d_dilations": "dilations",
    "gathernd_example_int32_batch_dim1": "batch_dims",
    "maxpool_2d_ceil_output_size_reduce_by_one": "its static shape is not that of the standard",
    "maxpool_with_argmax": "the places of the maxima are no output of training",
}
"""Parts of the names of tests that are left out, and why."""


@pytest.fixture(scope="module")
def cases(root: Path) -> Iterator[ModuleType]:
    """The module that reads the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root / "tests" / "benchmarks"))
        yield import_module("backend_cases")


def sample(cases: ModuleType) -> list[Any]:
    """The tests tried."""
    found: dict[str, Any] = {}
    inside = [case for case in cases.load_cases() if not case.outside]
    for case in inside:
        if case.operator in OPERATORS:
            found.setdefault(case.operator, case)
    chosen = [*found.values(), *inside[::EVERY]]
    return [case for case in chosen if not any(part in case.name for part in NOT_COMPUTED)]


def imported(case: Any) -> Network | None:
    """The network of a test; None where the importer or the table of operators refuses it."""
    shapes = {n: np.shape(a) for n, a in case.inputs.items() if n not in case.bindings}
    try:
        model = normalise(copy.deepcopy(case.model), shapes, case.bindings, "case")
        return Network(model) if model.inputs else None
    except EdgecompError:
        return None


def test_the_onnx_node_tests(cases: ModuleType) -> None:
    tried = 0
    for case in sample(cases):
        network = imported(case)
        if network is None:
            continue
        samples = {
            spec.name: torch_tensor(np.stack([np.asarray(case.inputs[spec.name], spec.dtype)] * 2))
            for spec in network.model.inputs
        }
        with torch.no_grad():
            found = network.run(samples)
        for name, values in found.items():
            for value in values.numpy().astype(np.float64):
                np.testing.assert_allclose(
                    value,
                    np.asarray(case.outputs[name], np.float64),
                    rtol=max(case.rtol, 1e-4),
                    atol=max(case.atol, 1e-6),
                    err_msg=case.name,
                )
        tried += 1
    assert tried > 120


RESIZES = (
    ("nearest", "asymmetric", (2, 3)),
    ("linear", "half_pixel", (2, 2)),
    ("linear", "asymmetric", (3, 2)),
)


@pytest.mark.parametrize(("mode", "transform", "factors"), RESIZES)
def test_resizing_as_the_importer_leaves_it(
    make_model: Callable[..., Any],
    floats: Callable[..., Any],
    assert_close: Callable[..., None],
    mode: str,
    transform: str,
    factors: Sequence[int],
) -> None:
    rows, columns = 3 * factors[0], 4 * factors[1]
    rounding = ', nearest_mode = "floor"' if mode == "nearest" else ""
    text = f"""
    net (float[1,2,3,4] x) => (float[1,2,{rows},{columns}] y) {{
        y = Resize <mode = "{mode}", coordinate_transformation_mode = "{transform}"{rounding}>
            (x, , scales)
    }}
    """
    model = make_model(text, {"scales": np.array([1, 1, *factors], np.float32)})
    assert [node.op_type for node in model.graph.graph] == ["Resize"]
    images = floats(3, 1, 2, 3, 4)
    found = Network(model).run({"x": torch.from_numpy(images)})["y"].numpy()
    assert_close([found], run_reference(model, [images]))
