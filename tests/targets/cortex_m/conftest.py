"""Layers as programs of one call each, run with the kernels of a core and with the general ones."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgecomp.artifact import make_manifest
from edgecomp.device import load_device
from edgecomp.lowering.emit_c import emit_c
from edgecomp.program import Call, Kernel, Program, Tensor
from edgecomp.target import load_target
from edgecomp.toolchain import zig
from edgecomp_runtime.artifact import open_artifact, write_artifact
from edgecomp_runtime.manifest import TensorSpec
from edgecomp_runtime.session import Session
from edgecomp_targets.cortex_m.arrange import arrange

Array = npt.NDArray[Any]

DEVICES = {
    "cortex_m0plus": "rp2040_pico",
    "cortex_m3": "qemu_mps2_an385",
    "cortex_m4": "qemu_mps2_an386",
    "cortex_m7": "qemu_mps2_an500",
    "cortex_m33": "qemu_mps2_an505",
    "cortex_m55": "qemu_mps3_an547",
}


@dataclass(frozen=True)
class Layer:
    """One kernel with its operands.

    Attributes:
        func, schedule_as, work: as in `Kernel`.
        inputs: data of the inputs.
        constants: operands after the inputs.
        output: shape of the output.
    """

    func: Any
    schedule_as: str
    work: Any
    inputs: Sequence[Array]
    constants: Sequence[Array]
    output: tuple[int, ...]


def program_of(layers: Sequence[Layer]) -> Program:
    """A program that computes every layer on inputs of its own."""
    inputs, outputs, calls = [], [], []
    tensors: dict[str, Tensor] = {}
    constants: dict[str, Array] = {}
    kernels: dict[str, Kernel] = {}
    for i, layer in enumerate(layers):
        names = [f"x{i}_{k}" for k in range(len(layer.inputs))]
        for name, array in zip(names, layer.inputs, strict=True):
            tensors[name] = Tensor(name, array.shape, "int8")
            inputs.append(TensorSpec(name, array.shape, "int8"))
        held = {f"c{i}_{k}": array for k, array in enumerate(layer.constants)}
        constants.update(held)
        tensors[f"y{i}"] = Tensor(f"y{i}", layer.output, "int8")
        outputs.append(TensorSpec(f"y{i}", layer.output, "int8"))
        kernels[f"k{i}"] = Kernel(f"k{i}", layer.schedule_as, layer.func, work=layer.work)
        calls.append(Call(f"k{i}", (*names, *held, f"y{i}"), f"layer{i}", "op", "integer", 0))
    return Program(
        "layers", "layers", tuple(inputs), tuple(outputs), tensors, constants, kernels, tuple(calls)
    )


def _scheduled(program: Program, device: str) -> Program:
    profile = load_device(device)
    target = load_target(profile.target)
    kernels = {name: target.schedule(k, profile) for name, k in program.kernels.items()}
    return replace(program, kernels=kernels)


def _compiled(program: Program, device: str, folder: Path) -> Path:
    """A scheduled program as an artifact in `folder`."""
    profile = load_device(device)
    source = emit_c(program)
    work = folder / "work"
    work.mkdir()
    build = load_target(profile.target).build(source, program, profile, work, "balanced")
    manifest = make_manifest(program, source, build, profile, None)
    path = folder / "layers.edge"
    write_artifact(path, manifest, build.files)
    return path


def _run(program: Program, device: str, folder: Path, layers: Sequence[Layer]) -> list[Array]:
    """The outputs of a scheduled program on `device`."""
    path = _compiled(program, device, folder)
    given = [array for layer in layers for array in layer.inputs]
    with Session(open_artifact(path)) as session:
        return [np.asarray(y) for y in session.engine.run(given)]


@pytest.fixture
def on_core(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[Array]]:
    """`on_core(layers, core, optimize)`: outputs with the kernels of `core`, in an emulator."""

    def run(layers: Sequence[Layer], core: str, optimize: str) -> list[Array]:
        program = _scheduled(arrange(program_of(layers), core, optimize), DEVICES[core])
        return _run(program, DEVICES[core], tmp_path_factory.mktemp("core"), layers)

    return run


@pytest.fixture
def instructions(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Layer, str], int]:
    """`instructions(layer, core)`: an exact count of the layer's program, balanced."""

    def run(layer: Layer, core: str) -> int:
        program = _scheduled(arrange(program_of([layer]), core, "balanced"), DEVICES[core])
        path = _compiled(program, DEVICES[core], tmp_path_factory.mktemp("count"))
        with Session(open_artifact(path)) as session:
            (count,) = session.engine.count(list(layer.inputs)).per_op
            return count

    return run


@pytest.fixture
def general(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[Array]]:
    """`general(layers)`: outputs with the general kernels, on this machine."""

    def run(layers: Sequence[Layer]) -> list[Array]:
        program = _scheduled(program_of(layers), "host")
        return _run(program, "host", tmp_path_factory.mktemp("general"), layers)

    return run


@pytest.fixture
def portable(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[Array]]:
    """`portable(layers, core, optimize)`: twins of those kernels, on this machine, sanitized."""

    def run(layers: Sequence[Layer], core: str, optimize: str) -> list[Array]:
        program = _scheduled(arrange(program_of(layers), core, optimize), "host")
        source = emit_c(program)
        folder = tmp_path_factory.mktemp("portable")
        for name, text in source.files.items():
            (folder / name).write_text(text)
        options = ("-O1", "-std=c99", "-fPIC", "-shared", "-fsanitize=undefined", "-I.")
        traps = ("-fsanitize-trap=undefined", "-Wall", "-Wextra", "-Werror")
        unused = ("-Wno-unused-function",)
        files = [name for name in source.files if name.endswith(".c")]
        zig(["cc", *options, *traps, *unused, *files, "-o", "layers.so"], folder)
        library = ctypes.CDLL(str(folder / "layers.so"))
        arena = np.zeros(source.plan.arena_bytes + 16, np.uint8)
        given = [np.ascontiguousarray(x).copy() for layer in layers for x in layer.inputs]
        results = [np.zeros(layer.output, np.int8) for layer in layers]

        def pointers(arrays: Sequence[Array]) -> Any:
            return (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))

        aligned = (arena.ctypes.data + 15) // 16 * 16
        library.layers_run(pointers(given), pointers(results), ctypes.c_void_p(aligned))
        return results

    return run


@pytest.fixture
def arranged() -> Callable[..., Program]:
    """`arranged(layers, core, optimize)`: their program with the kernels of `core`."""
    return lambda layers, core, optimize: arrange(program_of(layers), core, optimize)


@pytest.fixture
def layer_class() -> type[Layer]:
    """The class `Layer`: tests are no packages, so they cannot import it."""
    return Layer
