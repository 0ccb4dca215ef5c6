"""Every TFLite operator, compiled: TFLite's bits in int8, its floats to rounding, on every core.

The cases of a family draw shapes and options from a seed and are compiled as one program.
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
from edgecomp.importers import load
from edgecomp.model import Model
from edgecomp.pipeline import compile_model
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.manifest import Manifest
from edgecomp_runtime.session import Session
from tests.tflite_cases import FAMILIES, WIDE
from tests.tflite_cases.draw import Draw
from tests.together import together

Array = npt.NDArray[Any]

SEED = 5
"""What the emulated cores are given."""
CORES = ("nucleo_l4r5zi", "corstone_300")
EVERY = {"float32": 3, "int8": 1, "int16": 3}
"""Of so many cases the emulated cores are given one."""
by_seed = settings(
    max_examples=1,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@dataclass(frozen=True)
class Drawn:
    """The operators of a family with the shapes of one seed.

    Attributes:
        model: all of them.
        inputs: what it is given.
        wanted: what TFLite's reference kernels make of that, by the model's output names.
        results: the tensors of TFLite, likewise.
    """

    model: Model
    inputs: Mapping[str, Array]
    wanted: Mapping[str, Array]
    results: Mapping[str, Any]


@pytest.fixture(scope="module")
def drawn(tflite_op: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Drawn]:
    """`drawn(family, dtype, seed, every=1)`: one of `every` cases, those TFLite has in `dtype`."""
    single_op, operand = tflite_op
    path = tmp_path_factory.mktemp("operators") / "operator.tflite"

    @cache
    def draw(family: str, dtype: str, seed: int, every: int = 1) -> Drawn:
        models, inputs, wanted, results = {}, {}, {}, {}
        for name, (case, steps) in list(FAMILIES[family].items())[::every]:
            if (dtype == "int8" and steps is None) or (dtype == "int16" and name not in WIDE):
                continue
            d = Draw(np.random.default_rng(seed), dtype, operand)
            spec = case(d)
            op = single_op(name, spec.operands, spec.result, spec.table, spec.options, spec.others)
            path.write_bytes(op.model())
            models[name] = model = load(path)
            for kind, specs, arrays in (
                (inputs, model.inputs, d.fed),
                (wanted, model.outputs, op.run_all(*d.fed)),
                (results, model.outputs, (spec.result, *spec.others)),
            ):
                kind |= {f"{name}/{s.name}": a for s, a in zip(specs, arrays, strict=True)}
        return Drawn(together(models), inputs, wanted, results)

    return draw


@dataclass(frozen=True)
class Ran:
    """A program, and what it made of its inputs by the names of its outputs."""

    manifest: Manifest
    outputs: Mapping[str, Array]


def _run(trial: Drawn, device: str, path: Path) -> Ran:
    manifest = compile_model(trial.model, load_device(device), path)
    with Session(open_artifact(path)) as session:
        ((outputs, _),) = session.run_raw([trial.inputs])
    names = (spec.name for spec in manifest.outputs)
    return Ran(manifest, dict(zip(names, outputs, strict=True)))


@pytest.fixture(scope="module")
def on_host(
    drawn: Callable[..., Drawn], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str, int], Ran]:
    """`on_host(family, dtype, seed)`."""
    path = tmp_path_factory.mktemp("host") / "host.edge"

    @cache
    def run(family: str, dtype: str, seed: int) -> Ran:
        return _run(drawn(family, dtype, seed), "host", path)

    return run


@pytest.mark.parametrize("dtype", ["float32", "int8", "int16"])
@pytest.mark.parametrize("family", FAMILIES)
@by_seed
@example(seed=SEED)
@given(seed=st.integers(0, 2**32 - 1))
def test_operators_do_what_tflite_does(
    drawn: Callable[..., Drawn],
    on_host: Callable[[str, str, int], Ran],
    family: str,
    dtype: str,
    seed: int,
) -> None:
    trial, ran = drawn(family, dtype, seed), on_host(family, dtype, seed)
    for name, want in trial.wanted.items():
        got, tensor = ran.outputs[name], trial.results[name]
        if got.dtype == np.float32:
            if tensor.scale:  # a QUANTIZE alone is what a Session does before the program
                want = (want - np.float32(tensor.zero_point)) * np.float32(tensor.scale[0])
            np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5, err_msg=name)
        else:
            assert got.dtype == want.dtype, name
            np.testing.assert_array_equal(got, want, err_msg=name)
    if dtype != "float32":
        assert {op.name for op in ran.manifest.ops if op.where == "float"} == set()


@pytest.mark.parametrize("device", CORES)
@pytest.mark.parametrize("dtype", ["float32", "int8", "int16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_microcontroller_gives_the_same_bits(
    drawn: Callable[..., Drawn],
    on_host: Callable[[str, str, int], Ran],
    family: str,
    dtype: str,
    device: str,
    tmp_path: Path,
) -> None:
    trial = drawn(family, dtype, SEED, EVERY[dtype])
    expected = on_host(family, dtype, SEED).outputs
    for name, got in _run(trial, device, tmp_path / "device.edge").outputs.items():
        assert got.tobytes() == expected[name].tobytes(), name
