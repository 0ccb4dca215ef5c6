"""Streaming TFLite models: variables become state, and every frame has TFLite's bits."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tflite_runtime.interpreter import Interpreter, OpResolverType

from edgecomp.device import load_device
from edgecomp.errors import EdgecompError
from edgecomp.importers import load
from edgecomp.importers.tflite.file import Operator, Subgraph, Tensor
from edgecomp.importers.tflite.variables import without_variables
from edgecomp.pipeline import compile_model
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.session import Session

Array = npt.NDArray[Any]
FRAMES = 200


@pytest.fixture(scope="module")
def wake_words() -> Path:
    """The folder of models in the package pymicro-wakeword, which is not imported."""
    spec = importlib.util.find_spec("pymicro_wakeword")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "models"


def _frames(shape: Sequence[int]) -> Array:
    """Spectrum-like frames that excite the detectors a little."""
    rng = np.random.default_rng(0)
    return np.clip(rng.normal(-20, 30, (FRAMES, *shape)), -128, 127).astype(np.int8)


@pytest.mark.parametrize("device", ["host", "nucleo_l4r5zi"])
@pytest.mark.parametrize("name", ["hey_mycroft", "okay_nabu"])
def test_every_frame_of_a_wake_word_model_is_exact(
    name: str, device: str, wake_words: Path, tmp_path: Path
) -> None:
    path = next(wake_words.rglob(f"{name}.tflite"))
    manifest = compile_model(load(path), load_device(device), tmp_path / "wake.edge")
    assert manifest.memory.state_bytes > 0
    assert {op.where for op in manifest.ops} == {"integer"}
    reference = Interpreter(str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    reference.allocate_tensors()
    (source,), (result,) = reference.get_input_details(), reference.get_output_details()
    expected, given = [], []
    with Session(open_artifact(tmp_path / "wake.edge"), carry=True) as session:
        for frame in _frames(source["shape"]):
            reference.set_tensor(source["index"], frame)
            reference.invoke()
            expected.append(int(reference.get_tensor(result["index"]).item()))
            (output,) = session.run({manifest.inputs[0].name: frame}).values()
            assert output.dtype == result["dtype"]
            given.append(int(output.item()))
    assert given == expected
    if name == "hey_mycroft":
        assert len(set(expected)) > 1


def _tensor(name: str, shape: tuple[int, ...] = (2,), data: Array | None = None) -> Tensor:
    return Tensor(name, shape, "float32", None, data)


def _operator(
    name: str, inputs: tuple[int | None, ...], outputs: tuple[int, ...], **options: Any
) -> Operator:
    return Operator(name, inputs, outputs, options)


def _handle(output: int, name: bytes = b"v") -> Operator:
    return _operator("VAR_HANDLE", (), (output,), SharedName=name, Container=b"")


def _model(operators: Sequence[Operator], initial: Array | None = None) -> list[Subgraph]:
    """Tensors: 0 input, 1 handle, 2 and 3 what is read, 4 what is assigned."""
    tensors = tuple(_tensor(name) for name in ("x", "handle", "first", "second", "next"))
    constant = _tensor("constant", (2,), initial)
    filling = (_handle(0), _operator("ASSIGN_VARIABLE", (0, 1), ()))
    return [
        Subgraph(tensors, (0,), (3,), tuple(operators)),
        Subgraph((_tensor("handle"), constant), (), (), filling),
    ]


def test_what_is_read_after_an_assignment_is_what_was_assigned() -> None:
    graphs = _model(
        [
            _operator("CALL_ONCE", (), (), InitSubgraphIndex=1),
            _handle(1),
            _operator("READ_VARIABLE", (1,), (2,)),
            _operator("ADD", (0, 2), (4,)),
            _operator("ASSIGN_VARIABLE", (1, 4), ()),
            _operator("READ_VARIABLE", (1,), (3,)),
        ],
        np.array([1, 2], np.float32),
    )
    graph, (variable,) = without_variables(graphs)
    assert (variable.read, variable.written) == (2, 4)
    assert variable.initial.tolist() == [1, 2]
    assert (graph.inputs, graph.outputs) == ((0, 2), (4, 4))
    assert [operator.name for operator in graph.operators] == ["ADD"]


def test_a_variable_that_nothing_fills_starts_from_zero() -> None:
    graphs = _model(
        [
            _handle(1),
            _operator("READ_VARIABLE", (1,), (3,)),
            _operator("ASSIGN_VARIABLE", (1, 0), ()),
        ]
    )
    _, (variable,) = without_variables(graphs)
    assert variable.initial.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("operators", "message"),
    [
        ([_handle(1), _operator("READ_VARIABLE", (4,), (2,))], "before it is made"),
        ([_handle(1), _operator("ASSIGN_VARIABLE", (1,), ())], "assigned nothing"),
        ([_handle(1), _operator("CALL_ONCE", (), (), InitSubgraphIndex=7)], "graph 7"),
        ([_handle(1), _operator("CALL_ONCE", (), (), InitSubgraphIndex=1)], "with a constant"),
    ],
)
def test_damaged_variables_are_refused(operators: list[Operator], message: str) -> None:
    with pytest.raises(EdgecompError, match=message):
        without_variables(_model(operators))
