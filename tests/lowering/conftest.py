"""Kernels and programs compiled for this machine."""

from __future__ import annotations

import ctypes
import itertools
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecomp.device import load_device
from edgecomp.importers import load
from edgecomp.lowering.codegen import KernelSource, generate_c
from edgecomp.lowering.schedules import schedule_kernel
from edgecomp.pipeline import compile_model
from edgecomp.program import Kernel
from edgecomp.toolchain import zig
from edgecomp_runtime.artifact import open_artifact
from edgecomp_runtime.session import Session
from tests.together import together

CSRC = Path(__file__).parents[2] / "edgecomp" / "lowering" / "csrc"

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Compiled:
    """One kernel as a Python function: input arrays in, output array out."""

    function: Callable[..., None]
    source: KernelSource
    func: Any

    def __call__(self, *inputs: Array) -> Array:
        buffers = list(self.func.params)
        given = [np.asarray(x, order="C") for x in inputs]
        for array, buffer in zip(given, buffers, strict=False):
            assert array.shape == tuple(int(n) for n in buffer.shape)
            assert str(array.dtype) == str(buffer.dtype)
        (out,) = buffers[len(given) :]
        result = np.zeros([int(n) for n in out.shape], str(out.dtype))
        scratch = [np.empty(w.shape, w.dtype) for w in self.source.workspaces]
        arrays = [*given, result, *scratch]
        self.function(*(ctypes.c_void_p(x.ctypes.data) for x in arrays))
        return result


@pytest.fixture(scope="session")
def compile_kernels(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Sequence[tuple[Any, str]]], list[Compiled]]:
    """`compile_kernels([(TIR function, schedule name), ...])`: one compilation for all of them."""
    numbers = itertools.count()
    folder = tmp_path_factory.mktemp("kernels")

    def compile_all(kernels: Sequence[tuple[Any, str]]) -> list[Compiled]:
        sources = [
            generate_c(schedule_kernel(Kernel("kernel", schedule_as, func)).func)
            for func, schedule_as in kernels
        ]
        text = ["#include <edgecomp_kernel.h>"]
        for i, source in enumerate(sources):
            text.append(source.define(f"kernel{i}"))
            arguments = ", ".join(f"p[{k}]" for k in range(len(source.parameters)))
            text.append(f"void run{i}(void **p) {{ kernel{i}({arguments}); }}")
        stem = f"batch{next(numbers)}"
        (folder / f"{stem}.c").write_text("\n".join(text) + "\n")
        options = ["-O2", "-std=c99", "-ffp-contract=off", "-fPIC", "-shared", f"-I{CSRC}"]
        if platform.machine() == "x86_64":
            # What programs are built for. With AVX-512 clang 22 stores an int16 past odd rows.
            options.append("-mcpu=x86_64_v2")
        zig(["cc", *options, f"{stem}.c", "-o", f"{stem}.so"], folder)
        library = ctypes.CDLL(str(folder / f"{stem}.so"))

        def caller(i: int) -> Callable[..., None]:
            return lambda *p: getattr(library, f"run{i}")((ctypes.c_void_p * len(p))(*p))

        return [
            Compiled(caller(i), source, func)
            for i, (source, (func, _)) in enumerate(zip(sources, kernels, strict=True))
        ]

    return compile_all


@dataclass(frozen=True)
class Trial:
    """One operator in both worlds.

    Attributes:
        func, schedule_as: the kernel and the name of its schedule.
        op: a single-operator TFLite model.
        inputs: what both read.
        constants: what the kernel reads after them.
    """

    func: Any
    schedule_as: str
    op: Any
    inputs: tuple[Array, ...]
    constants: tuple[Array, ...] = ()


@pytest.fixture(scope="session")
def trial() -> type[Trial]:
    """The class that `expect_tflite` takes."""
    return Trial


@pytest.fixture(scope="session")
def expect_tflite(
    compile_kernels: Callable[[Sequence[tuple[Any, str]]], list[Compiled]],
) -> Callable[[Sequence[Trial]], None]:
    """`expect_tflite(trials)`: every kernel gives the bits of TFLite's reference kernel."""

    def expect(trials: Sequence[Trial]) -> None:
        kernels = compile_kernels([(trial.func, trial.schedule_as) for trial in trials])
        for kernel, one in zip(kernels, trials, strict=True):
            want = one.op.run(*one.inputs)
            got = kernel(*one.inputs, *one.constants)
            np.testing.assert_array_equal(got.reshape(want.shape), want)

    return expect


@pytest.fixture
def expect_program(tmp_path: Path) -> Callable[[Sequence[tuple[Any, Sequence[Array]]]], None]:
    """`expect_program([(single-operator TFLite model, inputs), ...])`.

    Compiled for this machine, every model runs in integers alone and gives TFLite's bits.
    """

    def expect(trials: Sequence[tuple[Any, Sequence[Array]]]) -> None:
        models, inputs, wanted = {}, {}, {}
        for i, (op, given) in enumerate(trials):
            (tmp_path / "op.tflite").write_bytes(op.model())
            models[f"{i} {op.name}"] = model = load(tmp_path / "op.tflite")
            for spec, array in zip(model.inputs, given, strict=True):
                inputs[f"{i} {op.name}/{spec.name}"] = array
            wanted[f"{i} {op.name}/{model.outputs[0].name}"] = op.run(*given)
        path = tmp_path / "program.edge"
        manifest = compile_model(together(models), load_device("host"), path)
        assert [op.name for op in manifest.ops if op.where == "float"] == []
        with Session(open_artifact(path)) as session:
            ((outputs, _),) = session.run_raw([inputs])
        for spec, got in zip(manifest.outputs, outputs, strict=True):
            np.testing.assert_array_equal(got, wanted[spec.name], err_msg=spec.name)

    return expect
