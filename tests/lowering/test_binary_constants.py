"""Constants in a binary file are the same arrays as constants in C."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecomp.compile_c import ASSEMBLY_FLAGS, write_files
from edgecomp.device import load_device
from edgecomp.importers import load
from edgecomp.lowering.binary_constants import (
    ALIGNMENT,
    TEXT_LIMIT,
    assembly_file,
    binary_file,
)
from edgecomp.lowering.c_constants import ConstantArrays
from edgecomp.pipeline import compile_model
from edgecomp.toolchain import zig
from edgecomp.trace import Tracer
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.session import Session

Array = npt.NDArray[Any]
NAME = "app_weights"
CORES = {
    "thumb": ("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m4"),
    "aarch64": ("-target", "aarch64-linux-gnu.2.28"),
    "riscv": ("-target", "riscv32-freestanding"),
}


@pytest.fixture
def constants() -> dict[str, Array]:
    random = np.random.default_rng(0)
    return {
        "a weight": random.normal(0, 1, (3, 5)).astype(np.float32),
        "transposed": random.integers(-9, 9, (7, 2)).astype(np.int8).T,
        "the same": random.integers(-9, 9, (1,)).astype(np.int64),
        "empty": np.zeros((0,), np.int32),
        "flags": np.array([True, False, True]),
    }


@pytest.fixture
def sources(constants: dict[str, Array], tmp_path: Path) -> ConstantArrays:
    """The arrays of `constants`, whose files are in `tmp_path`."""
    arrays = ConstantArrays(constants)
    text = assembly_file("app", arrays, f"{NAME}.bin")
    write_files({f"{NAME}.S": text, f"{NAME}.bin": binary_file(arrays)}, tmp_path)
    return arrays


def test_c_reads_the_arrays(
    constants: dict[str, Array], sources: ConstantArrays, tmp_path: Path
) -> None:
    getters = "".join(
        f"extern const {sources.declaration('app', name)};\n"
        f"const void *get_{i}(void) {{ return app_{sources.name(name)}; }}\n"
        for i, name in enumerate(constants)
    )
    write_files({"get.c": f"#include <stdbool.h>\n#include <stdint.h>\n{getters}"}, tmp_path)
    zig(["cc", "-shared", "-fPIC", "-Wall", "get.c", f"{NAME}.S", "-o", "all.so"], tmp_path)
    library = ctypes.CDLL(str(tmp_path / "all.so"))
    for number, array in enumerate(constants.values()):
        get = library[f"get_{number}"]
        get.restype = ctypes.c_void_p
        place = get()
        assert place % ALIGNMENT == 0
        assert ctypes.string_at(place, array.nbytes) == array.tobytes()


@pytest.mark.parametrize("core", CORES)
def test_it_assembles_for(
    core: str, constants: dict[str, Array], sources: ConstantArrays, tmp_path: Path
) -> None:
    zig(["cc", *CORES[core], *ASSEMBLY_FLAGS, "-c", f"{NAME}.S", "-o", "weights.o"], tmp_path)
    content = (tmp_path / "weights.o").read_bytes()
    assert content.startswith(b"\x7fELF")
    assert constants["a weight"].tobytes() in content


def test_big_endian_processors_are_refused(sources: ConstantArrays) -> None:
    text = assembly_file("app", sources, f"{NAME}.bin")
    assert '#error "app_weights.bin is little-endian"' in text


@pytest.fixture
def dense(tmp_path: Path) -> tuple[Path, Array]:
    """A dense layer with more weights than are written as text, and the weights."""
    random = np.random.default_rng(1)
    weights = random.integers(-3, 4, (512, TEXT_LIMIT // 4 // 512 + 1)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 512))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, weights.shape[1]))],
        [numpy_helper.from_array(weights, "w")],
    )
    path = tmp_path / "dense.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]), path)
    return path, weights


def test_a_program_of_many_weights(dense: tuple[Path, Array], tmp_path: Path) -> None:
    path, weights = dense
    paths = [tmp_path / "first.edge", tmp_path / "second.edge"]
    for each in paths:
        manifest = compile_model(load(path), load_device("host"), each)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert manifest.flash.weights_bytes == weights.nbytes > TEXT_LIMIT
    assert {"src/dense_weights.S", "src/dense_weights.bin"} <= manifest.files.keys()
    x = np.arange(512, dtype=np.float32)[np.newaxis] % 7
    with Session(paths[0]) as session:
        np.testing.assert_array_equal(session.run([x])["y"], x @ weights)
    # the tracer compiles the artifact's sources once more
    with Tracer(open_artifact(paths[0])) as tracer:
        (outputs, _) = tracer.run([x])
    np.testing.assert_array_equal(outputs[0], x @ weights)
