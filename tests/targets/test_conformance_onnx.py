"""ONNX operators with random shapes, compiled: what onnxruntime computes, on every core alike.

In floats to rounding; quantized to a step, for onnxruntime rounds otherwise. The cases of a family
draw shapes and attributes from a seed and are compiled as one program. The fixed shapes of ONNX's
own tests, of these and of more operators, are those of tests/onnx_backend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from edgecomp.device import load_device
from edgecomp.graph.quantizable import RULES, why_float
from edgecomp.importers.expansions import RULES as EXPANSIONS
from edgecomp.importers.onnx import normalise
from edgecomp.pipeline import compile_model
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.manifest import Manifest
from edgecomp_runtime.session import Session
from tests.onnx_cases import FAMILIES
from tests.onnx_cases.build import Built, float_model, int8_model
from tests.onnx_cases.draw import Draw
from tests.together import together

Array = npt.NDArray[Any]

SEED = 5
"""What the emulated cores are given."""
CORES = ("nucleo_l4r5zi", "corstone_300")
FIXED_SHAPES = frozenset({"RoiAlign"})
"""Operators that are held against ONNX's own tests alone."""
EVERY = {"float": 3, "int8": 1}
"""Of so many cases the emulated cores are given one."""

by_seed = settings(
    max_examples=1,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@cache
def _built(family: str, form: str, seed: int, every: int = 1) -> Mapping[str, Built]:
    """One of `every` cases of a family, those that have the form."""
    built = {}
    for name, case in list(FAMILIES[family].items())[::every]:
        spec = case(Draw(np.random.default_rng(seed)))
        if form == "float":
            built[name] = float_model(spec)
        elif spec.op in RULES:
            built[name] = int8_model(spec)
    return built


@dataclass(frozen=True)
class Ran:
    """A program, and what it made of its inputs.

    Attributes:
        manifest: of the program.
        outputs: by case and output.
        without: cases that have no integer meaning.
    """

    manifest: Manifest
    outputs: Mapping[str, Array]
    without: frozenset[str]


def _run(built: Mapping[str, Built], device: str, path: Path) -> Ran:
    models = {name: normalise(each.proto, {}, {}, name) for name, each in built.items()}
    manifest = compile_model(together(models), load_device(device), path)
    inputs = {f"{n}/{k}": array for n, each in built.items() for k, array in each.inputs.items()}
    with Session(open_artifact(path)) as session:
        outputs = session.run(inputs)
    without = frozenset(
        name
        for name, model in models.items()
        if any(node.op_type in RULES and why_float(node) for node in model.graph.graph)
    )
    return Ran(manifest, outputs, without)


@pytest.fixture(scope="module")
def on_host(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str, int], Ran]:
    """`on_host(family, form, seed)`."""
    path = tmp_path_factory.mktemp("host") / "host.edge"
    return cache(lambda family, form, seed: _run(_built(family, form, seed), "host", path))


@pytest.mark.parametrize("form", ["float", "int8"])
@pytest.mark.parametrize("family", FAMILIES)
@by_seed
@example(seed=SEED)
@given(seed=st.integers(0, 2**32 - 1))
def test_operators_do_what_onnxruntime_does(
    on_host: Callable[[str, str, int], Ran], family: str, form: str, seed: int
) -> None:
    ran = on_host(family, form, seed)
    for name, built in _built(family, form, seed).items():
        for output, want in built.wanted.items():
            got = ran.outputs[f"{name}/{output}"]
            assert got.shape == want.shape, name
            if built.scale is not None:
                assert np.abs(got - want).max() <= 1.001 * built.scale, name
            elif want.dtype == np.float32:
                np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5, err_msg=name)
            elif form == "int8" and want.dtype == bool:
                # real numbers a rounding apart are equal in integers
                assert np.count_nonzero(got != want) <= 1 + want.size // 100, name
            else:
                np.testing.assert_array_equal(got, want, err_msg=name)
    if form == "int8":
        floats = {op.name.split("/")[0] for op in ran.manifest.ops if op.where == "float"}
        assert floats <= ran.without


@pytest.mark.parametrize("device", CORES)
@pytest.mark.parametrize("form", ["float", "int8"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_microcontroller_gives_the_same_bits(
    on_host: Callable[[str, str, int], Ran], family: str, form: str, device: str, tmp_path: Path
) -> None:
    built = _built(family, form, SEED, EVERY[form])
    expected = on_host(family, form, SEED).outputs
    for name, got in _run(built, device, tmp_path / "device.edge").outputs.items():
        assert got.tobytes() == expected[name].tobytes(), name


def test_every_operator_that_is_known_here_has_a_case() -> None:
    drawn = {name.split(" ")[0] for family in FAMILIES.values() for name in family}
    assert {*RULES, *EXPANSIONS} - FIXED_SHAPES <= drawn
