"""TFLite files whose graphs call graphs, a thousand deep or in a circle: refused within limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
import tflite
from fuzzing.judge import Judge

from edgecomp.cli import main

LEVELS = 1000
CALLS: Mapping[str, tuple[str, ...]] = {
    "IF": ("ThenSubgraphIndex", "ElseSubgraphIndex"),
    "WHILE": ("CondSubgraphIndex", "BodySubgraphIndex"),
    "CALL_ONCE": ("InitSubgraphIndex",),
}
"""Operators that call graphs, and the options that name them."""
TABLES: Mapping[str, str] = {
    "IF": "IfOptions",
    "WHILE": "WhileOptions",
    "CALL_ONCE": "CallOnceOptions",
    "VAR_HANDLE": "VarHandleOptions",
}
INSIDE, OUTSIDE = 0, 1
"""The tensors of each graph: a float32 vector that is given, and one that is made."""


class _File:
    """A TFLite file of graphs over the same two tensors."""

    def __init__(self, operators: Sequence[str]) -> None:
        self._builder = flatbuffers.Builder(1 << 16)
        self._codes = {name: index for index, name in enumerate(operators)}

    def table(self, name: str, **fields: Any) -> int:
        """A table; vectors and other tables must be written before."""
        getattr(tflite, f"{name}Start")(self._builder)
        for key, value in fields.items():
            getattr(tflite, f"{name}Add{key}")(self._builder, value)
        return int(getattr(tflite, f"{name}End")(self._builder))

    def operator(
        self, name: str, inputs: Sequence[int], outputs: Sequence[int], **options: int
    ) -> int:
        """An operator of graph indices and the like."""
        fields: dict[str, Any] = {}
        if name in TABLES:
            fields["BuiltinOptions"] = self.table(TABLES[name], **options)
            fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, TABLES[name])
        ends = {"Inputs": inputs, "Outputs": outputs}
        vectors = {key: self._ints(value) for key, value in ends.items()}
        return self.table("Operator", OpcodeIndex=self._codes[name], **vectors, **fields)

    def graph(self, operators: Sequence[int], kinds: Sequence[int]) -> int:
        """A graph of `operators`, over tensors of element types `kinds`."""
        shape = self._ints([2])
        tensors = [self.table("Tensor", Shape=shape, Type=kind, Buffer=0) for kind in kinds]
        listed = {"Tensors": self._tables(tensors), "Operators": self._tables(operators)}
        ends = {"Inputs": self._ints([INSIDE]), "Outputs": self._ints([OUTSIDE])}
        return self.table("SubGraph", **listed, **ends)

    def content(self, graphs: Sequence[int]) -> bytes:
        """The bytes of the file."""
        numbers = [getattr(tflite.BuiltinOperator, name) for name in self._codes]
        codes = [
            self.table("OperatorCode", DeprecatedBuiltinCode=min(n, 127), BuiltinCode=n)
            for n in numbers
        ]
        lists = {"OperatorCodes": self._tables(codes), "Subgraphs": self._tables(graphs)}
        buffers = self._tables([self.table("Buffer")])
        self._builder.Finish(self.table("Model", Version=3, Buffers=buffers, **lists), b"TFL3")
        return bytes(self._builder.Output())

    def _ints(self, values: Sequence[int]) -> int:
        return int(self._builder.CreateNumpyVector(np.array(values, np.int32)))

    def _tables(self, tables: Sequence[int]) -> int:
        self._builder.StartVector(4, len(tables), 4)
        for table in reversed(tables):
            self._builder.PrependUOffsetTRelative(table)
        return int(self._builder.EndVector())


def nested(name: str, levels: int, *, circle: bool = False) -> bytes:
    """Graphs that each call the next; the last one calls the first, or computes."""
    file = _File([name, "VAR_HANDLE", "ABS"])
    graphs = []
    for level in range(levels):
        target = (level + 1) % levels
        if target or circle:
            ends = ([], []) if name == "CALL_ONCE" else ([INSIDE], [OUTSIDE])
            operators = [file.operator(name, *ends, **dict.fromkeys(CALLS[name], target))]
        else:
            operators = []
        kinds = [tflite.TensorType.FLOAT32] * 2
        if name == "CALL_ONCE":
            kinds.append(tflite.TensorType.RESOURCE)
            operators.insert(0, file.operator("VAR_HANDLE", [], [2]))
        if name == "CALL_ONCE" or not operators:
            operators.append(file.operator("ABS", [INSIDE], [OUTSIDE]))
        graphs.append(file.graph(operators, kinds))
    return file.content(graphs)


FILES: Mapping[str, Callable[[], bytes]] = {
    **{name: lambda name=name: nested(name, LEVELS) for name in CALLS},
    **{f"{name} in a circle": lambda name=name: nested(name, 3, circle=True) for name in CALLS},
    **{f"{name} of itself": lambda name=name: nested(name, 1, circle=True) for name in CALLS},
}


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """A process with limits that imports what it is given."""
    with Judge() as process:
        yield process


@pytest.mark.parametrize("name", FILES)
def test_graphs_that_call_graphs(
    name: str, judge: Judge, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "nested.tflite"
    path.write_bytes(FILES[name]())
    verdict = judge(path)
    assert verdict.outcome == "refused", f"{verdict.outcome}: {verdict.detail}"
    assert main(["inspect", str(path)]) == 1
    assert name.split()[0] in capsys.readouterr().err
