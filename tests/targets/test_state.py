"""Streaming models: state carried from one run to the next, on every kind of engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import parser

from edgecomp.device import load_device
from edgecomp.importers.onnx import normalise
from edgecomp.model import Model, State
from edgecomp.pipeline import compile_model
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.session import Session

Array = npt.NDArray[Any]
DEVICES = ("host", "raspberrypi_4b", "raspberrypi_2b", "nucleo_l4r5zi", "corstone_300")

# A window of the last three inputs, and how many there were: one state whose next value overwrites
# it, one that is read after the next is known.
TEXT = """
<ir_version: 10, opset_import: ["" : 21]>
streaming (float[1,2] x, float[3,2] window, float[1] count)
    => (float[1,2] y, float[3,2] window_next, float[1] count_next)
{
    one = Constant <value_floats = [1.0]> ()
    starts = Constant <value_ints = [1]> ()
    ends = Constant <value_ints = [4]> ()
    rows = Constant <value_ints = [0]> ()
    longer = Concat <axis = 0> (window, x)
    window_next = Slice (longer, starts, ends, rows)
    total = ReduceSum <keepdims = 1> (window_next, rows)
    count_next = Add (count, one)
    both = Add (count, count_next)
    y = Mul (total, both)
}
"""
WINDOW = np.array([[1, 2], [3, 4], [5, 6]], np.float32)


@pytest.fixture(scope="module")
def model() -> Model:
    imported = normalise(parser.parse_model(TEXT), {}, {}, "streaming")
    states = (
        State("window", "window_next", WINDOW),
        State("count", "count_next", np.zeros(1, np.float32)),
    )
    return replace(
        imported, inputs=imported.inputs[:1], outputs=imported.outputs[:1], states=states
    )


def _expected(samples: Array) -> list[Array]:
    window, count, results = WINDOW, np.float32(0), []
    for x in samples:
        window = np.concatenate([window, x])[1:]
        results.append(window.sum(axis=0, keepdims=True) * (2 * count + 1))
        count += 1
    return results


@pytest.mark.parametrize("device", DEVICES)
def test_state_is_carried_or_begun_anew(model: Model, device: str, tmp_path: Path) -> None:
    manifest = compile_model(model, load_device(device), tmp_path / "streaming.edge")
    assert manifest.memory.state_bytes == 32 + 16
    samples = np.arange(10, dtype=np.float32).reshape(5, 1, 2)
    with Session(open_artifact(tmp_path / "streaming.edge"), carry=True) as session:
        carried = [session.run({"x": x})["y"] for x in samples]
        np.testing.assert_array_equal(carried, _expected(samples))
        session.reset()
        np.testing.assert_array_equal(session.run({"x": samples[0]})["y"], carried[0])
    with Session(open_artifact(tmp_path / "streaming.edge")) as session:
        for x in samples:
            np.testing.assert_array_equal(session.run({"x": x})["y"], _expected(x[None])[0])


def test_the_header_offers_a_reset(model: Model, tmp_path: Path) -> None:
    compile_model(model, load_device("nucleo_l4r5zi"), tmp_path / "streaming.edge")
    header = open_artifact(tmp_path / "streaming.edge").read("src/streaming.h").decode()
    assert "void streaming_reset(void *state);" in header
    assert "#define streaming_STATE_BYTES 48\n" in header
    assert "void *arena, void *state);" in header


def test_only_the_state_still_needed_is_copied(model: Model, tmp_path: Path) -> None:
    compile_model(model, load_device("host"), tmp_path / "streaming.edge")
    source = open_artifact(tmp_path / "streaming.edge").read("src/streaming.c").decode()
    assert source.count("streaming_copy(") == 1 + 1  # its definition, and count_next to count
